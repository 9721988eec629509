use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Commit, CommitTree, Root, change};
use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

/// What the tree has to ask: authority and holdings, as known now.
pub trait View {
    /// How senior somebody is; the least is the most senior.
    type Seniority: Ord;

    /// Whether what somebody wrote supports anything: not, if a counting removal of them does not have
    /// it in its past (COMMIT-TREE 3).
    fn counts(&self, envelope: &EnvelopeId) -> bool;

    /// How senior somebody is.
    fn seniority(&self, identity: &IdentityId) -> Self::Seniority;

    /// The standing of a root's author, by the root's own past.
    fn standing(&self, root: &EnvelopeId) -> u64;

    /// Whether somebody is no member, by authority as known.
    fn is_out(&self, identity: &IdentityId) -> bool;

    /// Whether a commit's body is held.
    fn body_held(&self, commit: &EnvelopeId) -> bool;
}

/// What everybody who holds the same chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The end of the walk.
    pub head: StateId,
    /// Every state of the walk, from the root to the head.
    pub path: Vec<StateId>,
    /// The commits between them.
    pub commits: Vec<EnvelopeId>,
}

type Leaves = BTreeMap<DeviceId, IdentityId>;

impl CommitTree {
    /// Walks from the root of the newest generation down to the head (COMMIT-TREE 4 and 5); `None`
    /// without a root.
    pub fn choose(&self, view: &impl View) -> Option<Choice> {
        self.walk(view, |_| true, |_, _, _| {})
    }

    /// The end of the same walk over what can be reached: kept states, and what leads to them.
    pub fn stand(&self, view: &impl View, kept: &impl Fn(&StateId) -> bool) -> Option<StateId> {
        let leads = self.leading_to(kept);
        let walked = self.walk(view, |state| leads.contains(state), |_, _, _| {})?;
        walked.path.into_iter().rev().find(|state| kept(state))
    }

    /// The head, if `me` has to vote for it before choosing anew (COMMIT-TREE 6).
    pub fn vote_due(
        &self,
        view: &impl View,
        me: &IdentityId,
        stand: &StateId,
    ) -> Option<StateId> {
        let mut due = false;
        let choice = self.walk(
            view,
            |_| true,
            |parent, leaves, chosen| {
                due = due || self.is_undecided(view, me, parent, leaves, chosen);
            },
        )?;
        let last = choice.commits.last().map(|id| &self.commits[id]);
        let by_somebody_in = last.is_none_or(|commit| !view.is_out(&commit.identity));
        (due && choice.head == *stand && by_somebody_in).then_some(choice.head)
    }

    /// Whether at `parent` several children compete, none has more than half of the roster, and `me`,
    /// who is in it, does not yet support the chosen one.
    fn is_undecided(
        &self,
        view: &impl View,
        me: &IdentityId,
        parent: &StateId,
        leaves: &Leaves,
        chosen: &Commit,
    ) -> bool {
        let children = self.on.get(parent).map_or(0, BTreeSet::len);
        if children < 2 {
            return false;
        }
        let roster: BTreeSet<_> = leaves.values().copied().collect();
        if !roster.contains(me) {
            return false;
        }
        let support = |id: &EnvelopeId| self.supporters(view, &self.commits[id], &roster);
        let decided = self.on[parent].iter().any(|id| support(id).len() * 2 > roster.len());
        !decided && !support(&chosen.envelope).contains(me)
    }

    fn walk(
        &self,
        view: &impl View,
        allowed: impl Fn(&StateId) -> bool,
        mut passing: impl FnMut(&StateId, &Leaves, &Commit),
    ) -> Option<Choice> {
        let root = self.root(view)?;
        let mut leaves = Leaves::from([(root.device, root.author)]);
        let mut choice =
            Choice { head: root.state, path: vec![root.state], commits: Vec::new() };
        let mut seen = BTreeSet::from([root.state]);
        while let Some(next) = self.least_child(view, &choice.head, &leaves, |commit| {
            allowed(&commit.child) && !seen.contains(&commit.child)
        }) {
            passing(&choice.head, &leaves, next);
            change(&mut leaves, next);
            seen.insert(next.child);
            choice.head = next.child;
            choice.path.push(next.child);
            choice.commits.push(next.envelope);
        }
        Some(choice)
    }

