use super::{
    Act, Authority, Because, Capability, Explanation, Need, PermissionMatrix, Touch,
    policy::{self, CommitFault},
};
use crate::{
    base::{Bug, ChannelId, EnvelopeId, IdentityId},
    state::envelope::{Opened, Origin},
};

/// Why something was not let through, or an operation does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Part of its past is not here yet: it must wait for this envelope.
    #[error("{0} is missing, and it was written knowing that")]
    Missing(EnvelopeId),
    /// By its past nobody vouches for its device.
    #[error("its device is certified by nobody who was let in")]
    Stranger,
    /// By its past its device was revoked, or is one too many of its author's.
    #[error("its device was revoked, or is one too many of its author's")]
    Device,
    /// Its author is no member.
    #[error("its author is not a member")]
    NotMember,
    /// Its author lacks a capability.
    #[error("its author lacks the capability {}", .0.name())]
    Capability(Capability),
    /// It acts on somebody who does not stand below its author.
    #[error("it acts on somebody who does not stand below its author")]
    Rank,
    /// No such channel counts in its past.
    #[error("its channel is not known in its past")]
    Channel,
    /// What it names is not in its past.
    #[error("what it names is not in its past, or is of another kind")]
    Unnamed,
    /// The invite was revoked, or does not count.
    #[error("the invite is not in force")]
    Revoked,
    /// It is stamped after the invite's last.
    #[error("the invite has expired")]
    Expired,
    /// All uses of the invite are taken.
    #[error("the invite is used up")]
    UsedUp,
    /// Somebody came in by the same request before, and was put out or went since.
    #[error("its request let somebody in before, who is out since")]
    Spent,
    /// The commit holds something that its past does not call for.
    #[error("the commit is refused: {0}")]
    Commit(#[from] CommitFault),
}

impl Denied {
    /// A stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "authority.missing",
            Self::Stranger => "permission.stranger",
            Self::Device => "permission.device",
            Self::NotMember => "permission.not_member",
            Self::Capability(_) => "permission.denied",
            Self::Rank => "permission.rank",
            Self::Channel => "channel.unknown",
            Self::Unnamed => "authority.unnamed",
            Self::Revoked => "invite.revoked",
            Self::Expired => "invite.expired",
            Self::UsedUp => "invite.used_up",
            Self::Spent => "request.spent",
            Self::Commit(_) => "commit.policy",
        }
    }

    /// Whether the same may be let through later, when more is known.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

/// What the gate let through: every function that changes state takes one, and only the gate makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized<T> {
    origin: Origin,
    content: T,
}

impl<T> Authorized<T> {
    /// Lets `opened` through. The gate alone calls it, after it has judged.
    fn let_through(opened: Opened<T>) -> Self {
        let (origin, content) = opened.into_parts();
        Self { origin, content }
    }

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

    /// Lets content through that a unit test judges by itself, or that samples for fuzzing are made of.
    #[cfg(any(test, fuzzing))]
    pub(in crate::state) fn in_test(origin: Origin, content: T) -> Self {
        Self { origin, content }
    }
}

/// Lets through what its author was entitled to by its own past. The verdict is the same everywhere
/// and for ever; that a removal cuts something off is said by [`Authority::is_cut`], and changes.
///
/// # Errors
/// Says what is missing. Only [`Denied::Missing`] may change, when that arrives.
pub fn authorize<T: Act>(
    authority: &Authority,
    opened: Opened<T>,
) -> Result<Authorized<T>, Denied> {
    judge(authority, opened.origin(), &opened.content().need())?;
    Ok(Authorized::let_through(opened))
}

pub(super) fn judge(authority: &Authority, origin: &Origin, need: &Need) -> Result<(), Denied> {
    let past = authority.resolve(&origin.past).map_err(|missing| Denied::Missing(missing.0))?;
    let by_now = Bug::JudgesByNow.is_planted() && matches!(need, Need::Commit(_));
    let past = if by_now { authority.now() } else { past };
    let author = authority.certifies(&origin.past, &origin.device).ok_or(Denied::Stranger)?;
    // Whose author is no member has no device either, and is told that.
    if past.member(&author).is_some() && past.device(&origin.device) != Some(author) {
        return Err(Denied::Device);
    }
    let home = authority.beyond_control(&origin.channel);
    if home.is_some_and(|channel| !past.channels().contains_key(channel)) {
        return Err(Denied::Channel);
    }
    match need {
        Need::Membership if past.member(&author).is_some() => Ok(()),
        Need::Membership => Err(Denied::NotMember),
        Need::Capability { capability, channel, touches } => {
            let channel = channel.as_ref().and_then(|channel| authority.beyond_control(channel));
            may(&past, &author, channel, *capability)?;
            touches.iter().try_for_each(|touch| above(&past, &author, touch))
        }
        Need::Commit(_) if Bug::MergesAnyCommit.is_planted() => Ok(()),
        Need::Commit(facts) => {
            may(&past, &author, home, Capability::ViewChannel)?;
            Ok(policy::check(&past, home, origin.device, author, facts)?)
        }
    }
}

fn may(
    past: &PermissionMatrix,
    author: &IdentityId,
    channel: Option<&ChannelId>,
    capability: Capability,
) -> Result<(), Denied> {
    let Explanation { allowed, because } = past.explain(author, channel, capability);
    match because {
        _ if allowed => Ok(()),
        Because::NotMember | Because::Removed(_) => Err(Denied::NotMember),
        Because::NoChannel => Err(Denied::Channel),
        _ => Err(Denied::Capability(capability)),
    }
}

/// Whoever is no member stands below every member; nobody needs power over themselves.
fn above(past: &PermissionMatrix, author: &IdentityId, touch: &Touch) -> Result<(), Denied> {
    let Touch::Identity(touched) = touch;
    let standing = |who| past.member(who).map(|member| member.standing);
    let above = touched == author || standing(touched) < standing(author);
    if above { Ok(()) } else { Err(Denied::Rank) }
}
