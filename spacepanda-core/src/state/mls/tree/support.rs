use std::{borrow::Cow, collections::BTreeSet};

use super::{CommitTree, Root, reading::Reading, roster::Roster};
use crate::base::StateId;

/// A set of people, by their numbers in the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct People(Vec<u64>);

impl People {
    pub(super) fn insert(&mut self, person: usize) {
        let word = person / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (person % 64);
    }

    pub(super) fn contains(&self, person: usize) -> bool {
        self.0.get(person / 64).is_some_and(|word| word & (1 << (person % 64)) != 0)
    }

    pub(super) fn count_in(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
}

/// Who supports each commit: everybody who wrote a commit or vote that counts at it or below it.
///
/// Commits that are void or invalid still say where their authors stood, so they support what is above
/// them. Where every state has one claim that may be true, all is computed in one pass from the root.
/// Else the commits are a graph that may lead back to the path, whose states are below none of their
/// children: then each child is flooded by itself, around the path.
pub(super) struct Support<'a> {
    reading: &'a Reading<'a>,
    /// By place; `None` where claims are contested.
    sets: Option<Vec<People>>,
}

impl<'a> Support<'a> {
    pub(super) fn below(reading: &'a Reading<'a>, root: &Root) -> Self {
        let sets = (!reading.is_contested()).then(|| in_one_pass(reading, root));
        Self { reading, sets }
    }

    /// Who of `people` supports the commit at this place, whose parent is the end of the path. Others may
    /// be among them.
    pub(super) fn at(
        &self,
        place: usize,
        path: &BTreeSet<StateId>,
        people: &People,
    ) -> Cow<'_, People> {
        match &self.sets {
            Some(sets) => Cow::Borrowed(&sets[place]),
            None => Cow::Owned(self.flood(place, path, people)),
        }
    }

    fn flood(&self, place: usize, path: &BTreeSet<StateId>, wanted: &People) -> People {
        let mut people = People::default();
        let mut reached = BTreeSet::from([place]);
        let mut open = vec![place];
        while let Some(at) = open.pop() {
            let commit = self.reading.tree.commit(at);
            if path.contains(&commit.child) {
                self.reading.committer(at, &mut people);
                continue;
            }
            self.reading.own_supporters(at, &mut people);
            if people.count_in(wanted) == wanted.count_in(wanted) {
                break;
            }
            let below = self.reading.below(commit.child, commit.envelope);
            open.extend(below.filter(|next| reached.insert(*next)));
        }
        people
    }
}

/// From the root down in any order, then up in the reverse one. What hangs below no root has no support.
fn in_one_pass(reading: &Reading<'_>, root: &Root) -> Vec<People> {
    let tree = reading.tree;
    let mut sets = vec![People::default(); tree.nodes.len()];
    let mut order: Vec<(usize, Option<usize>)> =
        reading.below(root.state, root.envelope).map(|place| (place, None)).collect();
    let mut next = 0;
    while let Some((place, _)) = order.get(next).copied() {
        let commit = tree.commit(place);
        let below = reading.below(commit.child, commit.envelope);
        order.extend(below.map(|below| (below, Some(place))));
        next += 1;
    }
    for (place, above) in order.into_iter().rev() {
        reading.own_supporters(place, &mut sets[place]);
        if let Some(above) = above {
            let people = std::mem::take(&mut sets[place]);
            sets[above].extend(&people);
            sets[place] = people;
        }
    }
    sets
}

impl CommitTree {
    /// The numbers of those in a roster who ever wrote anything; the others support nothing.
    pub(super) fn numbers(&self, roster: &Roster) -> People {
        let mut people = People::default();
        for number in roster.people().filter_map(|identity| self.people.get(identity)) {
            people.insert(*number);
        }
        people
    }
}

impl Reading<'_> {
    fn committer(&self, place: usize, into: &mut People) {
        let node = &self.tree.nodes[place];
        if self.view.counts(&node.commit.envelope) {
            into.insert(node.person);
        }
    }

    fn own_supporters(&self, place: usize, into: &mut People) {
        self.committer(place, into);
        let commit = self.tree.commit(place);
        for envelope in self.tree.votes_for.get(&commit.child).into_iter().flatten() {
            let meant = self.means(envelope, &commit.child, &commit.envelope);
            if meant && self.view.counts(envelope) {
                into.insert(self.tree.people[&self.tree.votes[envelope].identity]);
            }
        }
    }
}
