use std::collections::BTreeMap;

use super::facts::{Commit, Root};
use crate::base::{DeviceId, IdentityId};

/// The leaves of a state and whose they are, as the headers on a path say.
#[derive(Debug, Clone)]
pub(super) struct Roster {
    leaves: BTreeMap<DeviceId, IdentityId>,
    people: BTreeMap<IdentityId, usize>,
}

/// What a commit changed in a roster, so that it can be taken back.
#[derive(Debug, Default)]
pub(super) struct Change {
    removed: Vec<(DeviceId, IdentityId)>,
    added: Vec<DeviceId>,
}

impl Roster {
    pub(super) fn of(root: &Root) -> Self {
        Self {
            leaves: BTreeMap::from([(root.device, root.author)]),
            people: BTreeMap::from([(root.author, 1)]),
        }
    }

    pub(super) fn leaves(&self) -> &BTreeMap<DeviceId, IdentityId> {
        &self.leaves
    }

    /// The people with a leaf.
    pub(super) fn people(&self) -> impl Iterator<Item = &IdentityId> {
        self.people.keys()
    }

    pub(super) fn contains(&self, identity: &IdentityId) -> bool {
        self.people.contains_key(identity)
    }

    /// How many people have a leaf.
    pub(super) fn len(&self) -> usize {
        self.people.len()
    }

    /// Applies removals, then additions. Removing who is not there and adding who is changes nothing.
    pub(super) fn apply(&mut self, commit: &Commit) -> Change {
        let mut change = Change::default();
        for device in &commit.removes {
            if let Some(identity) = self.drop_leaf(device) {
                change.removed.push((*device, identity));
            }
        }
        for add in &commit.adds {
            if self.put_leaf(add.device, add.identity) {
                change.added.push(add.device);
            }
        }
        change
    }

    /// Takes back the latest change.
    pub(super) fn undo(&mut self, change: &Change) {
        for device in &change.added {
            self.drop_leaf(device);
        }
        for (device, identity) in &change.removed {
            self.put_leaf(*device, *identity);
        }
    }

    /// Whether the commit takes somebody's last leaf.
    pub(super) fn loses_somebody(&mut self, commit: &Commit) -> bool {
        let change = self.apply(commit);
        let loses = change.removed.iter().any(|(_, identity)| !self.contains(identity));
        self.undo(&change);
        loses
    }

    fn put_leaf(&mut self, device: DeviceId, identity: IdentityId) -> bool {
        if self.leaves.contains_key(&device) {
            return false;
        }
        self.leaves.insert(device, identity);
        *self.people.entry(identity).or_default() += 1;
        true
    }

    fn drop_leaf(&mut self, device: &DeviceId) -> Option<IdentityId> {
        let identity = self.leaves.remove(device)?;
        let left = self.people.get_mut(&identity).expect("whoever has a leaf is counted");
        *left -= 1;
        if *left == 0 {
            self.people.remove(&identity);
        }
        Some(identity)
    }
}
