use std::{
    cell::OnceCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Commit, CommitTree, Root, View,
    reading::Reading,
    roster::{Change, Roster},
    support::Support,
};
use crate::base::{Bug, DeviceId, EnvelopeId, IdentityId, StateId};

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
    /// The leaves of the head and whose they are, as the headers on the path say.
    pub roster: BTreeMap<DeviceId, IdentityId>,
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

    /// The path that those choose who hold the same, and could check none of the commits: somebody who
    /// came in later, say.
    pub fn choose_unchecked(&self, view: &dyn View) -> Option<Choice> {
        let unchecked = Self { verdicts: BTreeMap::new(), ..self.clone() };
        unchecked.walk(view, &|_| true)
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
        let reading = Reading::of(self, view);
        let mut walk = Walk::from(&reading, reading.newest_root()?);
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

    /// The root that walks begin at: of the newest generation that has one that counts the root of the
    /// highest standing, then of the lowest id.
    pub fn newest_root(&self, view: &dyn View) -> Option<&Root> {
        let envelope = Reading::of(self, view).newest_root()?.envelope;
        self.roots.get(&envelope)
    }
}

impl<'a> Reading<'a> {
    fn newest_root(&self) -> Option<&'a Root> {
        let roots = self.tree.roots.values();
        let counting = roots
            .filter(|root| self.may_be_true(&root.state, &root.envelope))
            .filter_map(|root| Some((self.view.standing(root)?, root)));
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
    reading: &'a Reading<'a>,
    root: &'a Root,
    support: OnceCell<Support<'a>>,
    roster: Roster,
    on_path: BTreeSet<StateId>,
    failed: BTreeSet<usize>,
    steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    fn from(reading: &'a Reading<'a>, root: &'a Root) -> Self {
        let mut walk = Self {
            reading,
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
        let commit = self.reading.tree.commit(place);
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
        let (tree, view) = (self.reading.tree, self.reading.view);
        let open: Vec<usize> =
            self.reading.below(state, claim).filter(|place| self.may_enter(*place)).collect();
        let held = |place: &usize| view.body_held(&tree.commit(*place).envelope);
        if open.is_empty() || (open.len() == 1 && held(&open[0])) {
            return open;
        }
        let support = self.support.get_or_init(|| Support::below(self.reading, self.root));
        let people = tree.numbers(&self.roster);
        let roster = &mut self.roster;
        let mut ranked: Vec<_> = open
            .into_iter()
            .filter_map(|place| {
                let (person, commit) = (tree.nodes[place].person, tree.commit(place));
                let supporters = support.at(place, &self.on_path, &people);
                let all = supporters.count_in(&people);
                let own = supporters.contains(person) && people.contains(person);
                let open = held(&place) || all > usize::from(own);
                open.then(|| (rank(all, place, commit, roster, view), place))
            })
            .collect();
        ranked.sort_by(|one, other| other.cmp(one));
        ranked.into_iter().map(|(_, place)| place).collect()
    }

    fn may_enter(&self, place: usize) -> bool {
        !self.failed.contains(&place)
            && !self.on_path.contains(&self.reading.tree.commit(place).child)
            && !self.reading.refused(place)
    }

    fn choice(&self) -> Choice {
        let path: Vec<StateId> = self.steps.iter().map(|step| step.state).collect();
        let taken = self.steps.iter().filter_map(|step| step.taken.as_ref());
        Choice {
            root: self.root.envelope,
            head: path.last().copied().unwrap_or(self.root.state),
            path,
            commits: taken.map(|(place, _)| self.reading.tree.commit(*place).envelope).collect(),
            roster: self.roster.leaves().clone(),
        }
    }
}

/// The least rank is chosen.
fn rank(
    support: usize,
    place: usize,
    commit: &Commit,
    roster: &mut Roster,
    view: &dyn View,
) -> impl Ord + use<> {
    let support =
        Reverse((support, Bug::BreaksTiesByArrival.is_planted().then_some(Reverse(place))));
    let class = u8::from(!roster.loses_somebody(commit));
    let mut seniority = (view.seniority(&commit.identity), commit.identity);
    if Bug::BreaksTiesById.is_planted() {
        seniority = (0, IdentityId::new(*commit.child.as_bytes()));
    }
    (support, class, seniority, commit.child, commit.envelope)
}
