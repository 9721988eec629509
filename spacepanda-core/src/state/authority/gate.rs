use std::collections::BTreeSet;

use super::{Act, Authority, CommitFacts, LeafFacts, Need, PermissionMatrix, ProposalFacts, Touch};
use crate::{
    base::{IdentityId, Tip, limits::ADDITIONS_PER_COMMIT_MAX},
    state::envelope::{Opened, Origin},
};

/// The one cipher suite: 0x0003 of RFC 9420, with Ed25519 signatures.
const SUITE: u16 = 0x0003;

/// What the gate let through: every function that changes state takes one, and only the gate makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized<T> {
    origin: Origin,
    content: T,
}

impl<T> Authorized<T> {
    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it says.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// What it says, owned.
    pub fn into_content(self) -> T {
        self.content
    }

    /// Lets content through that a unit test judges by itself.
    #[cfg(test)]
    pub(in crate::state) fn in_test(origin: Origin, content: T) -> Self {
        Self { origin, content }
    }
}

/// Why the gate stays shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No certificate in its past says whose device wrote it.
    #[error("nobody known wrote it")]
    Unknown,
    /// By its past, its author was no member.
    #[error("its author was no member")]
    NotMember,
    /// By its past, its author may not do this.
    #[error("its author lacks what it needs")]
    Lacking,
    /// It touches somebody of the same or a higher standing.
    #[error("it touches somebody who stands as high")]
    Standing,
    /// A commit that holds what no commit may.
    #[error("the commit breaks the policy: {0}")]
    Policy(&'static str),
}

impl Denied {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy(_) => "commit.policy",
            _ => "permission.denied",
        }
    }
}

/// Judges something by its own causal past, for ever: the only maker of [`Authorized`].
///
/// # Errors
/// Says why it is not let through.
pub fn authorize<T: Act>(
    authority: &Authority,
    opened: Opened<T>,
) -> Result<Authorized<T>, Denied> {
    authority.judge_need(opened.origin(), &opened.content().need())?;
    let (origin, content) = opened.into_parts();
    Ok(Authorized { origin, content })
}

impl Authority {
    /// Whether content counts as known now: entitled by its own past, and cut off by no removal.
    pub fn counts(&self, origin: &Origin, tip: &Tip, need: &Need) -> bool {
        self.judge_need(origin, need).is_ok() && !self.is_cut(origin, tip)
    }

    fn judge_need(&self, origin: &Origin, need: &Need) -> Result<(), Denied> {
        let past = self.resolve(&origin.past);
        let author = past.identity_of(&origin.device).ok_or(Denied::Unknown)?;
        if !past.is_member(&author) {
            return Err(Denied::NotMember);
        }
        match need {
            Need::Membership => Ok(()),
            Need::Capability { capability, touches, .. } => {
                if !past.allows(&author, *capability) {
                    return Err(Denied::Lacking);
                }
                let above = |touch: &Touch| match touch {
                    Touch::Identity(identity) => past.standing(identity) < past.standing(&author),
                };
                if touches.iter().all(above) { Ok(()) } else { Err(Denied::Standing) }
            }
            Need::Commit(facts) => self.judge_commit(&past, &author, origin, facts),
        }
    }

    /// The policy of commits (DESIGN 8), the same when sending, receiving, replaying and repairing.
    fn judge_commit(
        &self,
        past: &PermissionMatrix,
        author: &IdentityId,
        origin: &Origin,
        facts: &CommitFacts,
    ) -> Result<(), Denied> {
        let CommitFacts { suite, sender, path, proposals, .. } = facts;
        if *suite != SUITE {
            return Err(Denied::Policy("another cipher suite"));
        }
        if *sender != Some(origin.device) {
            return Err(Denied::Policy("its sender is not its envelope's device"));
        }
        if let Some(leaf) = path {
            let same = leaf.certificate.as_ref().is_some_and(|certificate| {
                certificate.identity() == *author && certificate.device() == origin.device
            });
            if !same || !leaf.capable {
                return Err(Denied::Policy("its path brings another leaf"));
            }
        }
        let mut seen = BTreeSet::new();
        let mut additions = 0;
        for proposal in proposals {
            match proposal {
                ProposalFacts::Add(leaf) => {
                    additions += 1;
                    let device = Self::judge_addition(past, leaf)?;
                    if !seen.insert(device) {
                        return Err(Denied::Policy("a device twice"));
                    }
                }
                ProposalFacts::Remove(device) => {
                    let identity = past.identity_of(device);
                    if identity.is_some_and(|identity| past.is_member(&identity)) {
                        return Err(Denied::Policy("it removes a member"));
                    }
                    if !seen.insert(*device) {
                        return Err(Denied::Policy("a device twice"));
                    }
                }
                ProposalFacts::Other => {
                    return Err(Denied::Policy("a proposal that no commit may hold"));
                }
            }
        }
        if additions > ADDITIONS_PER_COMMIT_MAX {
            return Err(Denied::Policy("too many additions"));
        }
        Ok(())
    }

    fn judge_addition(
        past: &PermissionMatrix,
        leaf: &LeafFacts,
    ) -> Result<crate::base::DeviceId, Denied> {
        let Some(certificate) = &leaf.certificate else {
            return Err(Denied::Policy("a leaf without a certificate"));
        };
        let (device, identity) = (certificate.device(), certificate.identity());
        if past.identity_of(&device) != Some(identity) || !past.is_member(&identity) {
            return Err(Denied::Policy("it adds somebody who is no member"));
        }
        if !leaf.endless || !leaf.capable {
            return Err(Denied::Policy("a leaf that could split the group"));
        }
        Ok(device)
    }
}
