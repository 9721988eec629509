//! Another implementation of MLS in a group with ours: mls-rs.

use std::time::Duration;

use mls_rs::{
    CipherSuite, Client, Extension, ExtensionList, MlsMessage,
    client_builder::MlsConfig,
    crypto::SignatureSecretKey,
    extension::{ExtensionType, MlsExtension, built_in::RequiredCapabilitiesExt},
    group::{CommitBuilder, CommitEffect, ExportedTree, Group as Second, ReceivedMessage},
    identity::{
        CredentialType, SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rs_codec::MlsEncode,
    mls_rules::{CommitOptions, DefaultMlsRules},
    time::MlsTime,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use openmls::prelude::tls_codec::Serialize;
use openmls_traits::OpenMlsProvider;
use sha2::{Digest, Sha256};

use super::{
    super::{overlay::Step, payload::Sealed, version::Program, *},
    people::*,
    raw::no_lists,
};
use crate::{
    base::{DeviceId, MessageId, StateId, cbor},
    state::envelope::{PayloadType, Verified},
};

/// What a leaf of the second version of ours lists.
const EXTENSIONS: [u16; 4] = [0xF0A1, 0x000A, 0xF0B1, 0xF0B2];
const NEW: Program = Program { greatest: 2 };
/// The length of two tags of 32 bytes with their lengths: how a commit of a member ends.
const TAGS_LEN: usize = 66;

fn the_beginning() -> Option<MlsTime> {
    Some(MlsTime::from(0))
}

/// Somebody who runs mls-rs, with the credential, capabilities and lifetime that our groups ask for.
fn second_client(person: &Person) -> Client<impl MlsConfig + use<>> {
    let suite = CipherSuite::CURVE25519_CHACHA;
    let (public, certificate) = (person.keys.public(), person.certificate.encode());
    let credential = BasicCredential::new(certificate).into_credential();
    let identity = SigningIdentity::new(credential, public.to_vec().into());
    let secret: SignatureSecretKey = [&person.secret().expose()[..], public].concat().into();
    let options = CommitOptions::new().with_ratchet_tree_extension(false);
    Client::builder()
        .crypto_provider(RustCryptoProvider::with_enabled_cipher_suites(vec![suite]))
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(DefaultMlsRules::new().with_commit_options(options))
        .extension_types(EXTENSIONS.map(ExtensionType::new))
        .key_package_lifetime(Duration::from_secs(u64::MAX))
        .signing_identity(identity, secret, suite)
        .build()
}

/// The context extensions of a group of ours, as another implementation would write them.
fn context_extensions() -> ExtensionList {
    let own = ExtensionType::new(EXTENSIONS[0]);
    let credentials = vec![CredentialType::BASIC];
    let required = RequiredCapabilitiesExt::new(vec![own], Vec::new(), credentials);
    let content = hex::decode("85010002184810").unwrap();
    vec![required.into_extension().unwrap(), Extension::new(own, content)].into()
}

fn second_package(client: &Client<impl MlsConfig>) -> Vec<u8> {
    let package = client.generate_key_package_message(
        ExtensionList::new(),
        ExtensionList::new(),
        the_beginning(),
    );
    package.unwrap().to_bytes().unwrap()
}

/// Checks that both stand in one state.
fn assert_same<C: MlsConfig>(ours: &Group, second: &Second<C>) {
    let context = ours.mls.public_group().group_context().tls_serialize_detached().unwrap();
    assert_eq!(context, second.context().mls_encode_to_vec().unwrap());
    let authenticator = second.epoch_authenticator().unwrap();
    assert_eq!(ours.mls.epoch_authenticator().as_slice(), authenticator.as_bytes());
    let seed = seed(1);
    let step = Step::new(&ours.overlay, &seed, "export");
    let exported = ours.mls.export_secret(step.crypto(), "a label", b"a context", 32).unwrap();
    let second = second.export_secret(b"a label", b"a context", 32).unwrap();
    assert_eq!(exported, second.as_bytes());
}

/// Lets mls-rs commit, and wraps it in an envelope whose child follows from what mls-rs says alone.
fn second_commit<C: MlsConfig>(
    person: &Person,
    second: &mut Second<C>,
    parent: StateId,
    lists: (Vec<Addition>, Vec<DeviceId>),
    shape: impl FnOnce(CommitBuilder<'_, C>) -> CommitBuilder<'_, C>,
) -> (CommitPayload, CommitBody, Verified) {
    let (adds, removes) = lists;
    let data = commit_aad(&parent, &adds, &removes, NO_PARENTS).to_vec();
    let output = shape(second.commit_builder()).authenticated_data(data).build().unwrap();
    second.apply_pending_commit().unwrap();
    let commit = output.commit_message().to_bytes().unwrap();
    let welcome = output.welcome_messages().first().map(|welcome| welcome.to_bytes().unwrap());
    let (tag, _) = commit[commit.len() - TAGS_LEN..].split_at(TAGS_LEN / 2);
    let child = Sha256::new()
        .chain_update("spacepanda-state-v1")
        .chain_update(second.context().mls_encode_to_vec().unwrap())
        .chain_update(tag);
    let child = StateId::new(child.finalize().into());
    let payload = CommitPayload { parent, child, adds, removes };
    let body = CommitBody { commit, welcome };
    let sent = person.envelope(PayloadType::Commit, payload.encode(), Some(body.encode()));
    (payload, body, sent)
}

/// Hands a commit of ours to mls-rs.
fn second_follow<C: MlsConfig>(second: &mut Second<C>, sent: &Sent) -> CommitEffect {
    let body = CommitBody::decode(sent.envelope.body().unwrap()).unwrap();
    let message = MlsMessage::from_bytes(&body.commit).unwrap();
    let ReceivedMessage::Commit(received) = second.process_incoming_message(message).unwrap()
    else {
        panic!("a commit")
    };
    received.effect
}

/// Checks that a message of either opens at the other.
fn talk<C: MlsConfig>(ours: (&Person, &mut Group), second: (&Person, &mut Second<C>)) {
    let sent = ours.0.write(ours.1, b"from one", 20);
    let message = MlsMessage::from_bytes(sent.body().unwrap()).unwrap();
    let received = second.1.process_incoming_message(message).unwrap();
    let ReceivedMessage::ApplicationMessage(received) = received else { panic!("a message") };
    let sealed: Sealed = cbor::decode(received.data()).unwrap();
    assert_eq!(sealed.content, b"from one");
    assert_eq!(received.authenticated_data, CHANNEL.as_bytes());

    let sealed = cbor::encode(&Sealed { salt: [5; 32], content: b"from the other".to_vec() });
    let data = CHANNEL.as_bytes().to_vec();
    let body = second.1.encrypt_application_message(&sealed, data).unwrap().to_bytes().unwrap();
    let payload = MessagePayload {
        id: MessageId::new([6; 16]),
        state: ours.1.state_id(),
        commitment: commitment(&[5; 32], b"from the other"),
    };
    let sent = second.0.envelope(PayloadType::Message, payload.encode(), Some(body));
    assert_eq!(read(ours.1, &sent).unwrap().content, b"from the other");
}

fn addition(package: &[u8]) -> Addition {
    let facts = package_facts(package).unwrap();
    Addition { device: facts.certificate.device(), package: facts.reference }
}

#[test]
fn whom_we_add_talks_renews_adds_moves_up_and_is_removed() {
    let [alice, bob, carol] = [1, 2, 3].map(Person::new);
    let client = second_client(&bob);
    let package = second_package(&client);
    assert_eq!(package_facts(&package).unwrap().versions, [1, 2].into());

    let change = Change { adds: vec![package], ..Change::default() };
    let mut sent = alice.commit(&alice.found(), &change, 2);
    let tree = sent.group.tree().unwrap();
    let tree = ExportedTree::from_bytes(&tree).unwrap();
    let welcome = MlsMessage::from_bytes(sent.welcome.as_deref().unwrap()).unwrap();
    let (mut of_bob, _) = client.join_group(Some(tree), &welcome, None).unwrap();
    assert_same(&sent.group, &of_bob);
    talk((&alice, &mut sent.group), (&bob, &mut of_bob));

    sent.group.program = NEW;
    let mut sent = alice.commit(&sent.group, &Change::default(), 3);
    second_follow(&mut of_bob, &sent);
    assert_same(&sent.group, &of_bob);

    let parent = sent.payload.child;
    let (_, _, renewed) = second_commit(&bob, &mut of_bob, parent, no_lists(), |builder| builder);
    let mut of_alice = follow(&sent.group, &renewed).unwrap();
    assert_same(&of_alice, &of_bob);
    talk((&alice, &mut of_alice), (&bob, &mut of_bob));

    let made = carol.package_of(NEW, 9);
    let lists = (vec![addition(&made.package)], Vec::new());
    let (payload, body, added) =
        second_commit(&bob, &mut of_bob, of_alice.state_id(), lists, |builder| {
            builder.add_member(MlsMessage::from_bytes(&made.package).unwrap()).unwrap()
        });
    let of_alice = follow(&of_alice, &added).unwrap();
    assert_same(&of_alice, &of_bob);
    let tree = of_bob.export_tree().to_bytes().unwrap();
    let joined = join(body.welcome.as_deref().unwrap(), &tree, &made.private, &seed(7)).unwrap();
    assert_eq!((joined.state_id(), joined.sender()), (payload.child, bob.device()));
    let mut of_carol = joined.enter();
    assert_same(&of_carol, &of_bob);
    talk((&carol, &mut of_carol), (&bob, &mut of_bob));

    assert_eq!(of_alice.can_move_to(), Some(2));
    sent = alice.commit(&of_alice, &Change { version: Some(2), ..Change::default() }, 5);
    second_follow(&mut of_bob, &sent);
    of_carol = follow(&of_carol, &sent.envelope).unwrap();
    assert_same(&of_carol, &of_bob);
    assert_same(&sent.group, &of_bob);
    let of_alice = sent.group;

    let sent = carol.commit(&of_carol, &removing(&[&bob]), 6);
    let removed = second_follow(&mut of_bob, &sent);
    assert!(matches!(removed, CommitEffect::Removed { .. }));
    let of_alice = follow(&of_alice, &sent.envelope).unwrap();
    let of_two = [&of_alice, &sent.group].map(|group| group.mls.epoch_authenticator().as_slice());
    assert_eq!(of_two[0], of_two[1]);
}

#[test]
fn who_adds_us_reads_renews_removes_and_is_talked_to() {
    let [alice, bob, carol] = [1, 2, 3].map(Person::new);
    let client = second_client(&bob);
    let (extensions, none) = (context_extensions(), ExtensionList::new());
    let founded =
        client.create_group_with_id(b"a group".to_vec(), extensions, none, the_beginning());
    let mut of_bob = founded.unwrap();
    let made = alice.package_of(NEW, 9);
    let lists = (vec![addition(&made.package)], Vec::new());
    let (payload, body, _) =
        second_commit(&bob, &mut of_bob, StateId::new([0; 32]), lists, |builder| {
            builder.add_member(MlsMessage::from_bytes(&made.package).unwrap()).unwrap()
        });
    let tree = of_bob.export_tree().to_bytes().unwrap();
    let joined = join(body.welcome.as_deref().unwrap(), &tree, &made.private, &seed(7)).unwrap();
    assert_eq!((joined.state_id(), joined.settings()), (payload.child, SETTINGS));
    assert_eq!(joined.leaves(), [bob.certificate.clone(), alice.certificate.clone()]);
    let mut of_alice = joined.enter();
    of_alice.program = NEW;
    assert_same(&of_alice, &of_bob);
    talk((&alice, &mut of_alice), (&bob, &mut of_bob));

    let of_carol = carol.package_of(NEW, 8);
    let sent = alice.commit(&of_alice, &adding(&[&of_carol]), 2);
    second_follow(&mut of_bob, &sent);
    assert_same(&sent.group, &of_bob);

    let index = of_bob.roster().members().last().unwrap().index;
    let parent = sent.payload.child;
    let lists = (Vec::new(), vec![carol.device()]);
    let (_, _, removed) = second_commit(&bob, &mut of_bob, parent, lists, |builder| {
        builder.remove_member(index).unwrap()
    });
    assert!(!follow(&enter(&sent, &of_carol), &removed).unwrap().is_active());
    let mut of_alice = follow(&sent.group, &removed).unwrap();
    assert_same(&of_alice, &of_bob);
    let sent = alice.commit(&of_alice, &Change::default(), 4);
    second_follow(&mut of_bob, &sent);
    of_alice = sent.group;
    assert_same(&of_alice, &of_bob);
    talk((&alice, &mut of_alice), (&bob, &mut of_bob));
}
