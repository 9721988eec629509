//! What others may send that is not right: it is refused by kind, and nothing changes.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CommitBuilder, CredentialWithKey, Extensions, Initial,
    KeyPackage, LeafNodeIndex, LeafNodeParameters, Lifetime, MlsGroup, MlsMessageBodyIn,
    MlsMessageIn, MlsMessageOut, NewSignerBundle, ProcessedMessageContent,
    tls_codec::{Deserialize, Serialize},
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;

use super::{
    super::{crypto::LeafSigner, overlay::Step, *},
    people::*,
};
use crate::{
    base::{ChannelId, DeviceId, StateId, cbor},
    state::{
        authority::ProposalFacts,
        envelope::{PayloadType, Verified},
    },
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
    drop(groups[1].take_changes());
    let message = people[0].write(&mut groups[0], b"hello", 20);
    let rows = groups[1].rows();
    for body in spoiled(message.body().unwrap()) {
        let payload = message.header().payload.clone();
        let spoiled = people[0].envelope(PayloadType::Message, payload, Some(body));
        assert!(read(&mut groups[1], &spoiled).is_err());
    }
    for payload in spoiled(&message.header().payload) {
        let body = Some(message.body().unwrap().to_vec());
        let spoiled = people[0].envelope(PayloadType::Message, payload, body);
        // The name alone is not proved by MLS: the envelope's signature vouches for it.
        let result = groups[1].rows();
        let opened = Group::load(result).unwrap().decrypt(&spoiled, &seed(1));
        assert!(opened.is_err() || is_other_name(&spoiled, &message));
    }
    assert_eq!(groups[1].rows(), rows);
    assert!(groups[1].take_changes().is_empty());
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
    let (people, groups) = group_of(3);
    let rows = groups[2].rows();
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
    assert_eq!(groups[2].rows(), rows);
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
    let (ours, endless) = (settings::capabilities, settings::endless);
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

/// A commit as a member could make it with MLS alone, named by its envelope as `lists` say.
fn raw_commit(
    person: &Person,
    group: &Group,
    lists: (Vec<Addition>, Vec<DeviceId>),
    shape: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
) -> (CommitPayload, Verified) {
    let (mut copy, parent) = (Group::load(group.rows()).unwrap(), group.state_id());
    let (adds, removes) = lists;
    let seed = seed(90);
    let step = Step::new(&copy.overlay, &seed, "raw");
    copy.mls.set_aad(commit_aad(&parent, &adds, &removes, NO_PARENTS).to_vec());
    let (commit, _, _) = shape(copy.mls.commit_builder())
        .load_psks(step.storage())
        .unwrap()
        .create_group_info(false)
        .build(step.rand(), step.crypto(), &LeafSigner(&person.keys), |_| true)
        .unwrap()
        .stage_commit(&step)
        .unwrap()
        .into_messages();
    copy.mls.merge_pending_commit(&step).unwrap();
    let child = Group::of(copy.mls, overlay::Overlay::new_scope(copy.overlay.rows()));
    let child = child.map_or(StateId::new([0; 32]), |child| child.state_id());
    let payload = CommitPayload { parent, child, adds, removes };
    let commit = commit.tls_serialize_detached().unwrap();
    let body = CommitBody { commit, welcome: None }.encode();
    let envelope = person.envelope(PayloadType::Commit, payload.encode(), Some(body));
    (payload, envelope)
}

fn no_lists() -> (Vec<Addition>, Vec<DeviceId>) {
    (Vec::new(), Vec::new())
}

#[test]
fn new_extensions_of_the_context_are_shown_as_refused() {
    let (people, groups) = group_of(2);
    let settings = Settings { generation: 1, ..SETTINGS };
    let (_, envelope) = raw_commit(&people[0], &groups[0], no_lists(), |builder| {
        builder.propose_group_context_extensions(settings.extensions().unwrap()).unwrap()
    });
    let (opened, _) = groups[1].stage(&envelope, &seed(1)).unwrap();
    assert_eq!(opened.content().proposals, [ProposalFacts::Other]);
    let (_, bare) = raw_commit(&people[0], &groups[0], no_lists(), |builder| {
        builder.propose_group_context_extensions(Extensions::empty()).unwrap()
    });
    let (opened, staged) = groups[1].stage(&bare, &seed(1)).unwrap();
    assert_eq!(opened.content().proposals, [ProposalFacts::Other]);
    assert_eq!(staged.merge(allowed(opened)).map(|_| ()), Err(MlsError::Settings));
}

#[test]
fn a_proposal_by_reference_is_refused_or_shown_as_such() {
    let (people, groups) = group_of(3);
    let mut of_alice = Group::load(groups[0].rows()).unwrap();
    let seed = seed(1);
    let step = Step::new(&of_alice.overlay, &seed, "propose");
    let (proposal, _) = of_alice
        .mls
        .propose_remove_member(&step, &LeafSigner(&people[0].keys), LeafNodeIndex::new(2))
        .unwrap();
    let lists = (Vec::new(), vec![people[2].device()]);
    let (_, envelope) = raw_commit(&people[0], &of_alice, lists, |builder| builder);
    assert!(matches!(groups[1].stage(&envelope, &seed).map(|_| ()), Err(MlsError::Library(_))));

    let mut of_bob = Group::load(groups[1].rows()).unwrap();
    let step = Step::new(&of_bob.overlay, &seed, "keep");
    let proposal = MlsMessageIn::tls_deserialize_exact(proposal.tls_serialize_detached().unwrap());
    let proposal = proposal.unwrap().try_into_protocol_message().unwrap();
    let processed = of_bob.mls.process_message(&step, proposal).unwrap().into_content();
    let ProcessedMessageContent::ProposalMessage(kept) = processed else { panic!("a proposal") };
    of_bob.mls.store_pending_proposal(step.storage(), *kept).unwrap();
    let (opened, _) = of_bob.stage(&envelope, &seed).unwrap();
    assert_eq!(opened.content().proposals, [ProposalFacts::Other]);
}

#[test]
fn an_external_commit_is_refused() {
    let (people, groups) = group_of(2);
    let (mallory, provider) = (Person::new(9), OpenMlsRustCrypto::default());
    let info = groups[0]
        .mls
        .export_group_info(provider.crypto(), &LeafSigner(&people[0].keys), true)
        .unwrap();
    let info = MlsMessageIn::tls_deserialize_exact(info.tls_serialize_detached().unwrap()).unwrap();
    let MlsMessageBodyIn::GroupInfo(info) = info.extract() else { panic!("a group info") };
    let credential = package::credential(&mallory.keys, &mallory.certificate).unwrap();
    let capabilities = settings::capabilities();
    let (_, bundle) = MlsGroup::external_commit_builder()
        .with_config(settings::join_config())
        .with_aad(commit_aad(&groups[0].state_id(), &[], &[], NO_PARENTS).to_vec())
        .build_group(&provider, info, credential)
        .unwrap()
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities).build())
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), &LeafSigner(&mallory.keys), |_| true)
        .unwrap()
        .finalize(&provider)
        .unwrap();
    let commit = bundle.into_commit().tls_serialize_detached().unwrap();
    let (parent, child) = (groups[0].state_id(), StateId::new([1; 32]));
    let payload = CommitPayload { parent, child, adds: Vec::new(), removes: Vec::new() };
    let body = CommitBody { commit, welcome: None }.encode();
    for author in [&mallory, &people[0]] {
        let sent = author.envelope(PayloadType::Commit, payload.encode(), Some(body.clone()));
        let staged = groups[1].stage(&sent, &seed(1));
        assert_eq!(staged.map(|_| ()), Err(MlsError::WrongSender));
    }
}

