//! What a leaf or a commit is, in plain facts.

use std::collections::BTreeSet;

use openmls::prelude::{
    BasicCredential, Credential, CredentialType, LeafNode, LeafNodeIndex, MlsGroup, Proposal,
    ProposalOrRefType, QueuedProposal, StagedCommit,
};
use openmls::treesync::LeafNodeSource;

use super::{Addition, Group, MlsError, PackageRef, crypto::SeededCrypto, settings, version};
use crate::{
    base::DeviceId,
    state::{
        authority::{CommitFacts, LeafFacts, ProposalFacts},
        identity::VerifiedCertificate,
    },
};

/// Reads a commit. `group` is the state it is made on.
pub(super) fn of_commit(group: &Group, sender: DeviceId, commit: &StagedCommit) -> CommitFacts {
    CommitFacts {
        suite: settings::SUITE.into(),
        version: group.version(),
        spoken: spoken(&group.mls, sender, commit),
        sender: Some(sender),
        path: commit.update_path_leaf_node().map(of_leaf),
        proposals: commit.queued_proposals().map(|queued| of_proposal(group, queued)).collect(),
    }
}

/// The versions that every leaf can speak in the tree that a commit leads to.
fn spoken(group: &MlsGroup, sender: DeviceId, commit: &StagedCommit) -> BTreeSet<u16> {
    let removed: BTreeSet<_> =
        commit.remove_proposals().map(|queued| queued.remove_proposal().removed()).collect();
    let path = commit.update_path_leaf_node();
    let staying = group.treesync().full_leaves().filter(|(index, _)| !removed.contains(index));
    let staying = staying.map(|(_, leaf)| match path {
        Some(path) if leaf.signature_key().as_slice() == sender.as_bytes() => path,
        _ => leaf,
    });
    let added: Vec<_> = commit.add_proposals().collect();
    let added = added.iter().map(|queued| queued.add_proposal().key_package().leaf_node());
    version::spoken_by_all(staying.chain(added))
}

/// Whom a commit adds and removes, both ascending by device.
pub(super) fn lists(
    group: &MlsGroup,
    commit: &StagedCommit,
    crypto: &SeededCrypto,
) -> Result<(Vec<Addition>, Vec<DeviceId>), MlsError> {
    let mut adds = Vec::new();
    for queued in commit.add_proposals() {
        let package = queued.add_proposal().key_package();
        let device = device_of(package.leaf_node().signature_key().as_slice())?;
        adds.push(Addition { device, package: reference(package, crypto)? });
    }
    let mut removes = Vec::new();
    for queued in commit.remove_proposals() {
        removes.push(device_at(group, queued.remove_proposal().removed())?);
    }
    adds.sort_unstable();
    removes.sort_unstable();
    Ok((adds, removes))
}

/// The reference of a key package.
pub(super) fn reference(
    package: &openmls::prelude::KeyPackage,
    crypto: &SeededCrypto,
) -> Result<PackageRef, MlsError> {
    let reference = package.hash_ref(crypto).map_err(MlsError::library)?;
    reference.as_slice().try_into().map_err(|_| MlsError::Malformed("key package reference"))
}

/// The certificate in a leaf, if it is one that checks out, for the leaf's signature key.
pub(super) fn certificate(credential: &Credential, key: &[u8]) -> Option<VerifiedCertificate> {
    if credential.credential_type() != CredentialType::Basic {
        return None;
    }
    let credential = BasicCredential::try_from(credential.clone()).ok()?;
    let certificate = VerifiedCertificate::decode(credential.identity()).ok()?;
    (certificate.device().as_bytes() == key).then_some(certificate)
}

/// The facts of a leaf.
pub(super) fn of_leaf(leaf: &LeafNode) -> LeafFacts {
    LeafFacts {
        certificate: certificate(leaf.credential(), leaf.signature_key().as_slice()),
        endless: match leaf.leaf_node_source() {
            LeafNodeSource::KeyPackage(lifetime) => settings::is_endless(lifetime),
            LeafNodeSource::Update | LeafNodeSource::Commit(_) => true,
        },
        capable: settings::are_capable(leaf.capabilities()),
    }
}

/// The device of the leaf at `index`.
pub(super) fn device_at(group: &MlsGroup, index: LeafNodeIndex) -> Result<DeviceId, MlsError> {
    let leaf = group.public_group().leaf(index).ok_or(MlsError::WrongSender)?;
    device_of(leaf.signature_key().as_slice())
}

fn device_of(key: &[u8]) -> Result<DeviceId, MlsError> {
    DeviceId::from_slice(key).ok_or(MlsError::Leaf)
}

fn of_proposal(group: &Group, queued: &QueuedProposal) -> ProposalFacts {
    if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
        return ProposalFacts::Other;
    }
    match queued.proposal() {
        Proposal::Add(add) => ProposalFacts::Add(of_leaf(add.key_package().leaf_node())),
        Proposal::Remove(remove) => device_at(&group.mls, remove.removed())
            .map_or(ProposalFacts::Other, ProposalFacts::Remove),
        Proposal::GroupContextExtensions(new) => group
            .settings()
            .version_alone(new.extensions())
            .map_or(ProposalFacts::Other, ProposalFacts::Version),
        _ => ProposalFacts::Other,
    }
}
