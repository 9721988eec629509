//! Joins that end without anybody coming in, and what is heard of that.

use super::{JoinStep, OTHERS_ANSWER};
use crate::{
    app::engine::{
        event::Event,
        frames::Refusal,
        machine::{Cx, Node},
        rows::{self, VIEW},
        server::Server,
    },
    base::PeerId,
    state::authority::JoinRequest,
};

impl Server {
    /// Several may have been let in at once by an invite for fewer: whoever holds an admission of their
    /// own that does not count has come too late.
    pub(super) fn find_outdone(&mut self, cx: &mut Cx<'_>) {
        let Some(join) = self.join.as_ref().filter(|join| !join.failed) else { return };
        let request = JoinRequest::decode(&join.row.request);
        let granted = request.is_ok_and(|request| self.authority.is_granted(&request));
        let caught_up = self.caught_up.values().any(|channels| channels.contains(&self.control));
        if granted && caught_up {
            self.fail_join(Refusal::UsedUp, cx);
        }
    }

    /// Somebody does not let this node's person in: the others are asked at once. Only what all say whom
    /// the link names, or what nobody contradicts for a while, is so.
    pub(super) fn note_refusal(
        &mut self,
        node: &mut Node,
        peer: PeerId,
        refusal: Refusal,
        cx: &mut Cx<'_>,
    ) {
        let Some(join) = self.join.as_mut() else { return };
        join.answered.insert(peer);
        if !refusal.is_retryable() {
            join.refusal.get_or_insert(refusal);
            join.refused_at.get_or_insert(cx.now.saturating_add(OTHERS_ANSWER));
        }
        let Some(refusal) = join.refusal.filter(|_| join.step < Some(JoinStep::Admitted)) else {
            return;
        };
        if join.answered.len() >= join.link.addresses.len() {
            return self.fail_join(refusal, cx);
        }
        let links = &node.links;
        let met = links.peers().filter(|peer| links.is_for_join(peer, &self.id));
        if met.filter(|peer| !join.asked.contains_key(peer)).count() > 0 {
            join.next_ask = None;
            self.request(node, cx);
        }
    }

    /// Tells that a join was refused, and asks nobody any more.
    pub(super) fn fail_join(&mut self, refusal: Refusal, cx: &mut Cx<'_>) {
        let Some(join) = self.join.as_mut().filter(|join| !join.failed) else { return };
        join.failed = true;
        cx.fx.batch.delete(VIEW, rows::join_key(self.number));
        cx.tell(Event::JoinFailed {
            server: self.id,
            code: refusal.code(),
            message: refusal.message().to_owned(),
        });
    }
}
