//! Branches of the logs in the control channel. Only whoever means harm makes many of them, and shows
//! different ones to different people. Some are kept as they come, and named by whoever keeps them; any
//! more are kept only if somebody else names them. So all come to hold the same.

use super::{
    machine::{Cx, Node, Work},
    reconcile::TURN,
    server::Server,
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, IdentityId},
    state::{
        authority::Operation,
        envelope::{PayloadType, Verified},
        mls::VotePayload,
    },
    store::FORKS_MAX,
};

/// Branches of one log that are kept though nobody names them.
const UNNAMED_MAX: usize = 32;
/// The same of those that begin by letting somebody in as their past allows: whoever is let in so is heard.
const ADMITTING_MAX: usize = FORKS_MAX / 2;

impl Server {
    /// Whether an envelope of the control channel, of which all the past is here, begins one branch more of a
    /// log than is kept as they come, and waits until somebody else names it.
    pub(super) fn is_one_too_many(&self, envelope: &Verified) -> bool {
        let (header, control) = (envelope.header(), self.control_channel());
        let is_here = |id: &EnvelopeId| self.authority.dag().contains(id);
        self.has_many_branches(&header.sender)
            && !control.follows_a_tip(header)
            && !is_here(&envelope.id())
            && header.named().all(|id| is_here(&id))
            && !self.is_wanted(envelope)
    }

    fn has_many_branches(&self, device: &DeviceId) -> bool {
        self.control_channel().frontier.of(device).count() >= UNNAMED_MAX
    }

    /// Whether a branch is kept however many there are: something by somebody else waits for it.
    fn is_wanted(&self, envelope: &Verified) -> bool {
        if Bug::DropsTheUnnamed.is_planted() {
            return false;
        }
        let author = self.authority.certified(&envelope.header().sender);
        let mut after = self.waiting.after(&envelope.id()).into_iter();
        after.any(|waits| self.speaker(waits).is_some_and(|who| Some(who) != author))
            || self.admits_lawfully(envelope)
    }

    /// Whose word an envelope is that waits, if they are a member: a device of theirs that counts wrote it, or one
    /// that introduces itself by it.
    fn speaker(&self, envelope: &Verified) -> Option<IdentityId> {
        let device = envelope.header().sender;
        self.matrix.device(&device).or_else(|| match operation(envelope)? {
            Operation::AddDevice { certificate } => {
                let is_theirs = certificate.device == device
                    && self.is_member(&certificate.identity)
                    && certificate.clone().verify().is_ok();
                is_theirs.then_some(certificate.identity)
            }
            _ => None,
        })
    }

    fn admits_lawfully(&self, envelope: &Verified) -> bool {
        let (header, control) = (envelope.header(), self.control_channel());
        let Some(admission @ Operation::Admit(_)) = operation(envelope) else { return false };
        let named: Vec<_> = header.named().collect();
        control.frontier.of(&header.sender).count() < ADMITTING_MAX
            && self.authority.check(&header.sender, header.timestamp, &named, &admission).is_ok()
    }

    /// Tries again the branch that something waits for in the end which waits for `missing`.
    pub(super) fn try_unnamed(&mut self, node: &mut Node, missing: &EnvelopeId) {
        let last = self.waiting.waited_for(missing);
        let found = self.waiting.unnamed().find(|unnamed| unnamed.id() == last);
        if found.is_some_and(|unnamed| self.is_wanted(unnamed)) {
            self.take_up(node, &last);
        }
    }

    /// Tries again all that wait to be named, since other devices count now.
    pub(super) fn try_all_unnamed(&mut self, node: &mut Node) {
        let wanted = self.waiting.unnamed().filter(|unnamed| self.is_wanted(unnamed));
        let wanted: Vec<_> = wanted.map(Verified::id).collect();
        wanted.iter().for_each(|id| self.take_up(node, id));
    }

    fn take_up(&mut self, node: &mut Node, id: &EnvelopeId) {
        if let Some(envelope) = self.waiting.take_unnamed(id) {
            node.queue(Work::Keep { server: self.id, envelope, from: None });
        }
    }

    /// Names the heads of logs that have so many branches that others may not keep these, when it is this
    /// device's turn: by a vote for where it stands, which says nothing new.
    pub(super) fn name_branches(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let stand = self.stand.filter(|stand| Some(*stand) == self.head);
        let Some(state) = stand.filter(|_| self.may_commit(node) && self.has_heads_to_name(node))
        else {
            self.name_branches_at = None;
            return;
        };
        let turn = u32::try_from(self.turn(node)).unwrap_or(u32::MAX);
        let wait = TURN.saturating_mul(turn.saturating_add(1));
        let at = *self.name_branches_at.get_or_insert(cx.now.saturating_add(wait));
        if at <= cx.now {
            self.name_branches_at = None;
            let payload = VotePayload { state }.encode();
            self.write_control(node, PayloadType::Vote, payload, cx);
        }
    }

    fn has_heads_to_name(&self, node: &Node) -> bool {
        let me = Some(node.me().identity());
        let control = self.control_channel();
        let forked = control.frontier.forked(UNNAMED_MAX);
        let mut others = forked.filter(|device| self.authority.certified(device) != me);
        others.any(|device| control.has_head_of(&device))
    }
}

fn operation(envelope: &Verified) -> Option<Operation> {
    let header = envelope.header();
    let is_operation = header.payload_type == PayloadType::Authority;
    Operation::decode(&header.payload).ok().filter(|_| is_operation)
}
