//! Joins that end without anybody coming in, and what is heard of that.

use super::{JoinStep, OTHERS_ANSWER, may_let_in};
use crate::{
    app::engine::{
        event::Event,
        frames::Refusal,
        machine::{Cx, Node},
        rows::{self, VIEW},
        server::Server,
    },
    base::{EnvelopeId, IdentityId, PeerId},
    state::{
        authority::{JoinRequest, Judged, Operation},
        mls::tree::View,
    },
};

impl Server {
    /// Whoever holds an admission of their own, knows all that was shown to them, and is no member, is out:
    /// they came too late where several were let in at once by an invite for fewer, or it was taken again.
    pub(super) fn find_outdone(&mut self, cx: &mut Cx<'_>) {
        let Some(join) = self.join.as_ref().filter(|join| !join.failed) else { return };
        let Ok(request) = JoinRequest::decode(&join.row.request) else { return };
        let granted = self.lawful_grants(&request);
        let caught_up = self.caught_up.values().any(|channels| channels.contains(&self.control));
        if granted.is_empty() || !caught_up {
            return;
        }
        if let Some(out) = self.why_out(&request, &granted) {
            self.fail_join(out.code(), out.message(), cx);
        }
    }

    /// The admissions by a request whose authors were entitled to them by what they knew.
    fn lawful_grants(&self, request: &JoinRequest) -> Vec<EnvelopeId> {
        let mut granted = self.authority.grants_of(request);
        let standing = |id: &EnvelopeId| self.authority.operation(id).and_then(|it| it.standing);
        granted.retain(|id| standing(id).is_some());
        granted
    }

    /// Why somebody is out whom these admissions let in: of several reasons what was meant for them. `None`
    /// if by another admission they may yet be in.
    fn why_out(&self, request: &JoinRequest, granted: &[EnvelopeId]) -> Option<Out> {
        let who = request.certificate.identity;
        let mut ended_by = self.authority.ended_by(&who);
        // What ended an earlier time of theirs did not end this one.
        ended_by.retain(|id| !self.is_before_all(id, granted));
        if ended_by.is_empty() {
            return Some(Out::Late);
        }
        ended_by.iter().filter_map(|id| self.how_ended(&who, id, granted)).min()
    }

    /// How an operation ended what these admissions began: not at all, if it is a removal that knew of none.
    fn how_ended(&self, who: &IdentityId, id: &EnvelopeId, granted: &[EnvelopeId]) -> Option<Out> {
        let Judged { operation, author, .. } = self.authority.operation(id)?;
        match operation {
            Operation::Kick { target, .. } if target == who => {
                self.knew_any(id, granted).then_some(Out::Removed)
            }
            Operation::Leave if author == *who => self.knew_any(id, granted).then_some(Out::Left),
            Operation::Admit(_) => Some(Out::Late),
            _ => Some(Out::Revoked),
        }
    }

    /// Whether an envelope has any of these in its past.
    fn knew_any(&self, id: &EnvelopeId, any: &[EnvelopeId]) -> bool {
        any.iter().any(|one| self.view().knows(id, one))
    }

    /// Whether an envelope is in the past of all these.
    fn is_before_all(&self, id: &EnvelopeId, all: &[EnvelopeId]) -> bool {
        all.iter().all(|one| self.view().knows(one, id))
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
        let answered = join.answered.insert(peer, refusal);
        let is_asking = join.is_open() && join.step < Some(JoinStep::Syncing);
        let is_led_to = node.links.is_led_to(&peer, &self.id);
        if refusal.is_retryable() || !is_led_to || join.is_granted() {
            if is_asking && answered != Some(refusal) {
                self.tell_refusal(node, &peer, refusal, cx);
            }
        } else {
            join.refusal.get_or_insert(refusal);
            join.refused_at.get_or_insert(cx.now.saturating_add(OTHERS_ANSWER));
        }
        let Some(join) = self.join.as_mut() else { return };
        let Some(refusal) = join.refusal.filter(|_| !join.is_granted()) else { return };
        let links = &node.links;
        let for_good = join.answered.iter().filter(|(_, refusal)| !refusal.is_retryable());
        let led_to = for_good.filter(|(peer, _)| links.is_led_to(peer, &self.id));
        if led_to.count() >= join.link.addresses.len() {
            return self.fail_join(refusal.code(), refusal.message(), cx);
        }
        let met = may_let_in(node, self.id, &self.matrix);
        if met.filter(|peer| !join.asked.contains_key(peer)).count() > 0 {
            join.next_ask = None;
            self.request(node, cx);
        }
    }

    /// Tells that a member has refused: once for each answer of theirs that is another.
    fn tell_refusal(&self, node: &Node, peer: &PeerId, refusal: Refusal, cx: &mut Cx<'_>) {
        let Some(by) = node.links.identity_of(peer) else { return };
        cx.tell(Event::JoinRefused {
            server: self.id,
            by,
            name: self.name_of(&by),
            code: refusal.code(),
            message: refusal.message().to_owned(),
        });
    }

    /// Tells why a join does not go on, and asks nobody any more.
    pub(super) fn fail_join(&mut self, code: &'static str, message: &str, cx: &mut Cx<'_>) {
        let Some(join) = self.join.as_mut().filter(|join| !join.failed) else { return };
        join.failed = true;
        cx.fx.batch.delete(VIEW, rows::join_key(self.number));
        cx.tell(Event::JoinFailed { server: self.id, code, message: message.to_owned() });
    }
}

/// Why somebody who was let in is out, what was meant for them first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Out {
    /// They were removed.
    Removed,
    /// They left.
    Left,
    /// Others came in by the last uses of the invite.
    Late,
    /// The invite counts no more, or whoever let them in by it.
    Revoked,
}

impl Out {
    fn code(self) -> &'static str {
        match self {
            Self::Removed => "join.removed",
            Self::Left => "join.left",
            Self::Late => Refusal::UsedUp.code(),
            Self::Revoked => Refusal::Revoked.code(),
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Removed => {
                "You were let in, and were removed before you had come in. You are not in; ask for \
                 another invite if you think that this was a mistake."
            }
            Self::Left => {
                "You left before you had come in. You are not in; to come back ask for another invite."
            }
            Self::Late => Refusal::UsedUp.message(),
            Self::Revoked => Refusal::Revoked.message(),
        }
    }
}
