use std::{collections::BTreeSet, time::Duration};

use super::{
    machine::{Cx, Node},
    server::{ForkMoved, Server},
    write::NAMED_MAX,
};
use crate::{
    base::{
        Bug, DeviceId, IdentityId, StateId, Timestamp,
        limits::{ADDITIONS_PER_COMMIT_MAX, LEAVES_MAX},
    },
    state::{
        authority::authorize,
        envelope::{Header, Origin, PayloadType},
        mls::{self, Change, Merged, PackageRef, Parents},
    },
};

/// How long the first in turn waits for nothing, and each other as often as it has others before it.
pub(super) const TURN: Duration = Duration::from_secs(2);
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
        // A second commit of one device on one state is void.
        if !self.may_commit(node) || self.has_committed_on(&head, node) {
            self.reconcile_at = None;
            return;
        }
        let mut change = self.or_move_up(self.difference(node, &head, cx.now));
        let settled = self.forks_settled();
        if settled.is_some_and(|at| at > cx.now)
            && (!change.adds.is_empty() || change.version.is_some())
        {
            // Additions and a new version wait for forks to settle; removals do not.
            change = Change { removes: self.removals(&head), ..Change::default() };
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
            _ => self.turn_at(node, !self.removals(&head).is_empty(), cx),
        };
        self.reconcile_at = Some((head, at));
        if at <= cx.now {
            self.reconcile_at = None;
            if !self.commit(node, &change, cx) {
                self.find_useless(node, &change, cx);
            }
        }
    }

    /// Whether this device made a commit on a state.
    pub(super) fn has_committed_on(&self, state: &StateId, node: &Node) -> bool {
        let me = node.device();
        self.tree.commits_on(state).iter().any(|commit| commit.device == me)
    }

    /// Whether this device is a member's, and may write here now: else nothing is its turn.
    pub(super) fn may_commit(&self, node: &Node) -> bool {
        self.is_member(&node.me().identity()) && self.hold(node).is_none()
    }

    /// When no fork has moved for a while.
    pub(super) fn forks_settled(&self) -> Option<Timestamp> {
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

    /// Who ought to have a leaf and has none, and the other way round; else whoever cannot reach the
    /// head and pleads.
    fn difference(&self, node: &Node, head: &StateId, now: Timestamp) -> Change {
        let mut change = Change {
            adds: self.additions(head, now),
            removes: self.removals(head),
            ..Change::default()
        };
        if change.removes.is_empty()
            && let Some((device, package)) = self.plea_to_answer(node, head, now)
        {
            change.adds.truncate(ADDITIONS_PER_COMMIT_MAX - 1);
            change.adds.push(package);
            change.removes.push(device);
        }
        change
    }

    /// Leaves of devices that are none of a member's.
    fn removals(&self, head: &StateId) -> Vec<DeviceId> {
        let roster = self.roster(head).into_iter();
        roster
            .filter(|(device, identity)| self.matrix.device(device) != Some(*identity))
            .filter(|_| !Bug::RemovesNoLeaf.is_planted())
            .map(|(device, _)| device)
            .take(REMOVALS_PER_COMMIT_MAX)
            .collect()
    }

    /// Key packages of members' devices without a leaf, the most senior members' first.
    fn additions(&self, head: &StateId, now: Timestamp) -> Vec<Vec<u8>> {
        let roster = self.roster(head);
        let mut lacking: Vec<_> = self
            .matrix
            .devices()
            .iter()
            .filter(|(device, _)| !roster.contains_key(*device))
            .map(|(device, identity)| (self.place_of(identity), *device, *identity))
            .collect();
        if lacking.is_empty() {
            return Vec::new();
        }
        lacking.sort_unstable();
        let mut used = self.tree.used_packages(&self.view(), head);
        used.extend(&self.useless);
        let window = now.saturating_sub(self.group_window().duration());
        lacking
            .iter()
            .filter_map(|(_, device, identity)| self.package_for(device, identity, &used, window))
            .take(ADDITIONS_PER_COMMIT_MAX.min(LEAVES_MAX.saturating_sub(roster.len())))
            .collect()
    }

    fn package_for(
        &self,
        device: &DeviceId,
        identity: &IdentityId,
        used: &BTreeSet<PackageRef>,
        window: Timestamp,
    ) -> Option<Vec<u8>> {
        let request = self.authority.request_of(identity);
        let requested = request
            .filter(|request| request.certificate.device == *device)
            .map(|request| (self.authority.admitted_at(identity), request.key_package.as_slice()));
        self.packages.newest(device, identity, requested, used, window)
    }

    /// Whom to remove and add again, and the package by which: who has pleaded longest.
    fn plea_to_answer(
        &self,
        node: &Node,
        head: &StateId,
        now: Timestamp,
    ) -> Option<(DeviceId, Vec<u8>)> {
        let mut open = self.pleas().open(head);
        open.retain(|(device, plea)| {
            !Bug::AnswersNoPlea.is_planted()
                && *device != node.device()
                && !self.useless.contains(&plea.package)
        });
        open.sort_by_key(|(device, plea)| (plea.at, *device));
        let roster = self.roster(head);
        let waits = |device: &DeviceId| self.pleas().is_answered_enough(device, head, now);
        let open = open.into_iter().filter(|(device, _)| roster.contains_key(device));
        open.filter(|(device, _)| !waits(device)).find_map(|(device, plea)| {
            let package = self.packages.of_plea(&device, &plea)?;
            Some((device, package.to_vec()))
        })
    }

    /// Commits `change` on the stand: built, judged and merged on a copy, kept with its log entry in
    /// one batch. Says whether it could be.
    pub(super) fn commit(&mut self, node: &mut Node, change: &Change, cx: &mut Cx<'_>) -> bool {
        let Some(mut header) = self.next_header(node, self.control, PayloadType::Commit, cx) else {
            return false;
        };
        let Some(Merged { group, payload, body }) = self.build(node, change, &header, cx) else {
            return false;
        };
        header.payload = payload.encode();
        let child = payload.child;
        let Ok(envelope) = self.write(node, header, Some(body.encode().into()), cx) else {
            return false;
        };
        self.mark_valid(node, envelope.id(), cx);
        self.keep_state(node, child, group, cx);
        node.settle(self.id);
        true
    }

    /// Finds the key packages with which nothing can be built, so that they stop nobody else.
    fn find_useless(&mut self, node: &mut Node, change: &Change, cx: &mut Cx<'_>) {
        let Some(header) = self.next_header(node, self.control, PayloadType::Commit, cx) else {
            return;
        };
        // Where not all is named, what lets somebody in may be what is left out.
        if self.control_channel().heads().len() > NAMED_MAX {
            return;
        }
        for package in &change.adds {
            let Ok(facts) = mls::package_facts(package) else { continue };
            let device = facts.certificate.device();
            let removes = change.removes.iter().copied().filter(|removed| *removed == device);
            let alone = Change {
                adds: vec![package.clone()],
                removes: removes.collect(),
                ..Change::default()
            };
            if self.build(node, &alone, &header, cx).is_none() {
                self.useless.insert(facts.reference);
                node.settle(self.id);
            }
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
        if Bug::SendsToTheRemoved.is_planted() {
            return true;
        }
        if !self.stand_clear && self.head == Some(stand) && !self.has_committed_on(&stand, node) {
            let removes = self.removals(&stand);
            self.commit(node, &Change { removes, ..Change::default() }, cx);
        }
        self.stand_clear
    }

    /// Looks whether the stand is free of people who may not read: once per change, so that no message
    /// has to.
    pub(super) fn look_at_stand(&mut self) {
        let roster = self.stand.map(|stand| self.roster(&stand)).unwrap_or_default();
        let is_current = |(device, identity): (&DeviceId, &IdentityId)| {
            self.matrix.device(device) == Some(*identity)
        };
        self.stand_clear = roster.iter().all(is_current);
    }
}
