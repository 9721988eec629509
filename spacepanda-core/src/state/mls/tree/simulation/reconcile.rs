//! Rule 8: what authority asks for and the head's roster lacks becomes one commit.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    facts::Eyes,
    world::{Draft, World, name},
};
use crate::{
    base::{DeviceId, IdentityId},
    state::mls::tree::{Addition, View, fixture::addition},
};

impl World {
    /// Commits one removal, or the additions, that authority asks for. Returns whether it did.
    pub(super) fn reconcile(&mut self, member: usize) -> bool {
        let it = &self.members[member];
        let (Some(chosen), Some(stand)) = (&it.chosen, &it.stand) else { return false };
        let head = stand.head;
        let leaves = stand.roster.clone();
        let eyes = self.eyes(member);
        let idle = it.hostile
            || chosen.head != head
            || eyes.is_out(&it.identity)
            || !leaves.contains_key(&it.device)
            || it.tree.commits_on(&head).iter().any(|commit| commit.device == it.device);
        let Some(draft) = (!idle).then(|| self.difference(&eyes, &leaves)).flatten() else {
            return false;
        };
        self.commit(member, head, draft);
        self.settle(member);
        true
    }

    fn difference(
        &self,
        eyes: &Eyes<'_>,
        leaves: &BTreeMap<DeviceId, IdentityId>,
    ) -> Option<Draft> {
        let surplus = leaves.iter().find(|(_, identity)| eyes.is_out(identity));
        if let Some((device, _)) = surplus {
            return Some(Draft { removes: vec![*device], ..Draft::default() });
        }
        let in_already: BTreeSet<&IdentityId> = leaves.values().collect();
        let adds: Vec<Addition> = (0..self.members.len())
            .map(|member| addition(&name(member)))
            .filter(|add| !in_already.contains(&add.identity) && !eyes.is_out(&add.identity))
            .collect();
        (!adds.is_empty()).then(|| Draft { adds, ..Draft::default() })
    }

    /// The members of a partition in turn order.
    pub(super) fn turns(&self, partition: usize) -> Vec<usize> {
        let mut turns: Vec<usize> =
            (0..self.members.len()).filter(|it| self.partition[*it] == partition).collect();
        turns.sort_by_key(|it| self.eyes(*it).seniority(&self.members[*it].identity));
        turns
    }
}
