use std::time::Duration;

use super::{
    enter::Route,
    event::Event,
    join::Join,
    machine::{Cx, Node},
    pleas::PLEA_PAUSE,
    reads::Loaded,
    rows::{self, LostRow, VIEW},
    server::Server,
};
use crate::{
    base::{Bug, StateId, Timestamp, cbor},
    state::{
        envelope::PayloadType,
        mls::{Change, Group, PackageUse, VotePayload},
    },
};

/// How long the first in turn tries to reach a head before it pleads, and each other as often more as
/// it has others before it.
const LOST: Duration = Duration::from_secs(60);
/// After so many of these it pleads even though the head goes on changing.
const CHANGES_MAX: u32 = 10;
/// How long a peer has to bring what is missing, once there is one.
const PEER_PATIENCE: Duration = Duration::from_secs(10);
/// The longest pause between pleas.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// After so many pleas in vain a device stands up for where it is.
const IN_VAIN: usize = 2;

/// The way back to a head that cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Comeback {
    /// What is remembered while the head is out of reach.
    lost: Option<LostRow>,
    /// Since when there is a member to be asked.
    linked: Option<Timestamp>,
    /// When something is to be done about it.
    pub at: Option<Timestamp>,
    /// What it waits for, as it was told.
    waiting: Option<&'static str>,
}

impl Comeback {
    /// What the group waits for to be whole here, for people.
    pub(super) fn waiting(&self) -> Option<String> {
        self.waiting.map(str::to_owned)
    }
}

impl Server {
    /// Pleads for a head that could not be reached for a while, and says so to people.
    pub(super) fn come_back(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        self.comeback.at = None;
        let lost = self.head.filter(|head| self.is_lost(node, head));
        let lost = lost.filter(|_| !Bug::NeverPleads.is_planted());
        let waiting = lost.and_then(|head| self.waits_for(node, &head));
        self.tell_healing(waiting, cx);
        let Some(head) = lost else { return self.forget_lost(cx) };
        let row = self.remember_lost(head, cx);
        if !self.has_linked_member(node) {
            self.comeback.linked = None;
            return;
        }
        let linked = *self.comeback.linked.get_or_insert(cx.now);
        let due = self.plea_due(node, &row).max(linked.saturating_add(PEER_PATIENCE));
        if due > cx.now {
            self.comeback.at = Some(due);
            return;
        }
        let in_vain = self.pleas().in_vain(&node.device(), &head).len();
        if in_vain >= IN_VAIN && row.stood_up != Some(head) {
            self.save_lost(LostRow { stood_up: Some(head), ..row }, cx);
            self.stand_up(node, &head, cx);
            node.settle(self.id);
            return;
        }
        self.publish_package(node, PackageUse::Once, Some(head), cx);
    }

    /// Whether this device ought to be in the head, and is not.
    fn is_lost(&self, node: &Node, head: &StateId) -> bool {
        !self.kept.contains_key(head)
            && self.is_member(&node.me().identity())
            && (self.stand.is_some() || self.roster(head).contains_key(&node.device()))
    }

    /// Whom or what the way to a head waits for; nothing if it is on its way.
    fn waits_for(&self, node: &Node, head: &StateId) -> Option<&'static str> {
        if self.join.as_ref().is_some_and(|join| !Join::is_complete(join)) {
            return None;
        }
        let route = self.route(node, head).filter(|_| !self.unreachable.contains_key(head));
        match route {
            Some(Route::Replay(next)) if self.bodies.contains(&next.commit) => None,
            Some(Route::Replay(_)) => {
                Some("waiting for a member who holds the commit that is missing")
            }
            Some(Route::Enter(_)) | None => {
                Some("waiting for a member who is on the chosen branch")
            }
        }
    }

    fn tell_healing(&mut self, waiting: Option<&'static str>, cx: &mut Cx<'_>) {
        if self.comeback.waiting != waiting {
            self.comeback.waiting = waiting;
            let waiting = waiting.map(str::to_owned);
            cx.tell(Event::Healing { server: self.id, waiting });
        }
    }

    fn has_linked_member(&self, node: &Node) -> bool {
        let mut peers = node.links.peers();
        peers.any(|peer| self.matrix.device(&peer).is_some() && peer != node.device())
    }

    fn forget_lost(&mut self, cx: &mut Cx<'_>) {
        if self.comeback.lost.take().is_some() {
            cx.fx.batch.delete(VIEW, rows::lost_key(self.number));
        }
    }

    /// Notes since when this head, and any head, is out of reach.
    fn remember_lost(&mut self, head: StateId, cx: &mut Cx<'_>) -> LostRow {
        let begun = LostRow { head, changed: cx.now, since: cx.now, stood_up: None };
        match self.comeback.lost.clone() {
            Some(row) if row.head == head => row,
            Some(row) => self.save_lost(LostRow { head, changed: cx.now, ..row }, cx),
            None => self.save_lost(begun, cx),
        }
    }

    fn save_lost(&mut self, row: LostRow, cx: &mut Cx<'_>) -> LostRow {
        cx.fx.batch.put(VIEW, rows::lost_key(self.number), cbor::encode(&row));
        self.comeback.lost = Some(row.clone());
        row
    }

    /// When to plead: a while after the head changed last, the longer the more members are before one,
    /// or a longer while after it was lost; and a pause after one's last plea.
    fn plea_due(&self, node: &Node, row: &LostRow) -> Timestamp {
        let turn = u32::try_from(self.turn(node)).unwrap_or(u32::MAX);
        let patience = LOST.saturating_mul(turn.saturating_add(1));
        let changed = row.changed.saturating_add(patience);
        let since = row.since.saturating_add(patience.saturating_mul(CHANGES_MAX));
        let me = node.device();
        let last = self.packages.all_pleas(&me).last().map(|plea| plea.at);
        let in_vain = self.pleas().in_vain(&me, &row.head).len();
        let paused = last.map(|last| last.saturating_add(pause(in_vain)));
        changed.min(since).max(paused.unwrap_or(Timestamp::ZERO))
    }

    /// Gives one's own branch the weight that a head nobody holds must lose to: a commit beside the
    /// head's branch if the head lies below the stand, else a vote for the stand.
    fn stand_up(&mut self, node: &mut Node, head: &StateId, cx: &mut Cx<'_>) {
        let Some(stand) = self.stand.filter(|_| self.stand_group().is_some_and(Group::is_active))
        else {
            return;
        };
        let path = self.tree.path_to(&self.view(), head).unwrap_or_default();
        if !path.iter().any(|commit| commit.parent == stand) {
            let payload = VotePayload { state: stand }.encode();
            self.write_control(node, PayloadType::Vote, payload, cx);
            return;
        }
        // A second commit of one device on one state is void.
        if !self.has_committed_on(&stand, node) {
            self.commit(node, &Change::default(), cx);
        }
    }

    /// Takes what is remembered from its row.
    pub(super) fn load_lost(&mut self, loaded: &Loaded) {
        self.comeback.lost = loaded.row(&VIEW, &rows::lost_key(self.number));
    }
}

/// The pause after so many pleas in vain: an hour, doubling up to a day.
fn pause(in_vain: usize) -> Duration {
    let doublings = u32::try_from(in_vain.saturating_sub(1)).unwrap_or(u32::MAX);
    PLEA_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_pleas_double_up_to_a_day() {
        let hours = |in_vain| pause(in_vain).as_secs() / 3_600;
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 60].map(hours), [1, 1, 2, 4, 8, 16, 24, 24]);
    }
}