    fn root(&self, view: &impl View) -> Option<&Root> {
        self.roots.iter().min_by_key(|root| {
            let standing = Reverse(view.standing(&root.envelope));
            (Reverse(root.generation), standing, root.envelope)
        })
    }

    /// Of the children not passed over, the least `(-support, class, seniority, child)`.
    fn least_child(
        &self,
        view: &impl View,
        parent: &StateId,
        leaves: &Leaves,
        allowed: impl Fn(&Commit) -> bool,
    ) -> Option<&Commit> {
        let mut on = self.on.get(parent)?.iter().map(|id| &self.commits[id]);
        let roster: BTreeSet<_> = leaves.values().copied().collect();
        let open = |commit: &&Commit| allowed(commit) && !self.is_passed_over(view, commit, &roster);
        let first = on.find(open)?;
        let Some(second) = on.find(open) else { return Some(first) };
        [first, second].into_iter().chain(on.filter(open)).min_by_key(|commit| {
            let support = self.supporters(view, commit, &roster).len();
            let class = u8::from(!self.somebody_leaves(commit, leaves, &roster));
            let seniority = view.seniority(&commit.identity);
            (Reverse(support), class, seniority, commit.child, commit.envelope)
        })
    }

    fn is_passed_over(
        &self,
        view: &impl View,
        commit: &Commit,
        roster: &BTreeSet<IdentityId>,
    ) -> bool {
        if self.is_refused(&commit.envelope) {
            return true;
        }
        !view.body_held(&commit.envelope)
            && self.supporters(view, commit, roster).iter().all(|id| *id == commit.identity)
    }

    fn somebody_leaves(
        &self,
        commit: &Commit,
        leaves: &Leaves,
        roster: &BTreeSet<IdentityId>,
    ) -> bool {
        let mut after = leaves.clone();
        change(&mut after, commit);
        let after: BTreeSet<_> = after.values().collect();
        roster.iter().any(|identity| !after.contains(identity))
    }

    /// Who of `roster` wrote a commit or a vote at the commit's child or below (COMMIT-TREE 3).
    fn supporters(
        &self,
        view: &impl View,
        commit: &Commit,
        roster: &BTreeSet<IdentityId>,
    ) -> BTreeSet<IdentityId> {
        let mut found = BTreeSet::new();
        let mut count = |envelope: &EnvelopeId, identity: &IdentityId| {
            if roster.contains(identity) && !found.contains(identity) && view.counts(envelope) {
                found.insert(*identity);
            }
        };
        count(&commit.envelope, &commit.identity);
        let mut seen = BTreeSet::from([commit.parent, commit.child]);
        let mut below = vec![commit.child];
        while let Some(state) = below.pop() {
            for (envelope, identity) in self.votes.get(&state).into_iter().flatten() {
                count(envelope, identity);
            }
            for id in self.on.get(&state).into_iter().flatten() {
                let commit = &self.commits[id];
                count(id, &commit.identity);
                if seen.insert(commit.child) {
                    below.push(commit.child);
                }
            }
        }
        found
    }

    /// Kept states, and everything above them.
    fn leading_to(&self, kept: &impl Fn(&StateId) -> bool) -> BTreeSet<StateId> {
        let mut leads: BTreeSet<StateId> = self.to.keys().filter(|id| kept(id)).copied().collect();
        let mut queue: Vec<_> = leads.iter().copied().collect();
        while let Some(state) = queue.pop() {
            for id in self.to.get(&state).into_iter().flatten() {
                let parent = self.commits[id].parent;
                if leads.insert(parent) {
                    queue.push(parent);
                }
            }
        }
        leads
    }
}
