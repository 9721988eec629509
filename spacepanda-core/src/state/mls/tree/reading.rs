use std::collections::{BTreeMap, BTreeSet};

use super::{Commit, CommitTree, Verdict, View};
use crate::base::{EnvelopeId, StateId};

/// The tree as one view reads it: which claims to one state may be true, and what hangs below which.
pub(super) struct Reading<'a> {
    pub(super) tree: &'a CommitTree,
    pub(super) view: &'a dyn View,
    /// Of the states that several claim: those claims that may be true.
    credible: BTreeMap<StateId, BTreeSet<EnvelopeId>>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(tree: &'a CommitTree, view: &'a dyn View) -> Self {
        let contested = tree.contested.iter();
        let credible = contested.map(|state| (*state, credible(view, &tree.claims[state])));
        Self { tree, view, credible: credible.collect() }
    }

    /// Whether several claims to one state may be true.
    pub(super) fn is_contested(&self) -> bool {
        self.credible.values().any(|claims| claims.len() > 1)
    }

    pub(super) fn may_be_true(&self, state: &StateId, claim: &EnvelopeId) -> bool {
        self.credible.get(state).is_none_or(|claims| claims.contains(claim))
    }

    pub(super) fn void(&self, place: usize) -> bool {
        let commit = self.tree.commit(place);
        self.tree.forbidden.contains(&commit.envelope)
            || self.captures(commit)
            || self.tree.repeats(commit)
            || !self.may_be_true(&commit.child, &commit.envelope)
    }

    /// Whether it removes and adds one device that did not plead for it, or that is its author's own.
    fn captures(&self, commit: &Commit) -> bool {
        let mut again = commit.adds.iter().filter(|add| commit.removes.contains(&add.device));
        again.any(|add| add.device == commit.device || !self.view.pleaded(&commit.envelope, add))
    }

    /// Whether it is known here that the commit cannot be on the path.
    pub(super) fn refused(&self, place: usize) -> bool {
        let commit = self.tree.commit(place);
        self.void(place)
            || match self.tree.verdicts.get(&commit.envelope) {
                Some(Verdict::Valid) => false,
                Some(Verdict::Invalid) => true,
                Some(Verdict::Unreadable) => !self.is_entered_by_another(commit),
                None => self.proven_by_another(commit),
            }
    }

    /// Whether anybody but its author says that they went on from what a commit makes.
    fn is_entered_by_another(&self, commit: &Commit) -> bool {
        let (tree, child) = (self.tree, &commit.child);
        let votes = tree.votes_for.get(child).into_iter().flatten();
        let votes = votes.filter_map(|vote| tree.votes.get(vote));
        let votes = votes.map(|vote| (vote.envelope, vote.identity));
        let commits = tree.commits_on.get(child).into_iter().flatten();
        let commits = commits.map(|place| tree.commit(*place));
        let commits = commits.map(|commit| (commit.envelope, commit.identity));
        votes.chain(commits).any(|(envelope, identity)| {
            identity != commit.identity
                && self.view.counts(&envelope)
                && self.means(&envelope, child, &commit.envelope)
        })
    }

    fn proven_by_another(&self, commit: &Commit) -> bool {
        let mut claims = self.credible.get(&commit.child).into_iter().flatten();
        claims.any(|claim| self.tree.verdicts.get(claim) == Some(&Verdict::Valid))
    }

    /// Whether what `envelope` says about `state` is said of the state that `claim` made. Where several
    /// claims may be true, those in the envelope's past are meant: so a claim that comes later cannot
    /// borrow the weight of those who stood there before.
    pub(super) fn means(&self, envelope: &EnvelopeId, state: &StateId, claim: &EnvelopeId) -> bool {
        let Some(claims) = self.credible.get(state) else { return true };
        let known = |claim: &EnvelopeId| self.view.knows(envelope, claim);
        claims.contains(claim) && (claims.len() == 1 || known(claim) || !claims.iter().any(known))
    }

    /// The commits on the state that `claim` made, refused ones included.
    pub(super) fn below(
        &self,
        state: StateId,
        claim: EnvelopeId,
    ) -> impl Iterator<Item = usize> + '_ {
        let places = self.tree.commits_on.get(&state).into_iter().flatten().copied();
        places.filter(move |place| self.means(&self.tree.commit(*place).envelope, &state, &claim))
    }
}

/// Nobody can name a state before it is made, so a claim that knows of another one is false.
fn credible(view: &dyn View, claims: &BTreeSet<EnvelopeId>) -> BTreeSet<EnvelopeId> {
    let knows_another = |claim: &&EnvelopeId| {
        claims.iter().any(|other| other != *claim && view.knows(claim, other))
    };
    claims.iter().filter(|claim| !knows_another(claim)).copied().collect()
}
