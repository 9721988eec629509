//! Commits that MLS alone would let a member make: they are refused, or shown to the gate as what they are.

use openmls::prelude::{
    BasicCredential, CommitBuilder, CredentialWithKey, Extensions, Initial, KeyPackage,
    LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsMessageBodyIn, MlsMessageIn, NewSignerBundle,
    ProcessedMessageContent,
    tls_codec::{Deserialize, Serialize},
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;

use super::{
    super::{crypto::LeafSigner, overlay::Step, *},
    people::*,
};
use crate::{
    base::{DeviceId, StateId},
    state::{
        authority::ProposalFacts,
        envelope::{PayloadType, Verified},
    },
};

/// A commit as a member could make it with MLS alone, named by its envelope as `lists` say.
pub(super) fn raw_commit(
    person: &Person,
    group: &Group,
    lists: (Vec<Addition>, Vec<DeviceId>),
    shape: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
) -> (CommitPayload, Verified) {
    let (mut copy, parent) = (group.copy().unwrap(), group.state_id());
    let (adds, removes) = lists;
    let seed = seed(90);
    let step = Step::new(&copy.overlay, &seed, "raw");
    copy.mls.set_aad(commit_aad(&parent, &adds, &removes, person.parents()).to_vec());
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
    let child = Group::of(copy.mls, overlay::Overlay::new_scope(copy.overlay.rows()), copy.program);
    let child = child.map_or(StateId::new([0; 32]), |child| child.state_id());
    let payload = CommitPayload { parent, child, adds, removes };
    let commit = commit.tls_serialize_detached().unwrap();
    let body = CommitBody { commit, welcome: None }.encode();
    let envelope = person.envelope(PayloadType::Commit, payload.encode(), Some(body));
    (payload, envelope)
}

pub(super) fn no_lists() -> (Vec<Addition>, Vec<DeviceId>) {
    (Vec::new(), Vec::new())
}

#[test]
fn new_extensions_of_the_context_are_shown_as_refused() {
    let (people, groups) = group_of(2);
    let settings = Settings { generation: 1, ..SETTINGS };
    let (_, envelope) = raw_commit(&people[0], &groups[0], no_lists(), |builder| {
        builder
            .propose_group_context_extensions(settings.extensions(GROUP_VERSION).unwrap())
            .unwrap()
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
    let mut of_alice = groups[0].copy().unwrap();
    let seed = seed(1);
    let step = Step::new(&of_alice.overlay, &seed, "propose");
    let (proposal, _) = of_alice
        .mls
        .propose_remove_member(&step, &LeafSigner(&people[0].keys), LeafNodeIndex::new(2))
        .unwrap();
    let lists = (Vec::new(), vec![people[2].device()]);
    let (_, envelope) = raw_commit(&people[0], &of_alice, lists, |builder| builder);
    assert!(matches!(groups[1].stage(&envelope, &seed).map(|_| ()), Err(MlsError::Library(_))));

    let mut of_bob = groups[1].copy().unwrap();
    let step = Step::new(&of_bob.overlay, &seed, "keep");
    let proposal = MlsMessageIn::tls_deserialize_exact(proposal.tls_serialize_detached().unwrap());
    let proposal = proposal.unwrap().try_into_protocol_message().unwrap();
    let processed = of_bob.mls.process_message(&step, proposal).unwrap().into_content();
    let ProcessedMessageContent::ProposalMessage(kept) = processed else { panic!("a proposal") };
    of_bob.mls.store_pending_proposal(step.storage(), *kept).unwrap();
    let (opened, _) = of_bob.stage(&envelope, &seed).unwrap();
    assert_eq!(opened.content().proposals, [ProposalFacts::Other]);
}

/// The external commit of an outsider who got hold of a group info.
pub(super) fn external_commit(outsider: &Person, person: &Person, group: &Group) -> Vec<u8> {
    let provider = OpenMlsRustCrypto::default();
    let info = group.mls.export_group_info(provider.crypto(), &LeafSigner(&person.keys), true);
    let info = info.unwrap().tls_serialize_detached().unwrap();
    let MlsMessageBodyIn::GroupInfo(info) =
        MlsMessageIn::tls_deserialize_exact(info).unwrap().extract()
    else {
        panic!("a group info")
    };
    let credential = package::credential(&outsider.keys, &outsider.certificate).unwrap();
    let capabilities = settings::capabilities(version::Program::THIS);
    let (_, bundle) = MlsGroup::external_commit_builder()
        .with_config(settings::join_config())
        .with_aad(commit_aad(&group.state_id(), &[], &[], outsider.parents()).to_vec())
        .build_group(&provider, info, credential)
        .unwrap()
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities).build())
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), &LeafSigner(&outsider.keys), |_| true)
        .unwrap()
        .finalize(&provider)
        .unwrap();
    bundle.into_commit().tls_serialize_detached().unwrap()
}

