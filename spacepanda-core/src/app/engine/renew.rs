use std::{collections::BTreeMap, time::Duration};

use super::{
    machine::{Cx, Node},
    reconcile::TURN,
    server::Server,
};
use crate::{
    base::{DeviceId, StateId, Timestamp, limits::CLOCK_SKEW_MAX},
    state::mls::{Change, Group, PackageUse},
};

/// How old a leaf becomes, in a group that is not large.
const LEAF_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// In a large one, a leaf becomes as old as there are leaves, times this.
const PER_LEAF: Duration = Duration::from_secs(60 * 60);

/// When one's own leaf is renewed.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// Whether this device was away for longer than the window.
    pub absent: bool,
    /// Its turn to do so on a head, where it is due.
    turn: Option<(StateId, Timestamp)>,
    /// The leaves of the head, and of which facts and which head.
    leaves: Option<((u64, StateId), BTreeMap<DeviceId, Leaf>)>,
    /// When it is due.
    due: Option<Timestamp>,
    /// When this device last renewed it in this run, by its clock of then.
    renewed: Option<Timestamp>,
}

impl Renewal {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.turn.map(|(_, at)| at).or(self.due)
    }
}

/// The last change of a leaf on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaf {
    at: Timestamp,
    /// The key package that brought it, if a commit of its own has not renewed it since.
    package: Option<[u8; 32]>,
}

impl Server {
    /// Renews one's own leaf where that is due, and the last-resort package with it: it was brought by
    /// a last-resort package, this device was long away, or it is old. Only where there is nothing
    /// else to commit, and no fork has moved for a while.
    pub(super) fn renew_leaf(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        self.renewal.due = None;
        let head = self.head.filter(|head| Some(*head) == self.stand);
        let Some(head) = head.filter(|_| self.may_renew(node)) else {
            self.renewal.turn = None;
            return;
        };
        let of = (self.weighed.facts(), head);
        let leaves = match self.renewal.leaves.take() {
            Some((known, leaves)) if known == of => leaves,
            _ => self.leaves_of(&head),
        };
        self.renew_at(node, head, &leaves, cx);
        self.renewal.leaves = Some((of, leaves));
    }

    /// Renews it on the head if it is due and one's turn, else notes when that is.
    fn renew_at(
        &mut self,
        node: &mut Node,
        head: StateId,
        leaves: &BTreeMap<DeviceId, Leaf>,
        cx: &mut Cx<'_>,
    ) {
        let Some(due) = self.due_at(node, leaves, cx) else {
            self.renewal.turn = None;
            return;
        };
        if due > cx.now {
            (self.renewal.turn, self.renewal.due) = (None, Some(due));
            return;
        }
        if let Some(settled) = self.forks_settled().filter(|at| *at > cx.now) {
            (self.renewal.turn, self.renewal.due) = (None, Some(settled));
            return;
        }
        let at = match self.renewal.turn {
            Some((of, at)) if of == head => at,
            _ => self.renewal_turn(node, leaves, cx),
        };
        self.renewal.turn = Some((head, at));
        if at <= cx.now {
            self.renewal.turn = None;
            if self.commit(node, &Change::default(), cx) {
                (self.renewal.absent, self.renewal.renewed) = (false, Some(cx.now));
                self.publish_package(node, PackageUse::LastResort, None, cx);
            }
        }
    }

    /// Notes, when a first peer is met, that this device was away for longer than the window: others
    /// have let go of the states that its leaf was renewed in.
    pub(super) fn note_absence(&mut self, now: Timestamp) {
        let window = self.stand_group().map(|group| group.settings().window());
        let Some((window, met)) = window.zip(self.caught_up_at) else { return };
        self.renewal.absent |= now.since(met) > window.duration();
    }

    fn may_renew(&self, node: &Node) -> bool {
        self.reconcile_at.is_none()
            && self.may_commit(node)
            && self
                .stand_group()
                .is_some_and(|group| group.is_active() && group.devices().len() > 1)
    }

