use std::{cell::OnceCell, cmp::Reverse, collections::BTreeSet};

use super::{
    Commit, CommitTree, Root, View,
    roster::{Change, Roster},
    support::Support,
};
use crate::base::{EnvelopeId, StateId};

/// A walk from a root down to where it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The root it began at.
    pub root: EnvelopeId,
    /// The state it ended at.
    pub head: StateId,
    /// The states on it, the root's first, the head last.
    pub path: Vec<StateId>,
    /// The commits on it: the n-th leads from the n-th state to the next.
    pub commits: Vec<EnvelopeId>,
}

impl CommitTree {
    /// The path that everybody with the same facts chooses; its end is the head. `None` without a root
    /// that counts.
    ///
    /// From the root of the newest generation, at each state the least child by (most support among the
    /// people of that state, somebody leaves, seniority of the committer, child id). Passed over, with
    /// all below: what is void or known to be invalid, what leads back to a state on the path, and what
    /// has no body here and no supporter but its committer. Time: linear in commits and votes, and in
    /// the length of the path alone where nothing ever forked.
    pub fn choose(&self, view: &dyn View) -> Option<Choice> {
        self.walk(view, &|_| true)
    }

    /// Where this device encrypts: the end (`head`) of the same walk over what it can reach. `None` if
    /// that is nothing. It is the head if that can be reached.
    ///
    /// `reachable` says of a state whether it is kept, or can be had by replay or by a welcome. States
    /// above it need not be.
    pub fn stand(&self, view: &dyn View, reachable: &dyn Fn(&StateId) -> bool) -> Option<Choice> {
        self.walk(view, reachable)
    }

    fn walk(&self, view: &dyn View, reachable: &dyn Fn(&StateId) -> bool) -> Option<Choice> {
        let root = self.newest_root(view)?;
        let mut walk = Walk::from(self, view, root);
        loop {
            let top = walk.steps.last_mut()?;
            if let Some(next) = top.candidates.pop() {
                walk.enter(next);
            } else if reachable(&top.state) {
                return Some(walk.choice());
            } else {
                walk.leave();
            }
        }
    }

    /// Of the newest generation that has a root that counts: the highest standing, then the lowest id.
    pub fn newest_root(&self, view: &dyn View) -> Option<&Root> {
        let counting = self.roots.values().filter_map(|root| Some((view.standing(root)?, root)));
        counting
            .max_by_key(|(standing, root)| (root.generation, *standing, Reverse(root.envelope)))
            .map(|(_, root)| root)
    }
}

struct Step {
    state: StateId,
    /// The commit that led here, and what it changed.
    taken: Option<(usize, Change)>,
    /// What is left to try below, the best last.
    candidates: Vec<usize>,
}

struct Walk<'a> {
    tree: &'a CommitTree,
    view: &'a dyn View,
    root: &'a Root,
    support: OnceCell<Support>,
    roster: Roster,
    on_path: BTreeSet<StateId>,
    failed: BTreeSet<usize>,
    steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    fn from(tree: &'a CommitTree, view: &'a dyn View, root: &'a Root) -> Self {
        let mut walk = Self {
            tree,
            view,
            root,
            support: OnceCell::new(),
            roster: Roster::of(root),
            on_path: BTreeSet::from([root.state]),
            failed: BTreeSet::new(),
            steps: Vec::new(),
        };
        let candidates = walk.candidates(root.state, root.envelope);
        walk.steps.push(Step { state: root.state, taken: None, candidates });
        walk
    }

    fn enter(&mut self, place: usize) {
        let commit = self.tree.commit(place);
        let change = self.roster.apply(commit);
        self.on_path.insert(commit.child);
        let candidates = self.candidates(commit.child, commit.envelope);
        self.steps.push(Step { state: commit.child, taken: Some((place, change)), candidates });
    }

    fn leave(&mut self) {
        let Some(step) = self.steps.pop() else { return };
        self.on_path.remove(&step.state);
        if let Some((place, change)) = step.taken {
            self.roster.undo(&change);
            self.failed.insert(place);
        }
    }

    /// The children that are not passed over, the best last.
    fn candidates(&mut self, state: StateId, claim: EnvelopeId) -> Vec<usize> {
        let (tree, view) = (self.tree, self.view);
        let mut open: Vec<usize> =
            tree.below(view, state, claim).filter(|place| self.may_enter(*place)).collect();
        let held = |place: &usize| view.body_held(&tree.commit(*place).envelope);
        if open.is_empty() || (open.len() == 1 && held(&open[0])) {
            return open;
        }
        let support = self.support.get_or_init(|| Support::of(tree, view));
        let people = tree.numbers(&self.roster);
        open.retain(|place| {
            let supporters = support.at(*place);
            let person = tree.nodes[*place].person;
            let own = supporters.contains(person) && people.contains(person);
            held(place) || supporters.count_in(&people) > usize::from(own)
        });
        let roster = &mut self.roster;
        open.sort_by_cached_key(|place| {
            let commit = tree.commit(*place);
            Reverse(rank(support.at(*place).count_in(&people), commit, roster, view))
        });
        open
    }

    fn may_enter(&self, place: usize) -> bool {
        !self.failed.contains(&place)
            && !self.on_path.contains(&self.tree.commit(place).child)
            && !self.tree.refused(place)
    }

    fn choice(&self) -> Choice {
        let path: Vec<StateId> = self.steps.iter().map(|step| step.state).collect();
        let taken = self.steps.iter().filter_map(|step| step.taken.as_ref());
        Choice {
            root: self.root.envelope,
            head: path.last().copied().unwrap_or(self.root.state),
            path,
            commits: taken.map(|(place, _)| self.tree.commit(*place).envelope).collect(),
        }
    }
}

/// The least rank is chosen.
fn rank(support: usize, commit: &Commit, roster: &mut Roster, view: &dyn View) -> impl Ord + use<> {
    let class = u8::from(!roster.loses_somebody(commit));
    let seniority = (view.seniority(&commit.identity), commit.identity);
    (Reverse(support), class, seniority, commit.child, commit.envelope)
}
