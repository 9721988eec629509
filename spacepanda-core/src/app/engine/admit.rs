use super::{
    frames::{JoinReply, JoinRequestFrame, Refusal, Tree},
    machine::{Cx, Machine, Node},
    server::Server,
};
use crate::{
    base::{DeviceId, PeerId, StateId, cbor, limits::MEMBERS_MAX},
    state::{
        authority::{AdmitError, JoinRequest, Operation},
        envelope::PayloadType,
        link::Kind,
        mls,
    },
};

impl Machine {
    /// Somebody asks to be let in.
    pub(super) fn join_requested(
        &mut self,
        peer: PeerId,
        asked: &JoinRequestFrame,
        cx: &mut Cx<'_>,
    ) {
        let refused = match self.servers.get_mut(&asked.server) {
            Some(server) => server.admit(&mut self.node, &asked.request, cx).err(),
            None => Some(Refusal::Unknown),
        };
        let reply = JoinReply { server: asked.server, refused };
        self.node.send(peer, Kind::JoinReply, &cbor::encode(&reply), cx);
    }
}

impl Server {
    /// Lets somebody in whose request checks out; one who is in by it already stays in.
    fn admit(&mut self, node: &mut Node, request: &[u8], cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let request = JoinRequest::decode(request).map_err(|_| Refusal::Invalid)?;
        let facts = mls::package_facts(&request.key_package).map_err(|_| Refusal::Invalid)?;
        if *facts.certificate.certificate() != request.certificate || request.server != self.id {
            return Err(Refusal::Invalid);
        }
        let me = node.me().identity();
        let counts = self.matrix.devices().contains_key(&node.device());
        if !self.loaded || !self.is_member(&me) || !counts {
            return Err(Refusal::Unknown);
        }
        if self.authority.is_admitted_by(&request) {
            return Ok(());
        }
        // A key package adds once: the request of somebody who was removed since is of no use to them,
        // and others who hold it must not bring them back by it.
        let used = |head| self.tree.used_packages(&self.view(), &head).contains(&facts.reference);
        if self.head.is_some_and(used) {
            return Err(Refusal::Invalid);
        }
        if !self.speaks_here(&facts) {
            return Err(Refusal::Version);
        }
        if self.matrix.members().len() >= MEMBERS_MAX {
            return Err(Refusal::Full);
        }
        let device = node.device();
        // By the time that the admission will carry, which follows others' clocks.
        let header = self.next_header(node, self.control, PayloadType::Authority, cx);
        let at = header.map_or(cx.now, |header| header.timestamp);
        self.authority.may_admit(&device, &request, at).map_err(|error| match error {
            AdmitError::Unknown => Refusal::Unknown,
            AdmitError::Expired => Refusal::Expired,
            AdmitError::Revoked => Refusal::Revoked,
            AdmitError::UsedUp => Refusal::UsedUp,
            AdmitError::Invalid => Refusal::Invalid,
        })?;
        let payload = Operation::Admit(Box::new(request)).encode();
        let written = self.write_control(node, PayloadType::Authority, payload, cx);
        written.map(|_| ()).ok_or(Refusal::Unknown)
    }

    /// Serves the tree of a kept state.
    pub(super) fn serve_tree(
        &mut self,
        node: &mut Node,
        peer: PeerId,
        state: StateId,
        cx: &mut Cx<'_>,
    ) {
        let held = self.may_have_trees(&peer) && self.bring_group(&state, cx.loaded);
        let group = self.groups.get(&state).filter(|_| held);
        let tree = group.and_then(|group| group.tree().ok());
        let frame = cbor::encode(&Tree { server: self.id, state, tree });
        node.send(peer, Kind::Tree, &frame, cx);
    }

    /// Whether a device is a member's, and was not revoked.
    pub(super) fn may_have_trees(&self, device: &DeviceId) -> bool {
        !self.authority.is_revoked(device)
            && self.authority.certified(device).is_some_and(|identity| self.is_member(&identity))
    }
}