    /// When one's own leaf is to be renewed; `None` if it is not known since when it is there.
    fn due_at(
        &self,
        node: &Node,
        leaves: &BTreeMap<DeviceId, Leaf>,
        cx: &Cx<'_>,
    ) -> Option<Timestamp> {
        let leaf = leaves.get(&node.device())?;
        let by_last_resort = leaf.package.is_some_and(|package| {
            self.own_packages.values().any(|row| row.last_resort && row.reference == package)
        });
        // A wrong clock does not keep a leaf from growing old. Where it was this device's own, what it
        // writes anew is later still: then its memory says when it did.
        let from_the_future = leaf.at > cx.now.saturating_add(CLOCK_SKEW_MAX);
        let at = match from_the_future {
            true => self.renewal.renewed.filter(|renewed| *renewed <= cx.now),
            false => Some(leaf.at),
        };
        let at = at.filter(|_| !by_last_resort && !self.renewal.absent);
        Some(at.map_or(cx.now, |at| at.saturating_add(age_max(leaves.len()))))
    }

    /// The leaves of a state, each with its last change on the path.
    fn leaves_of(&self, state: &StateId) -> BTreeMap<DeviceId, Leaf> {
        let mut leaves = BTreeMap::new();
        if let Some(root) = self.choice.as_ref().and_then(|choice| self.tree.root(&choice.root)) {
            let at = self.roots.written_at(&root.envelope).unwrap_or(Timestamp::ZERO);
            leaves.insert(root.device, Leaf { at, package: None });
        }
        for commit in self.tree.path_to(&self.view(), state).unwrap_or_default() {
            let Some(at) = self.commits.get(&commit.envelope).map(|commit| commit.at) else {
                continue;
            };
            leaves.retain(|device, _| !commit.removes.contains(device));
            // An addition alone brings no path.
            if commit.adds.is_empty() || !commit.removes.is_empty() {
                leaves.insert(commit.device, Leaf { at, package: None });
            }
            for added in &commit.adds {
                leaves.insert(added.device, Leaf { at, package: Some(added.package) });
            }
        }
        leaves
    }

    /// One's turn: after those of whom it is due as well and whose leaves come before one's own in
    /// bit-reversed order, which fills the paths of a tree soonest.
    fn renewal_turn(
        &self,
        node: &Node,
        leaves: &BTreeMap<DeviceId, Leaf>,
        cx: &mut Cx<'_>,
    ) -> Timestamp {
        let devices = self.stand_group().map(Group::devices).unwrap_or_default();
        let bits = usize::BITS - devices.len().leading_zeros();
        let place = |index: usize| index.reverse_bits() >> (usize::BITS - bits);
        let me = node.device();
        let mine = devices.iter().position(|device| *device == me).map_or(0, place);
        let own = leaves.get(&me);
        let old = |leaf: &Leaf| leaf.at.saturating_add(age_max(leaves.len())) <= cx.now;
        let is_due = |device: &DeviceId| {
            let leaf = leaves.get(device);
            leaf.is_some_and(|leaf| old(leaf) || own.is_some_and(|own| own.at == leaf.at))
        };
        let before = devices
            .iter()
            .enumerate()
            .filter(|(index, device)| place(*index) < mine && is_due(device))
            .count();
        let turns = TURN.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
        let share = cx.chance.number() % 1_000;
        cx.now.saturating_add(turns + TURN.mul_f64(share as f64 / 1_000.0))
    }
}

/// How old a leaf becomes among so many.
fn age_max(leaves: usize) -> Duration {
    LEAF_AGE_MAX.max(PER_LEAF.saturating_mul(u32::try_from(leaves).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_becomes_a_week_old_or_an_hour_for_each_leaf() {
        assert_eq!(age_max(2), LEAF_AGE_MAX);
        assert_eq!(age_max(168), LEAF_AGE_MAX);
        assert_eq!(age_max(1_000), Duration::from_secs(1_000 * 60 * 60));
    }
}