#[test]
fn a_leaf_that_takes_somebody_elses_credential_is_shown_without_certificate() {
    let (people, groups) = group_of(2);
    let mut copy = Group::load(groups[0].rows()).unwrap();
    let seed = seed(1);
    let step = Step::new(&copy.overlay, &seed, "raw");
    let stolen = CredentialWithKey {
        credential: BasicCredential::new(people[1].certificate.encode()).into(),
        signature_key: people[0].keys.public().to_vec().into(),
    };
    let signer = LeafSigner(&people[0].keys);
    let bundle = NewSignerBundle { signer: &signer, credential_with_key: stolen };
    let parent = groups[0].state_id();
    copy.mls.set_aad(commit_aad(&parent, &[], &[], NO_PARENTS).to_vec());
    let commit = copy
        .mls
        .commit_builder()
        .force_self_update(true)
        .load_psks(step.storage())
        .unwrap()
        .build_with_new_signer(step.rand(), step.crypto(), &signer, bundle, |_| true)
        .unwrap()
        .stage_commit(&step)
        .unwrap()
        .into_commit();
    let child = StateId::new([1; 32]);
    let payload = CommitPayload { parent, child, adds: Vec::new(), removes: Vec::new() };
    let commit = commit.tls_serialize_detached().unwrap();
    let body = CommitBody { commit, welcome: None }.encode();
    let sent = people[0].envelope(PayloadType::Commit, payload.encode(), Some(body));
    let (opened, staged) = groups[1].stage(&sent, &seed).unwrap();
    assert_eq!(opened.content().path.as_ref().unwrap().certificate, None);
    assert_eq!(staged.merge(allowed(opened)).map(|_| ()), Err(MlsError::WrongChild));
}

