use std::time::Duration;

use super::{
    machine::{Cx, Node},
    server::{ForkMoved, Server},
};
use crate::{
    base::{
        DeviceId, StateId, Timestamp,
        limits::{ADDITIONS_PER_COMMIT_MAX, LEAVES_MAX},
    },
    state::{
        authority::authorize,
        envelope::{Header, Origin, PayloadType},
        mls::{self, Change, Merged, Parents},
    },
};

/// How long the first in turn waits for nothing, and each other as often as it has others before it.
const TURN: Duration = Duration::from_secs(2);
/// Removals in one commit: OpenMLS writes several in an order that follows from no seed.
const REMOVALS_PER_COMMIT_MAX: usize = 1;

impl Server {
    /// Makes the difference between authority and the head's leaves one commit, when it is this
    /// device's turn.
    pub(super) fn reconcile(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let Some(head) = self.head.filter(|head| Some(*head) == self.stand) else {
            self.reconcile_at = None;
            return;
        };
        if !self.is_member(&node.me().identity()) {
            self.reconcile_at = None;
            return;
        }
        let mut change = self.or_move_up(self.difference(&head));
        let settled = self.forks_settled();
        if settled.is_some_and(|at| at > cx.now)
            && (!change.adds.is_empty() || change.version.is_some())
        {
            // Additions and a new version wait for forks to settle; removals do not.
            change = Change { removes: change.removes, ..Change::default() };
            if change == Change::default() {
                self.reconcile_at = settled.map(|at| (head, at));
                return;
            }
        }
        if change == Change::default() {
            self.reconcile_at = None;
            return;
        }
        let at = match self.reconcile_at {
            Some((of, at)) if of == head => at,
            _ => self.turn_at(node, !change.removes.is_empty(), cx),
        };
        self.reconcile_at = Some((head, at));
        if at <= cx.now {
            self.reconcile_at = None;
            self.commit(node, &change, cx);
        }
    }

    /// When no fork has moved for a while.
    fn forks_settled(&self) -> Option<Timestamp> {
        match self.fork_moved {
            ForkMoved::At(at) => Some(at.saturating_add(TURN)),
            ForkMoved::Never | ForkMoved::Now => None,
        }
    }

    /// When it is one's turn: at once for the first, else its place times 2 s, half more or less; a
    /// quarter of that for removals.
    fn turn_at(&self, node: &Node, removes: bool, cx: &mut Cx<'_>) -> Timestamp {
        let turn = u32::try_from(self.turn(node)).unwrap_or(u32::MAX);
        let whole = TURN.saturating_mul(turn) / if removes { 4 } else { 1 };
        let share = cx.chance.number() % 1_000;
        let wait = whole / 2 + whole.mul_f64(share as f64 / 1_000.0);
        cx.now.saturating_add(wait)
    }

    /// Who ought to have a leaf and has none, and the other way round.
    fn difference(&self, head: &StateId) -> Change {
        let roster = self.roster(head);
        let removes: Vec<DeviceId> = roster
            .iter()
            .filter(|(_, identity)| !self.is_member(identity))
            .map(|(device, _)| *device)
            .take(REMOVALS_PER_COMMIT_MAX)
            .collect();
        let used = self.tree.used_packages(&self.view(), head);
        let adds = self
            .matrix
            .by_seniority()
            .iter()
            .filter_map(|identity| self.authority.request_of(identity))
            .filter(|request| !roster.contains_key(&request.certificate.device))
            .map(|request| request.key_package.clone())
            .filter(|package| {
                mls::package_facts(package)
                    .is_ok_and(|facts| !used.contains(&facts.reference) && self.speaks_here(&facts))
            })
            .take(ADDITIONS_PER_COMMIT_MAX.min(LEAVES_MAX.saturating_sub(roster.len())))
            .collect();
        Change { adds, removes, ..Change::default() }
    }

    /// Commits `change` on the stand: built, judged and merged on a copy, kept with its log entry in
    /// one batch.
    fn commit(&mut self, node: &mut Node, change: &Change, cx: &mut Cx<'_>) {
        let Some(mut header) = self.next_header(node, self.control, PayloadType::Commit, cx) else {
            return;
        };
        let Some(Merged { group, payload, body }) = self.build(node, change, &header, cx) else {
            return;
        };
        header.payload = payload.encode();
        let child = payload.child;
        if let Ok(envelope) = self.write(node, header, Some(body.encode().into()), cx) {
            self.tree.mark_valid(envelope.id());
            self.keep_state(node, child, group, cx);
            node.settle(self.id);
        }
    }

    fn build(
        &self,
        node: &Node,
        change: &Change,
        header: &Header,
        cx: &mut Cx<'_>,
    ) -> Option<Merged> {
        let group = self.stand_group()?;
        let signer = &node.me().device_key;
        let built = group.build(signer, change, Parents::of(header), &cx.chance.secret()).ok()?;
        let authorized = authorize(&self.authority, built.open(Origin::of(header))).ok()?;
        built.merge(authorized).ok()
    }

    /// Removes the leaves of people who may not read, at once; says whether the
    /// stand is free of them.
    pub(super) fn clear_stand(&mut self, node: &mut Node, cx: &mut Cx<'_>) -> bool {
        let Some(stand) = self.stand else { return false };
        if !self.stand_clear && self.head == Some(stand) {
            let removes = self.difference(&stand).removes;
            self.commit(node, &Change { removes, ..Change::default() }, cx);
        }
        self.stand_clear
    }

    /// Looks whether the stand is free of people who may not read: once per change, so that no message
    /// has to.
    pub(super) fn look_at_stand(&mut self) {
        let roster = self.stand.map(|stand| self.roster(&stand)).unwrap_or_default();
        self.stand_clear = roster.values().all(|identity| self.is_member(identity));
    }
}
