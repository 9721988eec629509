//! Branches of the logs in the control channel. Only whoever means harm makes many of them, and shows
//! different ones to different people. Some are kept as they come, and named by whoever keeps them; any
//! more are kept only if somebody else names them. So all come to hold the same.

use std::time::Duration;

use super::{
    machine::{Cx, Node, Work},
    reconcile::TURN,
    rows::Head,
    server::Server,
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, IdentityId, Tip},
    state::{
        authority::Operation,
        envelope::{PayloadType, Verified},
        mls::VotePayload,
    },
};

/// The longest that the first in turn waits before it names any: the first time it waits for a moment, then
/// twice as long each time.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Branches of one log that are kept though nobody names them.
const UNNAMED_MAX: usize = 32;
/// The same of those that begin by letting somebody in as their past allows: whoever is let in so is heard.
const ADMITTING_MAX: usize = 2 * UNNAMED_MAX;

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
            && !self.admits_lawfully(envelope)
    }

    fn has_many_branches(&self, device: &DeviceId) -> bool {
        self.branches_of(device) >= UNNAMED_MAX
    }

    fn branches_of(&self, device: &DeviceId) -> usize {
        self.control_channel().frontier.of(device).count()
    }

    /// Whether a branch is kept however many there are: the word of somebody else waits for it.
    fn is_wanted(&self, envelope: &Verified) -> bool {
        let author = self.authority.certified(&envelope.header().sender);
        let is_other = |who: IdentityId| Some(who) != author;
        let mut after = self.waiting.after(&envelope.id()).into_iter();
        !Bug::DropsTheUnnamed.is_planted()
            && after.any(|waits| self.speaker(waits).is_some_and(is_other))
    }

    /// Whose word an envelope is that waits, if they are a member: a device of theirs that counts wrote it, or one
    /// that introduces itself by it.
    fn speaker(&self, envelope: &Verified) -> Option<IdentityId> {
        let device = envelope.header().sender;
        self.matrix.device(&device).or_else(|| match self.authority.read(envelope)? {
            Operation::AddDevice { certificate } => {
                Some(certificate.identity).filter(|who| self.is_member(who))
            }
            _ => None,
        })
    }

    fn admits_lawfully(&self, envelope: &Verified) -> bool {
        let header = envelope.header();
        if self.branches_of(&header.sender) >= ADMITTING_MAX {
            return false;
        }
        let Some(admission) = self.authority.read(envelope) else { return false };
        let Operation::Admit(request) = &admission else { return false };
        let named: Vec<_> = header.named().collect();
        let (device, at) = (&header.sender, header.timestamp);
        !self.is_member(&request.certificate.identity)
            && self.authority.check(device, at, &named, &admission).is_ok()
    }

    /// Tries again the branch that something waits for in the end which waits for `missing`.
    pub(super) fn try_unnamed(&mut self, node: &mut Node, missing: &EnvelopeId) {
        let last = self.waiting.waited_for(missing);
        self.try_those(node, |unnamed| unnamed.id() == last);
    }

    /// Tries again all that wait to be named, since other devices count now.
    pub(super) fn try_all_unnamed(&mut self, node: &mut Node) {
        self.try_those(node, |_| true);
    }

    fn try_those(&mut self, node: &mut Node, those: impl Fn(&Verified) -> bool) {
        let unnamed = self.waiting.unnamed().filter(|unnamed| those(unnamed));
        let wanted: Vec<_> =
            unnamed.filter(|unnamed| self.is_wanted(unnamed)).map(Verified::id).collect();
        for envelope in wanted.iter().filter_map(|id| self.waiting.take_unnamed(id)) {
            node.queue(Work::Keep { server: self.id, envelope, from: None });
        }
    }

    /// Names the branches of logs that have so many that others may not keep these, when it is this device's
    /// turn: by a vote for where it stands, which says nothing new.
    pub(super) fn name_branches(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let stand = self.stand.filter(|stand| Some(*stand) == self.head);
        let Some(state) = stand.filter(|_| self.may_commit(node) && self.has_to_name(node)) else {
            self.name_branches_at = None;
            return;
        };
        let turn = u32::try_from(self.turn(node)).unwrap_or(u32::MAX);
        let doubled = 2_u32.saturating_pow(self.named_branches);
        let wait =
            TURN.saturating_mul(doubled).min(WAIT_MAX).saturating_mul(turn.saturating_add(1));
        let at = *self.name_branches_at.get_or_insert(cx.now.saturating_add(wait));
        if at <= cx.now {
            self.name_branches_at = None;
            self.named_branches += 1;
            let payload = VotePayload { state }.encode();
            self.write_control(node, PayloadType::Vote, payload, cx);
        }
    }

    /// Whether there are tips of a log with many, of somebody else, that no member but its author has named.
    /// What prolongs a branch here can begin one elsewhere.
    fn has_to_name(&self, node: &Node) -> bool {
        let (me, control) = (node.me().identity(), self.control_channel());
        let mut forked = control.frontier.forked(UNNAMED_MAX);
        forked.any(|device| {
            let author = self.authority.certified(&device);
            author.is_some_and(|author| author != me && self.lacks_names(&device, &author))
        })
    }

    fn lacks_names(&self, device: &DeviceId, author: &IdentityId) -> bool {
        let names = |head: &Head| {
            let who = self.matrix.device(&head.tip.device);
            who.is_some_and(|who| who != *author)
        };
        let heads = self.control_channel().heads().into_iter().filter(names);
        let heads: Vec<EnvelopeId> = heads.map(|head| head.tip.id).collect();
        let dag = self.authority.dag();
        let Ok(past) = dag.closure(&heads) else { return false };
        let is_named = |tip: Tip| dag.index(&tip.id).is_none_or(|at| dag.holds(&past, at));
        !self.control_channel().frontier.of(device).all(is_named)
    }
}
