//! What simulated members say, and how one of them sees it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{EnvelopeId, IdentityId},
    state::mls::tree::{Addition, Commit, CommitTree, Root, View, Vote},
};

/// What one envelope says.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Root(Root),
    /// `valid` is what whoever holds the parent and the body finds.
    Commit {
        commit: Commit,
        valid: bool,
    },
    Vote(Vote),
    Admit(IdentityId),
    Ban(IdentityId),
}

/// An envelope: who wrote it, and the numbers of all that its author held.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) author: IdentityId,
    pub(super) past: BTreeSet<usize>,
    pub(super) said: Said,
}

impl Fact {
    pub(super) fn add_to(&self, tree: &mut CommitTree) {
        match self.said.clone() {
            Said::Root(root) => tree.add_root(root),
            Said::Commit { commit, .. } => tree.add_commit(commit),
            Said::Vote(vote) => tree.add_vote(vote),
            Said::Admit(_) | Said::Ban(_) => false,
        };
    }
}

/// All facts ever written, by number.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) all: Vec<Fact>,
    pub(super) places: BTreeMap<EnvelopeId, usize>,
}

impl Facts {
    pub(super) fn commit(&self, envelope: &EnvelopeId) -> Option<(&Commit, bool)> {
        match &self.all[*self.places.get(envelope)?].said {
            Said::Commit { commit, valid } => Some((commit, *valid)),
            _ => None,
        }
    }
}

/// The facts as somebody who holds some of them sees them.
pub(super) struct Eyes<'a> {
    facts: &'a Facts,
    bodies: &'a BTreeSet<EnvelopeId>,
    admitted: BTreeMap<IdentityId, u64>,
    bans: Vec<(IdentityId, usize)>,
}

impl<'a> Eyes<'a> {
    pub(super) fn of(
        facts: &'a Facts,
        held: &BTreeSet<usize>,
        bodies: &'a BTreeSet<EnvelopeId>,
    ) -> Self {
        let mut eyes = Self { facts, bodies, admitted: BTreeMap::new(), bans: Vec::new() };
        for number in held {
            match &facts.all[*number].said {
                Said::Admit(identity) => {
                    eyes.admitted.entry(*identity).or_insert(*number as u64);
                }
                Said::Ban(identity) => eyes.bans.push((*identity, *number)),
                _ => {}
            }
        }
        eyes
    }

    /// Everybody who should be in.
    pub(super) fn members(&self) -> BTreeSet<IdentityId> {
        self.admitted.keys().filter(|identity| !self.is_out(identity)).copied().collect()
    }
}

impl View for Eyes<'_> {
    fn counts(&self, envelope: &EnvelopeId) -> bool {
        let fact = &self.facts.all[self.facts.places[envelope]];
        let mut bans = self.bans.iter().filter(|(identity, _)| *identity == fact.author);
        bans.all(|(_, ban)| fact.past.contains(ban))
    }

    fn seniority(&self, identity: &IdentityId) -> u64 {
        self.admitted.get(identity).copied().unwrap_or(u64::MAX)
    }

    fn standing(&self, _: &Root) -> Option<u64> {
        Some(0)
    }

    fn is_out(&self, identity: &IdentityId) -> bool {
        !self.admitted.contains_key(identity) || self.bans.iter().any(|(out, _)| out == identity)
    }

    fn body_held(&self, commit: &EnvelopeId) -> bool {
        self.bodies.contains(commit)
    }

    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool {
        let places = &self.facts.places;
        self.facts.all[places[envelope]].past.contains(&places[earlier])
    }

    fn pleaded(&self, _: &EnvelopeId, _: &Addition) -> bool {
        false
    }
}
