//! What a leaf or a commit is, in plain facts.

use openmls::prelude::{
    BasicCredential, Credential, CredentialType, LeafNode, LeafNodeIndex, MlsGroup, Proposal,
    ProposalOrRefType, QueuedProposal, StagedCommit,
};
use openmls::treesync::LeafNodeSource;

use super::{Addition, MlsError, PackageRef, crypto::SeededCrypto, settings};
use crate::{
    base::DeviceId,
    state::{
        authority::{CommitFacts, LeafFacts, ProposalFacts},
        identity::VerifiedCertificate,
    },
};

/// Reads a commit. `group` is the state it is made on.
pub(super) fn of_commit(
    group: &MlsGroup,
    sender: DeviceId,
    version: u16,
    commit: &StagedCommit,
) -> CommitFacts {
    CommitFacts {
        suite: settings::SUITE.into(),
        version,
        sender: Some(sender),
        path: commit.update_path_leaf_node().map(of_leaf),
        proposals: commit.queued_proposals().map(|queued| of_proposal(group, queued)).collect(),
    }
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

fn of_proposal(group: &MlsGroup, queued: &QueuedProposal) -> ProposalFacts {
    if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
        return ProposalFacts::Other;
    }
    match queued.proposal() {
        Proposal::Add(add) => ProposalFacts::Add(of_leaf(add.key_package().leaf_node())),
        Proposal::Remove(remove) => {
            device_at(group, remove.removed()).map_or(ProposalFacts::Other, ProposalFacts::Remove)
        }
        _ => ProposalFacts::Other,
    }
}
