use std::collections::BTreeSet;

use super::Capability;
use crate::{
    base::{ChannelId, DeviceId, IdentityId},
    state::identity::VerifiedCertificate,
};

/// Something that only the gate lets through.
pub trait Act {
    /// What its author must have.
    fn need(&self) -> Need;
}

/// What an act needs of its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// To be a member.
    Membership,
    /// A capability, over whatever the act touches.
    Capability {
        /// Which.
        capability: Capability,
        /// In which channel; `None` for the server.
        channel: Option<ChannelId>,
        /// Whom and what it touches.
        touches: Vec<Touch>,
    },
    /// That the commit holds nothing but what its own past calls for: the policy of commits.
    Commit(CommitFacts),
}

/// Whom an act touches: its author must stand above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Touch {
    /// A person.
    Identity(IdentityId),
}

/// A commit in plain facts, as its group read them off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The cipher suite (RFC 9420, 17.1).
    pub suite: u16,
    /// The protocol version of the group it is made in.
    pub version: u16,
    /// The versions that every leaf can speak in the tree that it leads to.
    pub spoken: BTreeSet<u16>,
    /// The leaf that MLS authenticated as the sender; `None` for whoever is no member.
    pub sender: Option<DeviceId>,
    /// The committer's new leaf, if the commit has a path.
    pub path: Option<LeafFacts>,
    /// Every proposal in it.
    pub proposals: Vec<ProposalFacts>,
}

/// A leaf that a commit would bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafFacts {
    /// Its credential, if it is a certificate that checks out, for the leaf's signature key.
    pub certificate: Option<VerifiedCertificate>,
    /// Whether its lifetime is exactly (0, 2^64 - 1), or it has none because it is no key package.
    pub endless: bool,
    /// Whether its capabilities hold what every leaf's must.
    pub capable: bool,
}

/// One proposal of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposalFacts {
    /// An addition by value.
    Add(LeafFacts),
    /// A removal by value, of this device's leaf.
    Remove(DeviceId),
    /// New extensions of the context, by value, in which nothing is new but this protocol version.
    Version(u16),
    /// Anything else: by reference, or of a kind that is refused.
    Other,
}
