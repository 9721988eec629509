//! Which branch of a group all have to choose, once more: the rules of the commit tree, straight from
//! their definition, slow, and sharing nothing with it but the payloads' types.
//!
//! It takes every commit for valid, and knows one root: where somebody means harm, or a group was started
//! over, it says nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use spacepanda_core::{
    base::{DeviceId, EnvelopeId, IdentityId, StateId},
    state::mls::CommitPayload,
};

use super::rules::Rules;

/// All commits and votes that anybody wrote.
#[derive(Debug, Default)]
pub(super) struct Branches {
    roots: Vec<(DeviceId, StateId)>,
    commits: Vec<Commit>,
    votes: Vec<Stood>,
    above: BTreeMap<StateId, StateId>,
}

#[derive(Debug)]
struct Commit {
    stood: Stood,
    payload: CommitPayload,
}

/// That somebody stood on a state.
#[derive(Debug)]
struct Stood {
    envelope: EnvelopeId,
    device: DeviceId,
    state: StateId,
}

impl Branches {
    pub(super) fn add_root(&mut self, device: DeviceId, state: StateId) {
        self.roots.push((device, state));
    }

    pub(super) fn add_vote(&mut self, envelope: EnvelopeId, device: DeviceId, state: StateId) {
        self.votes.push(Stood { envelope, device, state });
    }

    pub(super) fn add_commit(
        &mut self,
        envelope: EnvelopeId,
        device: DeviceId,
        payload: CommitPayload,
    ) {
        self.above.insert(payload.child, payload.parent);
        let stood = Stood { envelope, device, state: payload.child };
        self.commits.push(Commit { stood, payload });
    }

    /// Whether some commit that leads to a state does nothing but what its author's past calls for; a
    /// state to which none leads is a root.
    pub(super) fn is_called_for(&self, rules: &Rules, state: &StateId) -> bool {
        let leading = || self.commits.iter().filter(|commit| commit.stood.state == *state);
        let lawful = |commit: &Commit| {
            rules.calls_for(&commit.stood.envelope, &commit.stood.device, &commit.payload)
        };
        leading().next().is_none() || leading().any(lawful)
    }

    /// The head that those choose who hold just what is `held`.
    pub(super) fn head(
        &self,
        rules: &Rules,
        held: impl Fn(&EnvelopeId) -> bool,
    ) -> Option<StateId> {
        let [(founder, mut at)] = self.roots[..] else { return None };
        let weighs = |stood: &Stood| held(&stood.envelope) && rules.weighs(&stood.envelope);
        let mut leaves = BTreeSet::from([founder]);
        loop {
            let people = people(rules, &leaves);
            let children = self.commits.iter().filter(|commit| commit.payload.parent == at);
            let next =
                children.filter(|commit| held(&commit.stood.envelope)).min_by_key(|commit| {
                    let child = commit.stood.state;
                    let support = self.supporters(rules, &people, &child, &weighs).len();
                    let after = self::people(rules, &changed(&leaves, commit));
                    let nobody_goes = people.is_subset(&after);
                    let seniority = rules.seniority(&commit.stood.device);
                    (Reverse(support), nobody_goes, seniority, child)
                });
            let Some(next) = next else { return Some(at) };
            leaves = changed(&leaves, next);
            at = next.stood.state;
        }
    }

    /// Who leaves the branch of one state for another must have said that they stood there, if they had a
    /// say where the branches part and nothing was decided there: the state on whose branch they said so.
    pub(super) fn owed(
        &self,
        rules: &Rules,
        who: &IdentityId,
        left: &StateId,
        to: &StateId,
    ) -> Option<StateId> {
        let path = self.path(to);
        let up = self.path(left);
        let place = up.iter().position(|state| path.contains(state))?;
        let (fork, child) = (up[place], *up.get(place.checked_sub(1)?)?);
        let people = people(rules, &self.leaves(&fork)?);
        let siblings = self.commits.iter().filter(|commit| commit.payload.parent == fork);
        let is_decided = siblings.into_iter().any(|commit| {
            2 * self.supporters(rules, &people, &commit.stood.state, &|_| true).len() > people.len()
        });
        let goes_on = self.above.values().any(|state| state == left);
        let by = self.commits.iter().find(|commit| commit.stood.state == *left)?;
        let by = rules.person(&by.stood.device)?;
        let stays = !rules.was_ever_taken(&by) && !rules.was_ever_taken(who);
        (people.contains(who) && !is_decided && !goes_on && stays).then_some(child)
    }

    /// Whether somebody ever said that they stood on the branch of a state.
    pub(super) fn stood(&self, rules: &Rules, who: &IdentityId, state: &StateId) -> bool {
        !self.supporters(rules, &BTreeSet::from([*who]), state, &|_| true).is_empty()
    }

    /// Who of some people stood at a state or below it.
    fn supporters(
        &self,
        rules: &Rules,
        people: &BTreeSet<IdentityId>,
        state: &StateId,
        weighs: &dyn Fn(&Stood) -> bool,
    ) -> BTreeSet<IdentityId> {
        let commits = self.commits.iter().map(|commit| &commit.stood);
        let there = commits
            .chain(&self.votes)
            .filter(|stood| self.path(&stood.state).contains(state) && weighs(stood));
        let there = there.filter_map(|stood| rules.person(&stood.device));
        there.filter(|who| people.contains(who)).collect()
    }

    fn leaves(&self, state: &StateId) -> Option<BTreeSet<DeviceId>> {
        let [(founder, _)] = self.roots[..] else { return None };
        let mut leaves = BTreeSet::from([founder]);
        for state in self.path(state).iter().rev() {
            let commit = self.commits.iter().find(|commit| commit.stood.state == *state);
            leaves = commit.map_or(leaves.clone(), |commit| changed(&leaves, commit));
        }
        Some(leaves)
    }

    /// The states from `state` up to the root.
    fn path(&self, state: &StateId) -> Vec<StateId> {
        std::iter::successors(Some(*state), |state| self.above.get(state).copied()).collect()
    }
}

fn changed(leaves: &BTreeSet<DeviceId>, commit: &Commit) -> BTreeSet<DeviceId> {
    let mut leaves = leaves.clone();
    leaves.retain(|device| !commit.payload.removes.contains(device));
    leaves.extend(commit.payload.adds.iter().map(|added| added.device));
    leaves
}

fn people(rules: &Rules, leaves: &BTreeSet<DeviceId>) -> BTreeSet<IdentityId> {
    leaves.iter().filter_map(|device| rules.person(device)).collect()
}
