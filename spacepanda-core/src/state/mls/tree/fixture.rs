//! Names, small trees and a view of plain sets, for tests.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::{Addition, Choice, Commit, CommitTree, Root, View, Vote};
use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

pub(super) const FIVE: [&str; 5] = ["ann", "bob", "cat", "dan", "eve"];

pub(super) fn bytes(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

pub(super) fn person(name: &str) -> IdentityId {
    IdentityId::new(bytes(&format!("person {name}")))
}

pub(super) fn device(name: &str) -> DeviceId {
    DeviceId::new(bytes(&format!("device {name}")))
}

pub(super) fn state(name: &str) -> StateId {
    StateId::new(bytes(&format!("state {name}")))
}

/// The envelope of the commit that makes the state of this name, or of any other fact of this name.
pub(super) fn envelope(name: &str) -> EnvelopeId {
    EnvelopeId::new(bytes(&format!("envelope {name}")))
}

pub(super) fn addition(name: &str) -> Addition {
    Addition {
        device: device(name),
        identity: person(name),
        package: bytes(&format!("package {name}")),
    }
}

pub(super) fn root(author: &str, name: &str) -> Root {
    Root {
        envelope: envelope(name),
        generation: 0,
        state: state(name),
        author: person(author),
        device: device(author),
    }
}

pub(super) fn commit(by: &str, parent: &str, child: &str) -> Commit {
    Commit {
        envelope: envelope(child),
        device: device(by),
        identity: person(by),
        parent: state(parent),
        child: state(child),
        adds: Vec::new(),
        removes: Vec::new(),
        own_previous: None,
    }
}

impl Commit {
    pub(super) fn adding(mut self, names: &[&str]) -> Self {
        self.adds.extend(names.iter().map(|name| addition(name)));
        self
    }

    pub(super) fn removing(mut self, names: &[&str]) -> Self {
        self.removes.extend(names.iter().map(|name| device(name)));
        self
    }

    pub(super) fn after(mut self, previous: &str) -> Self {
        self.own_previous = Some(envelope(previous));
        self
    }

    pub(super) fn enveloped(mut self, name: &str) -> Self {
        self.envelope = envelope(name);
        self
    }
}

pub(super) fn vote(by: &str, for_state: &str) -> Vote {
    Vote {
        envelope: envelope(&format!("vote of {by} for {for_state}")),
        identity: person(by),
        state: state(for_state),
    }
}

/// A tree with root "root" by the first of `people`, and state "base" below it that has them all.
pub(super) fn group(people: &[&str]) -> CommitTree {
    let mut tree = CommitTree::new();
    tree.add_root(root(people[0], "root"));
    tree.add_commit(commit(people[0], "root", "base").adding(&people[1..]));
    tree
}

impl CommitTree {
    pub(super) fn with(mut self, commits: impl IntoIterator<Item = Commit>) -> Self {
        for commit in commits {
            self.add_commit(commit);
        }
        self
    }

    pub(super) fn voted(mut self, votes: impl IntoIterator<Item = Vote>) -> Self {
        for vote in votes {
            self.add_vote(vote);
        }
        self
    }

    pub(super) fn head(&self, view: &dyn View) -> StateId {
        self.choose(view).unwrap().head
    }
}

pub(super) fn ends_at(choice: &Option<Choice>) -> Option<StateId> {
    choice.as_ref().map(|choice| choice.head)
}

/// Everything counts, everybody is in and every body is held, but for what is listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) seniors: Vec<IdentityId>,
    pub(super) silenced: BTreeSet<EnvelopeId>,
    pub(super) out: BTreeSet<IdentityId>,
    pub(super) bodiless: BTreeSet<EnvelopeId>,
    pub(super) standings: BTreeMap<EnvelopeId, Option<u64>>,
    pub(super) pleas: BTreeSet<(EnvelopeId, DeviceId, [u8; 32])>,
    pub(super) pasts: BTreeMap<EnvelopeId, BTreeSet<EnvelopeId>>,
}

impl Known {
    pub(super) fn seniors(names: &[&str]) -> Self {
        Self { seniors: names.iter().map(|name| person(name)).collect(), ..Self::default() }
    }
}

impl View for Known {
    fn counts(&self, envelope: &EnvelopeId) -> bool {
        !self.silenced.contains(envelope)
    }

    fn seniority(&self, identity: &IdentityId) -> u64 {
        let place = self.seniors.iter().position(|senior| senior == identity);
        place.map_or(u64::MAX, |place| place as u64)
    }

    fn standing(&self, root: &Root) -> Option<u64> {
        self.standings.get(&root.envelope).copied().unwrap_or(Some(0))
    }

    fn is_out(&self, identity: &IdentityId) -> bool {
        self.out.contains(identity)
    }

    fn body_held(&self, commit: &EnvelopeId) -> bool {
        !self.bodiless.contains(commit)
    }

    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool {
        self.pasts.get(envelope).is_some_and(|past| past.contains(earlier))
    }

    fn pleaded(&self, commit: &EnvelopeId, addition: &Addition) -> bool {
        self.pleas.contains(&(*commit, addition.device, addition.package))
    }
}
