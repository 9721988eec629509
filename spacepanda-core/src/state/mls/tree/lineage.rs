use std::collections::{BTreeMap, BTreeSet};

use super::{Commit, CommitTree, Root, Verdict, View, reading::Reading, roster::Roster};
use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

impl CommitTree {
    /// The root of this envelope.
    pub fn root(&self, envelope: &EnvelopeId) -> Option<&Root> {
        self.roots.get(envelope)
    }

    /// The commit of this envelope.
    pub fn commit_of(&self, envelope: &EnvelopeId) -> Option<&Commit> {
        self.places.get(envelope).map(|place| self.commit(*place))
    }

    /// All commits on a state, by envelope, those that are passed over included.
    pub fn commits_on(&self, parent: &StateId) -> Vec<&Commit> {
        let places = self.commits_on.get(parent).into_iter().flatten();
        let mut commits: Vec<&Commit> = places.map(|place| self.commit(*place)).collect();
        commits.sort_by_key(|commit| commit.envelope);
        commits
    }

    /// The states that commits on this one say they make, those that are passed over included.
    pub fn children(&self, state: &StateId) -> BTreeSet<StateId> {
        self.commits_on(state).into_iter().map(|commit| commit.child).collect()
    }

    /// The state above on [`Self::path_to`]; `None` for a root's state and for what is below no root.
    pub fn parent(&self, view: &dyn View, state: &StateId) -> Option<StateId> {
        self.path_to(view, state)?.last().map(|commit| commit.parent)
    }

    /// The commits from a root to this state, in order; `None` if it is below no root. Where several
    /// claim a state the path goes by the one known to be valid, else by one that is not refused, the
    /// lowest envelope first.
    pub fn path_to(&self, view: &dyn View, state: &StateId) -> Option<Vec<&Commit>> {
        self.lineage(view, state).map(|(_, commits)| commits)
    }

    /// How often the group had been started over when a state was made; `None` if it is below no root.
    pub fn generation(&self, view: &dyn View, state: &StateId) -> Option<u32> {
        self.lineage(view, state).map(|(root, _)| root.generation)
    }

    /// The leaves of a state and whose they are, from the headers on its path alone; `None` if it is
    /// below no root.
    pub fn roster(
        &self,
        view: &dyn View,
        state: &StateId,
    ) -> Option<BTreeMap<DeviceId, IdentityId>> {
        let (root, commits) = self.lineage(view, state)?;
        let mut roster = Roster::of(root);
        for commit in commits {
            roster.apply(commit);
        }
        Some(roster.leaves().clone())
    }

    /// The references of the key packages used on the path to a state.
    pub fn used_packages(&self, view: &dyn View, state: &StateId) -> BTreeSet<[u8; 32]> {
        let path = self.path_to(view, state).unwrap_or_default();
        path.into_iter().flat_map(|commit| &commit.adds).map(|add| add.package).collect()
    }

    /// Searches upwards, each state once, remembering through which commit it came.
    fn lineage(&self, view: &dyn View, state: &StateId) -> Option<(&Root, Vec<&Commit>)> {
        let reading = Reading::of(self, view);
        let mut below: BTreeMap<StateId, Option<usize>> = BTreeMap::new();
        let mut open = vec![(*state, None)];
        while let Some((at, through)) = open.pop() {
            if below.contains_key(&at) {
                continue;
            }
            below.insert(at, through);
            if let Some(root) = self.root_at(&reading, &at) {
                return Some((root, self.follow_down(&below, at)));
            }
            let makers = self.makers(&reading, &at);
            open.extend(makers.into_iter().map(|place| (self.commit(place).parent, Some(place))));
        }
        None
    }

    /// The root that made a state. Where others claim the state, too, it must be one that counts: else
    /// anybody could cut a path off by calling a state on it the first of a generation.
    fn root_at(&self, reading: &Reading<'_>, state: &StateId) -> Option<&Root> {
        let claims = self.claims.get(state)?;
        let proven = |claim: &EnvelopeId| self.verdicts.get(claim) == Some(&Verdict::Valid);
        let counts = |root: &&Root| {
            claims.len() == 1
                || reading.may_be_true(state, &root.envelope)
                    && reading.view.standing(root).is_some()
                    && !claims.iter().any(proven)
        };
        claims.iter().filter_map(|claim| self.roots.get(claim)).find(counts)
    }

    /// The commits that claim a state, the most credible last.
    fn makers(&self, reading: &Reading<'_>, state: &StateId) -> Vec<usize> {
        let claims = self.claims.get(state).into_iter().flatten();
        let mut places: Vec<usize> =
            claims.filter_map(|claim| self.places.get(claim)).copied().collect();
        if places.len() > 1 {
            places.reverse();
            places.sort_by_key(|place| self.credibility(reading, *place));
        }
        places
    }

    fn credibility(&self, reading: &Reading<'_>, place: usize) -> u8 {
        match self.verdicts.get(&self.commit(place).envelope) {
            Some(Verdict::Valid) => 2,
            _ => u8::from(!reading.refused(place)),
        }
    }

    fn follow_down(&self, below: &BTreeMap<StateId, Option<usize>>, from: StateId) -> Vec<&Commit> {
        let next = |state: &StateId| below.get(state).copied().flatten();
        let first = next(&from);
        std::iter::successors(first, |place| next(&self.commit(*place).child))
            .map(|place| self.commit(place))
            .collect()
    }
}
