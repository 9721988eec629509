//! What others may send that is not right: it is refused by kind, and nothing changes.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, KeyPackage, Lifetime, MlsMessageOut,
    tls_codec::Serialize,
};
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::{
    super::{crypto::LeafSigner, overlay::Step, *},
    people::*,
};
use crate::{
    base::{ChannelId, cbor},
    state::envelope::{PayloadType, Verified},
};

/// Each seventh byte altered, and each seventh length cut to.
fn spoiled(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let altered = (0..bytes.len()).step_by(7).map(|at| {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1 << (at % 8);
        altered
    });
    altered.chain((0..bytes.len()).step_by(7).map(|len| bytes[..len].to_vec()))
}

#[test]
fn a_spoiled_message_is_refused_and_changes_nothing() {
    let (people, mut groups) = group_of(2);
    drop(groups[1].take_changes().unwrap());
    let message = people[0].write(&mut groups[0], b"hello", 20);
    let rows = groups[1].rows().unwrap();
    for body in spoiled(message.body().unwrap()) {
        let payload = message.header().payload.clone();
        let spoiled = people[0].envelope(PayloadType::Message, payload, Some(body));
        assert!(read(&mut groups[1], &spoiled).is_err());
    }
    for payload in spoiled(&message.header().payload) {
        let body = Some(message.body().unwrap().to_vec());
        let spoiled = people[0].envelope(PayloadType::Message, payload, body);
        // The name alone is not proved by MLS: the envelope's signature vouches for it.
        let result = groups[1].rows().unwrap();
        let opened = Group::load(result).unwrap().decrypt(&spoiled, &seed(1));
        assert!(opened.is_err() || is_other_name(&spoiled, &message));
    }
    assert_eq!(groups[1].rows().unwrap(), rows);
    assert!(groups[1].take_changes().unwrap().is_empty());
    assert_eq!(read(&mut groups[1], &message).unwrap().content, b"hello");
}

fn is_other_name(a: &Verified, b: &Verified) -> bool {
    let [a, b] = [a, b].map(|sent| MessagePayload::decode(&sent.header().payload).unwrap());
    a.id != b.id && (a.state, a.commitment) == (b.state, b.commitment)
}

#[test]
fn a_message_in_somebody_elses_envelope_or_channel_is_refused_and_still_opens() {
    let (people, mut groups) = group_of(3);
    let message = people[0].write(&mut groups[0], b"hello", 20);
    let (payload, body) = (message.header().payload.clone(), message.body().unwrap().to_vec());
    let stolen = people[1].envelope(PayloadType::Message, payload.clone(), Some(body.clone()));
    assert_eq!(read(&mut groups[2], &stolen), Err(MlsError::WrongSender));
    let mut header = message.header().clone();
    header.channel = ChannelId::new([8; 32]);
    let moved = Verified::sign(header, Some(body.clone().into()), &people[0].keys).unwrap();
    assert_eq!(read(&mut groups[2], &moved), Err(MlsError::WrongData));
    let mut other = MessagePayload::decode(&payload).unwrap();
    other.commitment[0] ^= 1;
    let lied = people[0].envelope(PayloadType::Message, other.encode(), Some(body));
    assert_eq!(read(&mut groups[2], &lied), Err(MlsError::Commitment));
    let bare = people[0].envelope(PayloadType::Message, payload, None);
    assert_eq!(read(&mut groups[2], &bare), Err(MlsError::NoBody));
    assert_eq!(read(&mut groups[2], &message).unwrap().content, b"hello");
}

#[test]
fn a_spoiled_commit_is_refused_and_changes_nothing() {
    let (people, mut groups) = group_of(3);
    let rows = groups[2].rows().unwrap();
    let package = Person::new(4).package(9);
    let change = Change { removes: vec![people[1].device()], ..adding(&[&package]) };
    let sent = people[0].commit(&groups[0], &change, 3);
    let body = CommitBody::decode(sent.envelope.body().unwrap()).unwrap();
    for commit in spoiled(&body.commit) {
        let body = CommitBody { commit, welcome: body.welcome.clone() };
        let payload = sent.payload.encode();
        let spoiled = people[0].envelope(PayloadType::Commit, payload, Some(body.encode()));
        assert!(follow(&groups[2], &spoiled).is_err());
    }
    for payload in spoiled(&sent.payload.encode()) {
        let spoiled = people[0].envelope(PayloadType::Commit, payload, Some(body.encode()));
        assert!(follow(&groups[2], &spoiled).is_err());
    }
    assert_eq!(groups[2].rows().unwrap(), rows);
    let followed = follow(&groups[2], &sent.envelope).unwrap();
    assert_eq!(follow(&followed, &sent.envelope).map(|_| ()), Err(MlsError::WrongState));
}

