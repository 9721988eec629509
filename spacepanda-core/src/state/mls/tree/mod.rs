//! The commit tree: which state of a group everybody chooses, as a function of headers alone
//! (COMMIT-TREE 1 to 7 and 13). No key and no MLS is needed to weigh a branch.

mod choice;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

pub use choice::{Choice, View};
pub use window::{Ended, KeptState, Window};

/// The first state of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The envelope that says so.
    pub envelope: EnvelopeId,
    /// How often the group has started over.
    pub generation: u32,
    /// The state.
    pub state: StateId,
    /// Whose leaf it begins with.
    pub author: IdentityId,
    /// That leaf.
    pub device: DeviceId,
}

/// A commit, as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The envelope that carries it.
    pub envelope: EnvelopeId,
    /// The device that wrote it.
    pub device: DeviceId,
    /// Whose device that is.
    pub identity: IdentityId,
    /// The state it was made on.
    pub parent: StateId,
    /// The state it says it leads to.
    pub child: StateId,
    /// Whom it adds, by which key package.
    pub adds: Vec<Added>,
    /// Whom it removes.
    pub removes: Vec<DeviceId>,
    /// The nearest commit before it in its own log.
    pub own_previous: Option<EnvelopeId>,
}

/// A leaf that a commit brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Whose leaf.
    pub device: DeviceId,
    /// Whose device that is.
    pub identity: IdentityId,
    /// The reference of its key package.
    pub package: [u8; 32],
}

/// Support for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// The envelope that carries it.
    pub envelope: EnvelopeId,
    /// Whose it is.
    pub identity: IdentityId,
    /// For which state.
    pub state: StateId,
}

/// One commit on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathStep {
    /// The commit.
    pub envelope: EnvelopeId,
    /// The state it was made on.
    pub parent: StateId,
    /// The state it leads to.
    pub child: StateId,
}

/// The states of one group. In which order commits and votes came makes no difference.
#[derive(Debug, Clone, Default)]
pub struct CommitTree {
    roots: Vec<Root>,
    commits: BTreeMap<EnvelopeId, Commit>,
    /// Per state, the commits made on it.
    on: BTreeMap<StateId, BTreeSet<EnvelopeId>>,
    /// Per state, the commits that say they lead to it. All but one lie.
    to: BTreeMap<StateId, BTreeSet<EnvelopeId>>,
    votes: BTreeMap<StateId, BTreeMap<EnvelopeId, IdentityId>>,
    void: BTreeSet<EnvelopeId>,
    invalid: BTreeSet<EnvelopeId>,
}

impl CommitTree {
    /// A tree of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a root.
    pub fn add_root(&mut self, root: Root) {
        if self.roots.iter().all(|known| known.envelope != root.envelope) {
            self.roots.push(root);
        }
    }

    /// Adds a commit; its parent may come later.
    pub fn add_commit(&mut self, commit: Commit) {
        if self.commits.contains_key(&commit.envelope) {
            return;
        }
        if self.contradicts_itself(&commit) || self.repeats_its_log(&commit) {
            self.void.insert(commit.envelope);
        }
        self.on.entry(commit.parent).or_default().insert(commit.envelope);
        self.to.entry(commit.child).or_default().insert(commit.envelope);
        self.commits.insert(commit.envelope, commit);
    }

    /// Adds a vote.
    pub fn add_vote(&mut self, vote: Vote) {
        self.votes.entry(vote.state).or_default().insert(vote.envelope, vote.identity);
    }

    /// Notes that a commit was processed and is not valid. It stays in the tree, passed over.
    pub fn mark_invalid(&mut self, commit: &EnvelopeId) {
        self.invalid.insert(*commit);
    }

    /// Whether a commit's header alone makes it void (COMMIT-TREE 2).
    pub fn is_void(&self, commit: &EnvelopeId) -> bool {
        self.void.contains(commit)
    }

    /// Whether a state is a root, or some commit says that it leads to it.
    pub fn contains(&self, state: &StateId) -> bool {
        self.to.contains_key(state) || self.roots.iter().any(|root| root.state == *state)
    }

    /// The commits that lead from a root to a state; `None` if none do, empty for a root. Of several
    /// ways the shortest is taken, then the one by the commits of lowest id.
    pub fn path_to(&self, state: &StateId) -> Option<Vec<PathStep>> {
        let mut next: BTreeMap<StateId, PathStep> = BTreeMap::new();
        let mut queue = VecDeque::from([*state]);
        let mut seen = BTreeSet::from([*state]);
        while let Some(at) = queue.pop_front() {
            if self.roots.iter().any(|root| root.state == at) {
                return Some(follow(&next, at, state));
            }
            for id in self.to.get(&at).into_iter().flatten().filter(|id| !self.is_refused(id)) {
                let Commit { envelope, parent, child, .. } = self.commits[id];
                if seen.insert(parent) {
                    next.insert(parent, PathStep { envelope, parent, child });
                    queue.push_back(parent);
                }
            }
        }
        None
    }

    /// The leaves of a state, by headers alone; empty for one that no root leads to.
    pub fn devices(&self, state: &StateId) -> BTreeMap<DeviceId, IdentityId> {
        let Some(path) = self.path_to(state) else { return BTreeMap::new() };
        let first = path.first().map_or(*state, |step| step.parent);
        let root = self.roots.iter().filter(|root| root.state == first);
        let mut leaves = root.map(|root| (root.device, root.author)).collect();
        for step in path {
            change(&mut leaves, &self.commits[&step.envelope]);
        }
        leaves
    }

    /// The references of the key packages that the path to a state has used.
    pub fn used_packages(&self, state: &StateId) -> BTreeSet<[u8; 32]> {
        let path = self.path_to(state).unwrap_or_default();
        let adds = path.iter().flat_map(|step| &self.commits[&step.envelope].adds);
        adds.map(|added| added.package).collect()
    }

    fn is_refused(&self, commit: &EnvelopeId) -> bool {
        self.void.contains(commit) || self.invalid.contains(commit)
    }

    /// Removing and adding one device is for pleas alone.
    fn contradicts_itself(&self, commit: &Commit) -> bool {
        commit.parent == commit.child
            || commit.adds.iter().any(|added| commit.removes.contains(&added.device))
    }

    /// Whether its own log, followed back from it, holds a commit on the same parent.
    fn repeats_its_log(&self, commit: &Commit) -> bool {
        let mut before = commit.own_previous;
        let mut seen = BTreeSet::new();
        while let Some(earlier) = before.filter(|id| seen.insert(*id)) {
            let Some(earlier) = self.commits.get(&earlier) else { return false };
            if earlier.parent == commit.parent {
                return true;
            }
            before = earlier.own_previous;
        }
        false
    }
}

/// The steps from `at` down to `state`.
fn follow(next: &BTreeMap<StateId, PathStep>, mut at: StateId, state: &StateId) -> Vec<PathStep> {
    let mut path = Vec::new();
    while at != *state {
        let Some(step) = next.get(&at) else { break };
        path.push(*step);
        at = step.child;
    }
    path
}

/// Applies a commit to the leaves of its parent.
fn change(leaves: &mut BTreeMap<DeviceId, IdentityId>, commit: &Commit) {
    for device in &commit.removes {
        leaves.remove(device);
    }
    for added in &commit.adds {
        leaves.insert(added.device, added.identity);
    }
}
