use std::collections::{BTreeMap, BTreeSet};

use spacepanda_core::{
    base::{DeviceId, StateId},
    state::mls::{CommitPayload, KeyPackagePayload, package_facts},
};

/// What key packages were used for.
#[derive(Debug, Default)]
pub(super) struct Packages {
    last_resorts: Vec<Vec<u8>>,
    /// The states that an addition by each package leads to.
    added: BTreeMap<[u8; 32], BTreeSet<StateId>>,
    /// Whose leaf was renewed, by a commit that does nothing else, in each state.
    renewed: BTreeMap<StateId, DeviceId>,
}

impl Packages {
    pub(super) fn note(&mut self, payload: &KeyPackagePayload) {
        if payload.last_resort {
            self.last_resorts.push(payload.package.clone());
        }
    }

    pub(super) fn note_commit(&mut self, device: DeviceId, commit: &CommitPayload) {
        for added in &commit.adds {
            self.added.entry(added.package).or_default().insert(commit.child);
        }
        if commit.adds.is_empty() && commit.removes.is_empty() {
            self.renewed.insert(commit.child, device);
        }
    }

    /// How many packages have added somebody in more than one state.
    pub(super) fn reused(&self) -> usize {
        self.added.values().filter(|states| states.len() > 1).count()
    }

    /// How often a leaf was renewed that a last-resort package had brought. `path` leads from a state's
    /// own commit up to the root.
    pub(super) fn renewed_last_resorts<'a>(
        &self,
        path: impl Fn(&StateId) -> Vec<&'a CommitPayload>,
    ) -> usize {
        let facts = self.last_resorts.iter().filter_map(|package| package_facts(package).ok());
        let last_resorts: BTreeSet<[u8; 32]> = facts.map(|facts| facts.reference).collect();
        let of_last_resort = |(state, device): &(&StateId, &DeviceId)| {
            let brought = path(state).into_iter().skip(1).find_map(|commit| {
                let added = commit.adds.iter().find(|added| added.device == **device);
                match self.renewed.get(&commit.child) == Some(*device) {
                    true => Some(None),
                    false => added.map(|added| Some(added.package)),
                }
            });
            brought.flatten().is_some_and(|package| last_resorts.contains(&package))
        };
        self.renewed.iter().filter(of_last_resort).count()
    }
}
