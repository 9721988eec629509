use std::collections::BTreeSet;

use super::{Capability, CommitFacts, LeafFacts, PermissionMatrix, ProposalFacts};
use crate::base::{ChannelId, DeviceId, IdentityId, limits::ADDITIONS_PER_COMMIT_MAX};

/// MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519 (RFC 9420, 17.1).
const SUITE: u16 = 0x0003;

/// What a commit holds that its past does not call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitFault {
    /// A suite that is not allowed.
    #[error("its cipher suite is not allowed")]
    Suite,
    /// MLS authenticated another device than the envelope's author, or none.
    #[error("its MLS sender is not the author")]
    Sender,
    /// The author's device does not count.
    #[error("its author's device does not count")]
    Device,
    /// The path brings a leaf that is not the author's own, or lacks a capability.
    #[error("its path brings a leaf that is not its author's")]
    Path,
    /// Somebody is added who may not read, or with a leaf that is not sound.
    #[error("it adds a device that may not read, or with an unsound leaf")]
    Addition,
    /// Somebody is removed who may read and is not added again in the same commit.
    #[error("it removes a device that may read")]
    Removal,
    /// The same device twice, or more additions than allowed.
    #[error("it names a device twice, or more than allowed")]
    Count,
    /// The group would not move up, or a leaf could not speak the version that it moves to or has.
    #[error("its version does not go up, or a leaf cannot speak it")]
    Version,
    /// A proposal of a kind that is refused.
    #[error("it holds a proposal of a kind that is refused")]
    Proposal,
}

/// What a commit's header says of it.
#[derive(Debug, Clone, Copy)]
pub struct CommitHeader<'a> {
    /// Who made it.
    pub device: DeviceId,
    /// The devices it adds.
    pub adds: &'a [DeviceId],
    /// The devices it removes.
    pub removes: &'a [DeviceId],
}

/// Checks that a commit holds nothing but what its causal past calls for: additions by value of
/// devices that may read, removals by value of devices that may not, its author's own path, and the
/// version going up. It never leads to a leaf that cannot speak the group's version.
///
/// The removal of a device that may read passes if the same commit adds it again: it pleaded, which
/// the commit tree checks.
pub(super) fn check(
    past: &PermissionMatrix,
    channel: Option<&ChannelId>,
    device: DeviceId,
    author: IdentityId,
    facts: &CommitFacts,
) -> Result<(), CommitFault> {
    if facts.suite != SUITE {
        return Err(CommitFault::Suite);
    }
    if facts.sender != Some(device) {
        return Err(CommitFault::Sender);
    }
    if past.device(&device) != Some(author) {
        return Err(CommitFault::Device);
    }
    if !facts.path.as_ref().is_none_or(|leaf| is_sound(leaf, device, author)) {
        return Err(CommitFault::Path);
    }
    check_proposals(past, channel, &facts.proposals)?;
    check_version(facts)
}

/// Whether a commit's header alone shows that the policy refuses it: its author may not commit, or it adds
/// or removes whom its past does not call for. A header that says otherwise than its commit is refused
/// where the commit is processed.
pub(super) fn forbids(past: &PermissionMatrix, header: &CommitHeader<'_>) -> bool {
    let CommitHeader { device, adds, removes } = header;
    let reads = |device: &DeviceId| may_read(past, None, device);
    let stays = |device: &DeviceId| !adds.contains(device) && reads(device);
    !reads(device) || !adds.iter().all(reads) || removes.iter().any(stays)
}

fn check_proposals(
    past: &PermissionMatrix,
    channel: Option<&ChannelId>,
    proposals: &[ProposalFacts],
) -> Result<(), CommitFault> {
    let (mut added, mut removed, mut moves) = (BTreeSet::new(), BTreeSet::new(), false);
    for proposal in proposals {
        let is_new = match proposal {
            ProposalFacts::Add(leaf) => added.insert(addition(past, channel, leaf)?),
            ProposalFacts::Remove(device) => removed.insert(*device),
            ProposalFacts::Version(_) => !std::mem::replace(&mut moves, true),
            ProposalFacts::Other => return Err(CommitFault::Proposal),
        };
        if !is_new || added.len() > ADDITIONS_PER_COMMIT_MAX {
            return Err(CommitFault::Count);
        }
    }
    let may_stay = |device: &DeviceId| !added.contains(device) && may_read(past, channel, device);
    if removed.iter().any(may_stay) { Err(CommitFault::Removal) } else { Ok(()) }
}

fn check_version(facts: &CommitFacts) -> Result<(), CommitFault> {
    let moved = facts.proposals.iter().find_map(|proposal| match proposal {
        ProposalFacts::Version(to) => Some(*to),
        _ => None,
    });
    let goes_up = moved.is_none_or(|to| to > facts.version);
    let spoken = facts.spoken.contains(&moved.unwrap_or(facts.version));
    if goes_up && spoken { Ok(()) } else { Err(CommitFault::Version) }
}

fn addition(
    past: &PermissionMatrix,
    channel: Option<&ChannelId>,
    leaf: &LeafFacts,
) -> Result<DeviceId, CommitFault> {
    let certificate = leaf.certificate.as_ref().ok_or(CommitFault::Addition)?;
    let (device, identity) = (certificate.device(), certificate.identity());
    let sound = is_sound(leaf, device, identity)
        && past.device(&device) == Some(identity)
        && may_read(past, channel, &device);
    if sound { Ok(device) } else { Err(CommitFault::Addition) }
}

fn is_sound(leaf: &LeafFacts, device: DeviceId, identity: IdentityId) -> bool {
    let is_theirs = leaf.certificate.as_ref().is_some_and(|certificate| {
        certificate.device() == device && certificate.identity() == identity
    });
    is_theirs && leaf.capable && leaf.endless
}

fn may_read(past: &PermissionMatrix, channel: Option<&ChannelId>, device: &DeviceId) -> bool {
    past.device(device)
        .is_some_and(|identity| past.allows(&identity, channel, Capability::ViewChannel))
}