#[test]
fn a_spoiled_welcome_or_tree_lets_nobody_in_and_leaves_the_package() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let made = bob.package(9);
    let private = made.private.clone();
    let sent = alice.commit(&alice.found(), &adding(&[&made]), 2);
    let (welcome, tree) = (sent.welcome.clone().unwrap(), sent.group.tree().unwrap());
    for welcome in spoiled(&welcome) {
        assert!(join(&welcome, &tree, &private, &seed(1)).is_err());
    }
    for tree in spoiled(&tree) {
        assert!(join(&welcome, &tree, &private, &seed(1)).is_err());
    }
    let other = alice.commit(&alice.found(), &Change::default(), 5).group.tree().unwrap();
    let joined = join(&welcome, &other, &private, &seed(1));
    assert_eq!(joined.map(|_| ()), Err(MlsError::Tree));
    assert_eq!(made.private, private);
    enter(&sent, &made);
}

#[test]
fn a_spoiled_key_package_is_refused() {
    let bob = Person::new(2);
    let made = bob.package(9);
    let facts = package_facts(&made.package).unwrap();
    assert_eq!((facts.reference, facts.certificate), (made.reference, bob.certificate));
    assert_eq!(facts.package_use, PackageUse::Once);
    for package in spoiled(&made.package) {
        assert!(package_facts(&package).is_err());
    }
}

#[test]
fn a_key_package_that_ends_or_is_somebody_elses_is_refused() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let provider = OpenMlsRustCrypto::default();
    let make = |lifetime: Lifetime, capabilities, suite: Ciphersuite, whose: &Person| {
        let credential = CredentialWithKey {
            credential: BasicCredential::new(whose.certificate.encode()).into(),
            signature_key: bob.keys.public().to_vec().into(),
        };
        let bundle = KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(capabilities)
            .build(suite, &provider, &LeafSigner(&bob.keys), credential)
            .unwrap();
        MlsMessageOut::from(bundle.into_key_package()).tls_serialize_detached().unwrap()
    };
    let ours = || settings::capabilities(version::Program::THIS);
    let endless = settings::endless;
    let suite = settings::SUITE;
    assert!(package_facts(&make(endless(), ours(), suite, &bob)).is_ok());
    let foreign = make(endless(), ours(), suite, &alice);
    assert_eq!(package_facts(&foreign), Err(MlsError::Leaf));
    let ends = make(Lifetime::new(3_600), ours(), suite, &bob);
    assert!(matches!(package_facts(&ends), Err(MlsError::Package(_))));
    let plain = make(endless(), openmls::prelude::Capabilities::default(), suite, &bob);
    assert!(matches!(package_facts(&plain), Err(MlsError::Package(_))));
    let other = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    assert!(matches!(
        package_facts(&make(endless(), ours(), other, &bob)),
        Err(MlsError::Package(_))
    ));
}

#[test]
fn a_commit_is_no_message_and_a_message_no_commit() {
    let (people, mut groups) = group_of(2);
    let message = people[0].write(&mut groups[0], b"text", 20);
    let sent = people[0].commit(&groups[0], &Change::default(), 3);
    let body = CommitBody { commit: message.body().unwrap().to_vec(), welcome: None };
    let mixed = people[0].envelope(PayloadType::Commit, sent.payload.encode(), Some(body.encode()));
    assert_eq!(groups[1].stage(&mixed, &seed(1)).map(|_| ()), Err(MlsError::Malformed("commit")));
    let commit = CommitBody::decode(sent.envelope.body().unwrap()).unwrap().commit;
    let payload = message.header().payload.clone();
    let mixed = people[0].envelope(PayloadType::Message, payload, Some(commit));
    assert_eq!(read(&mut groups[1], &mixed), Err(MlsError::Malformed("message")));
}

#[test]
fn what_is_no_plaintext_of_ours_is_refused_and_burns_nothing() {
    let (people, mut groups) = group_of(2);
    let mut copy = groups[0].copy().unwrap();
    let seed = seed(1);
    let step = Step::new(&copy.overlay, &seed, "raw");
    copy.mls.set_aad(CHANNEL.as_bytes().to_vec());
    let bare = copy.mls.create_message(&step, &LeafSigner(&people[0].keys), b"bare").unwrap();
    let id = crate::base::MessageId::new([1; 16]);
    let payload = MessagePayload { id, state: groups[0].state_id(), commitment: [0; 32] };
    let body = bare.tls_serialize_detached().unwrap();
    let sent = people[0].envelope(PayloadType::Message, payload.encode(), Some(body));
    let rows = groups[1].rows().unwrap();
    let malformed = Err(MlsError::Form(cbor::CborError::Trailing));
    assert_eq!(read(&mut groups[1], &sent), malformed);
    assert_eq!(groups[1].rows().unwrap(), rows);
    let honest = people[0].write(&mut groups[0], b"of the same generation", 20);
    assert!(read(&mut groups[1], &honest).is_ok());
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_by_every_reader(bytes in proptest::collection::vec(0u8.., 0..300)) {
        proptest::prop_assert!(package_facts(&bytes).is_err());
        proptest::prop_assert!(!welcome_is_for(&bytes, &[0; 32]));
        proptest::prop_assert!(join(&bytes, &bytes, &Rows::default(), &seed(1)).is_err());
        proptest::prop_assert!(CommitPayload::decode(&bytes).is_err());
        proptest::prop_assert!(MessagePayload::decode(&bytes).is_err());
    }
}