#[test]
fn an_addition_whose_lifetime_ends_is_shown_as_such() {
    let (people, groups) = group_of(2);
    let (carol, provider) = (Person::new(3), OpenMlsRustCrypto::default());
    let credential = package::credential(&carol.keys, &carol.certificate).unwrap();
    let package = KeyPackage::builder()
        .leaf_node_capabilities(settings::capabilities())
        .build(settings::SUITE, &provider, &LeafSigner(&carol.keys), credential)
        .unwrap()
        .into_key_package();
    let crypto = crypto::SeededCrypto::new(seed(1));
    let reference = facts::reference(&package, &crypto).unwrap();
    let adds = vec![Addition { device: carol.device(), package: reference }];
    let (_, envelope) = raw_commit(&people[0], &groups[0], (adds, Vec::new()), |builder| {
        builder.propose_adds([package.clone()])
    });
    let (opened, _) = groups[1].stage(&envelope, &seed(1)).unwrap();
    let [ProposalFacts::Add(leaf)] = &opened.content().proposals[..] else { panic!("one") };
    assert!(!leaf.endless && leaf.capable);
}

#[test]
fn a_header_that_says_otherwise_than_its_commit_is_refused() {
    let (people, groups) = group_of(3);
    let package = Person::new(4).package(9);
    let sent = people[0].commit(&groups[0], &adding(&[&package]), 3);
    let body = Some(sent.envelope.body().unwrap().to_vec());
    let stage = |person: &Person, payload: &CommitPayload| {
        let sent = person.envelope(PayloadType::Commit, payload.encode(), body.clone());
        follow(&groups[2], &sent).map(|_| ()).unwrap_err()
    };
    assert_eq!(stage(&people[1], &sent.payload), MlsError::WrongSender);
    let mut other = sent.payload.clone();
    other.child = StateId::new([1; 32]);
    assert_eq!(stage(&people[0], &other), MlsError::WrongChild);
    let mut other = sent.payload.clone();
    other.adds.clear();
    assert_eq!(stage(&people[0], &other), MlsError::WrongData);
    let mut other = sent.payload.clone();
    other.adds[0].package[0] ^= 1;
    assert_eq!(stage(&people[0], &other), MlsError::WrongData);
    let (_, lied) = raw_commit(&people[0], &groups[0], no_lists(), |builder| {
        builder.propose_removals([LeafNodeIndex::new(1)])
    });
    assert_eq!(follow(&groups[2], &lied).map(|_| ()), Err(MlsError::WrongLists));
    let mut header = sent.envelope.header().clone();
    header.parents = vec![crate::base::Tip {
        device: people[1].device(),
        number: 1,
        id: crate::base::EnvelopeId::new([1; 32]),
    }];
    let moved = Verified::sign(header, body.clone().map(Into::into), &people[0].keys).unwrap();
    assert_eq!(follow(&groups[2], &moved).map(|_| ()), Err(MlsError::WrongData));
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
    let mut copy = Group::load(groups[0].rows()).unwrap();
    let seed = seed(1);
    let step = Step::new(&copy.overlay, &seed, "raw");
    copy.mls.set_aad(CHANNEL.as_bytes().to_vec());
    let bare = copy.mls.create_message(&step, &LeafSigner(&people[0].keys), b"bare").unwrap();
    let id = crate::base::MessageId::new([1; 16]);
    let payload = MessagePayload { id, state: groups[0].state_id(), commitment: [0; 32] };
    let body = bare.tls_serialize_detached().unwrap();
    let sent = people[0].envelope(PayloadType::Message, payload.encode(), Some(body));
    let rows = groups[1].rows();
    let malformed = Err(MlsError::Form(cbor::CborError::Trailing));
    assert_eq!(read(&mut groups[1], &sent), malformed);
    assert_eq!(groups[1].rows(), rows);
    let honest = people[0].write(&mut groups[0], b"of the same generation", 20);
    assert!(read(&mut groups[1], &honest).is_ok());
}