/// Wraps what claims to be a commit on `parent` in an envelope of `person`'s that names nobody.
pub(super) fn wrapped(person: &Person, parent: StateId, commit: Vec<u8>) -> Verified {
    let child = StateId::new([1; 32]);
    let payload = CommitPayload { parent, child, adds: Vec::new(), removes: Vec::new() };
    let body = CommitBody { commit, welcome: None }.encode();
    person.envelope(PayloadType::Commit, payload.encode(), Some(body))
}

#[test]
fn an_external_commit_is_refused() {
    let (people, groups) = group_of(2);
    let mallory = Person::new(9);
    let commit = external_commit(&mallory, &people[0], &groups[0]);
    for author in [&mallory, &people[0]] {
        let sent = wrapped(author, groups[0].state_id(), commit.clone());
        let staged = groups[1].stage(&sent, &seed(1));
        assert_eq!(staged.map(|_| ()), Err(MlsError::WrongSender));
    }
}

/// A commit by which a member's leaf takes the credential of another.
pub(super) fn stealing_commit(person: &Person, victim: &Person, group: &Group) -> Verified {
    let mut copy = group.copy().unwrap();
    let seed = seed(1);
    let step = Step::new(&copy.overlay, &seed, "raw");
    let stolen = CredentialWithKey {
        credential: BasicCredential::new(victim.certificate.encode()).into(),
        signature_key: person.keys.public().to_vec().into(),
    };
    let signer = LeafSigner(&person.keys);
    let bundle = NewSignerBundle { signer: &signer, credential_with_key: stolen };
    copy.mls.set_aad(commit_aad(&group.state_id(), &[], &[], person.parents()).to_vec());
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
    wrapped(person, group.state_id(), commit.tls_serialize_detached().unwrap())
}

#[test]
fn a_leaf_that_takes_somebody_elses_credential_is_shown_without_certificate() {
    let (people, groups) = group_of(2);
    let sent = stealing_commit(&people[0], &people[1], &groups[0]);
    let (opened, staged) = groups[1].stage(&sent, &seed(1)).unwrap();
    assert_eq!(opened.content().path.as_ref().unwrap().certificate, None);
    assert_eq!(staged.merge(allowed(opened)).map(|_| ()), Err(MlsError::WrongChild));
}

/// A key package that is sound but for its lifetime, which ends.
pub(super) fn ending_package(person: &Person) -> (KeyPackage, Addition) {
    let provider = OpenMlsRustCrypto::default();
    let credential = package::credential(&person.keys, &person.certificate).unwrap();
    let package = KeyPackage::builder()
        .leaf_node_capabilities(settings::capabilities(version::Program::THIS))
        .build(settings::SUITE, &provider, &LeafSigner(&person.keys), credential)
        .unwrap()
        .into_key_package();
    let reference = facts::reference(&package, &crypto::SeededCrypto::new(seed(1))).unwrap();
    (package, Addition { device: person.device(), package: reference })
}

#[test]
fn an_addition_whose_lifetime_ends_is_shown_as_such() {
    let (people, groups) = group_of(2);
    let (package, addition) = ending_package(&Person::new(3));
    let (_, envelope) = raw_commit(&people[0], &groups[0], (vec![addition], vec![]), |builder| {
        builder.propose_adds([package])
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
