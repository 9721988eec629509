//! The commit tree: which of a group's MLS states everybody stands on, decided from headers alone.
//!
//! Commits and votes are grow-only sets. From them, and from what authority says ([`View`]), every
//! device computes the same walk from the root to the *head* ([`CommitTree::choose`]), and the *stand*,
//! where it encrypts until it can reach the head ([`CommitTree::stand`]). The order in which facts
//! arrive decides nothing. Nothing here knows MLS, bytes, clocks or storage.

mod choice;
mod facts;
mod lineage;
mod reading;
mod roster;
mod support;
mod vote;
mod window;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use choice::Choice;
pub use facts::{Addition, Commit, Root, View, Vote};
pub use window::{Kept, Window};

use reading::Reading;

use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

/// All roots, commits and votes of one group, and the verdicts about commits known here.
///
/// Facts are keyed by their envelope; a fact that is added twice is one. A commit or vote whose state
/// nobody has claimed yet is kept and takes its place when the claim arrives.
#[derive(Debug, Clone, Default)]
pub struct CommitTree {
    roots: BTreeMap<EnvelopeId, Root>,
    nodes: Vec<Node>,
    places: BTreeMap<EnvelopeId, usize>,
    votes: BTreeMap<EnvelopeId, Vote>,
    /// Who made each state, by their own word: roots and commits. Of several at most one is true.
    claims: BTreeMap<StateId, BTreeSet<EnvelopeId>>,
    /// The states that several claim.
    contested: BTreeSet<StateId>,
    commits_on: BTreeMap<StateId, Vec<usize>>,
    votes_for: BTreeMap<StateId, BTreeSet<EnvelopeId>>,
    by_device: BTreeMap<(DeviceId, StateId), usize>,
    verdicts: BTreeMap<EnvelopeId, Verdict>,
    /// The commits of which authority forbids what their headers say.
    forbidden: BTreeSet<EnvelopeId>,
    /// A small number for each identity that wrote something, so that sets of them are bits.
    people: BTreeMap<IdentityId, usize>,
}

#[derive(Debug, Clone)]
struct Node {
    commit: Commit,
    person: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid,
    Invalid,
    /// Its path holds no secret for this device.
    Unreadable,
}

impl CommitTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a root. Returns whether it is new.
    pub fn add_root(&mut self, root: Root) -> bool {
        if self.roots.contains_key(&root.envelope) {
            return false;
        }
        self.claim(root.state, root.envelope);
        self.roots.insert(root.envelope, root);
        true
    }

    /// Adds a commit. Returns whether it is new.
    pub fn add_commit(&mut self, commit: Commit) -> bool {
        if self.places.contains_key(&commit.envelope) {
            return false;
        }
        let place = self.nodes.len();
        self.places.insert(commit.envelope, place);
        self.claim(commit.child, commit.envelope);
        self.commits_on.entry(commit.parent).or_default().push(place);
        *self.by_device.entry((commit.device, commit.parent)).or_default() += 1;
        let person = self.number(commit.identity);
        self.nodes.push(Node { commit, person });
        true
    }

    /// Adds a vote. Returns whether it is new.
    pub fn add_vote(&mut self, vote: Vote) -> bool {
        if self.votes.contains_key(&vote.envelope) {
            return false;
        }
        self.number(vote.identity);
        self.votes_for.entry(vote.state).or_default().insert(vote.envelope);
        self.votes.insert(vote.envelope, vote);
        true
    }

    /// Notes that a state was entered by this commit: by making it, processing it on its parent, or by its
    /// welcome. Whatever else claims that state is false from then on, so say it of each state entered.
    /// May be said before the commit is added; the last word holds.
    pub fn mark_valid(&mut self, commit: EnvelopeId) {
        self.verdicts.insert(commit, Verdict::Valid);
    }

    /// Notes that a commit is invalid: it is passed over, with all below it, and supports what is above
    /// it as before. May be said before the commit is added; the last word holds. Returns whether that is new.
    pub fn mark_invalid(&mut self, commit: EnvelopeId) -> bool {
        self.verdicts.insert(commit, Verdict::Invalid) != Some(Verdict::Invalid)
    }

    /// Notes that a commit cannot be entered here since its path holds no secret for this device. Such a path
    /// may be garbled for this device alone: the commit is passed over until somebody else is known to have
    /// gone on from it. Returns whether that is new.
    pub fn mark_unreadable(&mut self, commit: EnvelopeId) -> bool {
        self.verdicts.insert(commit, Verdict::Unreadable) != Some(Verdict::Unreadable)
    }

    /// Notes that authority, as the commit's own past resolves, forbids what its header says: it is void,
    /// for whoever holds its parent and for whoever never did.
    pub fn forbid(&mut self, commit: EnvelopeId) {
        self.forbidden.insert(commit);
    }

    /// Whether a commit is void whatever its body holds: authority forbids what it says; or it removes and adds the same device, which did
    /// not plead in its past to be added again by that package; or its log,
    /// followed back from it, already holds a commit of that device on the same parent (on two branches of
    /// a forked log neither is before the other); or its past already holds a claim to the state that it
    /// says it makes. `false` if the commit is not known.
    pub fn is_void(&self, view: &dyn View, commit: &EnvelopeId) -> bool {
        self.places.get(commit).is_some_and(|place| Reading::of(self, view).void(*place))
    }

    fn claim(&mut self, state: StateId, envelope: EnvelopeId) {
        let claims = self.claims.entry(state).or_default();
        claims.insert(envelope);
        if claims.len() > 1 {
            self.contested.insert(state);
        }
    }

    fn number(&mut self, identity: IdentityId) -> usize {
        let next = self.people.len();
        *self.people.entry(identity).or_insert(next)
    }

    fn commit(&self, place: usize) -> &Commit {
        &self.nodes[place].commit
    }

    /// The log is followed only where another commit of that device on that parent is known at all, and
    /// at most as far as there are commits.
    fn repeats(&self, commit: &Commit) -> bool {
        if self.by_device.get(&(commit.device, commit.parent)).is_none_or(|count| *count < 2) {
            return false;
        }
        let earlier = |before: &Commit| self.places.get(&before.own_previous?).copied();
        let log = std::iter::successors(earlier(commit), |place| earlier(self.commit(*place)));
        log.take(self.nodes.len()).map(|place| self.commit(place)).any(|before| {
            before.envelope != commit.envelope
                && before.device == commit.device
                && before.parent == commit.parent
        })
    }
}
