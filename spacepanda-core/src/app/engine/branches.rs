//! Branches of the logs in the control channel. Only whoever means harm makes many of them, and shows
//! different ones to different people. Some are kept as they come, and named by whoever keeps them; any
//! more are kept only if somebody else names them. So all come to hold the same.

use super::{
    machine::{Cx, Node, Work},
    server::Server,
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, IdentityId},
    state::{
        envelope::{PayloadType, Verified},
        mls::VotePayload,
    },
};

/// Branches of one log that are kept though nobody names them.
const OF_LOG_MAX: usize = 32;
/// The same of all devices together that one person ever had.
const OF_PERSON_MAX: usize = 256;

impl Server {
    /// Whether an envelope of the control channel begins a branch of a log, or another log of somebody's,
    /// where there are as many as are kept as they come, and waits until anybody else names it.
    pub(super) fn is_one_too_many(&self, envelope: &Verified) -> bool {
        let Some(author) = self.authority.begins_branch_of(envelope) else { return false };
        let is_other =
            |device: &DeviceId| self.authority.certified(device).is_some_and(|who| who != author);
        self.has_many_branches(&author, &envelope.header().sender)
            && (Bug::DropsTheUnnamed.is_planted()
                || !self.waiting.authors_after(&envelope.id()).iter().any(is_other))
    }

    fn has_many_branches(&self, who: &IdentityId, device: &DeviceId) -> bool {
        self.authority.branches_of(who) >= OF_PERSON_MAX
            || self.control_channel().frontier.of(device).count() >= OF_LOG_MAX
    }

    /// Tries again what waits until somebody names it, where something waits for that in the end.
    pub(super) fn take_up_unnamed(&mut self, node: &mut Node, missing: &EnvelopeId) {
        if let Some(envelope) = self.waiting.take_unnamed(missing) {
            node.queue(Work::Keep { server: self.id, envelope, from: None });
        }
    }

    /// Names the branches that were kept as they came, of logs that have so many that others may not keep
    /// these: by a vote for where this device stands, which says nothing new.
    pub(super) fn name_branches(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let me = node.me().identity();
        let Some(state) = self.stand.filter(|_| self.is_member(&me)) else { return };
        if self.has_branches_to_name(&me) {
            let payload = VotePayload { state }.encode();
            self.write_control(node, PayloadType::Vote, payload, cx);
        }
    }

    fn has_branches_to_name(&self, me: &IdentityId) -> bool {
        let mut others = self.authority.unnamed_branches(OF_LOG_MAX).filter(|(who, _)| who != me);
        others.any(|(who, unnamed)| {
            unnamed.iter().any(|first| self.has_many_branches(&who, &first.device))
        })
    }
}
