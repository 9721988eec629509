use std::iter;

use super::{
    event::Event,
    join::Join,
    machine::{Cx, Machine, Node},
    rows::{self, VIEW},
    server::Server,
};
use crate::{
    base::{ChannelId, DeviceId, MessageId, PeerId, StateId},
    state::{
        authority::Operation,
        crdt::{Draft, Text, timeline},
        envelope::{PayloadType, Verified},
        mls::{MessagePayload, PackageUse},
    },
};

impl Machine {
    /// Becomes another device of the same identity, and revokes the one that this node was: in one
    /// batch the account and, in every server, the introduction and the revocation in the new device's
    /// log. What is to be sent waits until a member has added the new device to the group.
    pub(super) fn renew_device(&mut self, cx: &mut Cx<'_>) -> DeviceId {
        let account = self.node.account.as_mut().expect("the first step makes the account");
        let old = account.device();
        account.renew(cx.now, &mut cx.chance);
        account.put(&mut cx.fx.batch);
        self.node.renew_tenure(cx);
        self.node.links.book.remove(&old);
        cx.fx.batch.delete(VIEW, rows::address_key(&old));
        let addresses = self.node.links.addresses.clone();
        self.addresses(addresses, cx);
        let ids: Vec<_> = self.servers.keys().copied().collect();
        for id in ids {
            let Some(server) = self.servers.get_mut(&id) else { continue };
            // Nobody knows the new device yet, so there is nothing to wait for.
            server.compared = true;
            server.renew(&mut self.node, old, cx);
            server.compare_anew();
            if let Some(link) = server.open_link(&self.node) {
                server.join = None;
                // The link was read before, and a request is made of what is here.
                let _ = self.begin_join(&link, cx);
            }
        }
        self.node.close_links(cx);
        let device = self.node.device();
        cx.tell(Event::DeviceRenewed { device });
        device
    }
}

impl Server {
    /// Goes on as the node's new device.
    fn renew(&mut self, node: &mut Node, old: DeviceId, cx: &mut Cx<'_>) {
        self.outlive_states(cx);
        self.retire_packages(|_| true, cx);
        if self.is_member(&node.me().identity()) {
            self.introduce(node, [old], cx);
        }
    }

    /// Introduces the node's device where it was made while its person was out, or did not know that
    /// they had been let in again: in the place of those that were theirs before. A join that is under
    /// way may be granted already, by the request of the device before, and nobody is asked again then.
    pub(super) fn introduce_late(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let (identity, device) = (node.me().identity(), node.device());
        let control = self.channels.get(&self.control);
        let writes = control.is_some_and(|control| control.frontier.number(&device) > 0);
        let known = writes || self.authority.certified(&device).is_some();
        if known || !self.is_member(&identity) || self.hold(node).is_some() {
            return;
        }
        let mut before = self.authority.devices_of(&identity);
        before.retain(|device| !self.authority.is_revoked(device));
        self.introduce(node, before, cx);
    }

    /// Revokes the devices that this node was and that count here still. Such a one may be known here only
    /// now: who was asked to let it in may have done so after this node had become another device, or its
    /// introduction came late. Nobody else has it, and it would stay for good.
    pub(super) fn revoke_former(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let identity = node.me().identity();
        let is_mine = |device: &DeviceId| self.authority.certified(device) == Some(identity);
        let counts = |device: &&DeviceId| is_mine(device) && !self.authority.is_revoked(device);
        let former = node.me().former.iter().filter(counts);
        // Each once in a run: where too little of the past can be named it would not count, and be written for ever.
        let former = former.filter(|device| !self.revoked.contains(*device)).copied();
        let former: Vec<DeviceId> = former.collect();
        if former.is_empty() || !is_mine(&node.device()) || !self.is_member(&identity) {
            return;
        }
        for device in former {
            let revocation = node.me().revocation(&self.id, device).encode();
            if self.write_control(node, PayloadType::Authority, revocation, cx).is_none() {
                return;
            }
            self.revoked.insert(device);
        }
    }

    fn introduce(
        &mut self,
        node: &mut Node,
        before: impl IntoIterator<Item = DeviceId>,
        cx: &mut Cx<'_>,
    ) {
        let certificate = node.me().certificate.certificate().clone();
        let introduction = Operation::AddDevice { certificate };
        let revoke = |device| node.me().revocation(&self.id, device);
        let revocations: Vec<_> = before.into_iter().map(revoke).collect();
        for operation in iter::once(introduction).chain(revocations) {
            let written = self.write_control(node, PayloadType::Authority, operation.encode(), cx);
            if written.is_none() {
                return;
            }
        }
        for package_use in [PackageUse::LastResort, PackageUse::Once] {
            self.publish_package(node, package_use, None, cx);
        }
        node.settle(self.id);
    }

    /// Encrypts and commits in none of the kept states any more: their leaf is the old device's.
    fn outlive_states(&mut self, cx: &mut Cx<'_>) {
        self.stand = None;
        self.reconcile_at = None;
        self.weighed.note_kept();
        for kept in self.kept.values_mut().filter(|kept| !kept.row.outlived) {
            kept.row.outlived = true;
            kept.row.stand = false;
            kept.row.left = kept.row.left.or(Some(cx.now));
            rows::put_state(&mut cx.fx.batch, kept.number, &kept.row);
        }
    }

    /// The link of a join that is under way and was not granted: its request names the old device.
    fn open_link(&self, node: &Node) -> Option<String> {
        let join = self.join.as_ref().filter(|join| join.is_open());
        let asks = join.filter(|_| !self.is_member(&node.me().identity()));
        asks.map(Join::link_text)
    }

    /// Whether a kept state is one to encrypt in.
    pub(super) fn may_stand_on(&self, state: &StateId) -> bool {
        self.kept.get(state).is_some_and(|kept| !kept.row.outlived)
    }

    /// Whether a peer is a member's device that has not introduced itself here. Its introduction is taken
    /// from it, and the control channel given: it may go on from a copy that knows neither that its
    /// person was let in, nor who we are.
    pub(super) fn is_new_device(&self, node: &Node, peer: &PeerId) -> bool {
        node.links.identity_of(peer).is_some_and(|identity| self.is_member(&identity))
    }

    /// Notes that the message of a draft is held in a log of one's own already: that of a device which this
    /// node was, and of which an older copy was kept. The draft stays until the message can be read here, as it
    /// may be the only copy of its words, and is not sent.
    pub(super) fn note_written(&mut self, node: &Node, envelope: &Verified, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let Ok(payload) = MessagePayload::decode(&header.payload) else { return };
        if !self.is_mine(node, &header.sender) {
            return;
        }
        let Some(at) = self.draft_of(&header.channel, &payload.id) else { return };
        let (number, draft) = &mut self.drafts[at];
        if !draft.written {
            draft.written = true;
            timeline::put_draft(&mut cx.fx.batch, *number, draft);
        }
    }

    /// Lets go of the draft of a message of one's own that can be read here.
    pub(super) fn drop_draft(&mut self, channel: &ChannelId, message: &MessageId, cx: &mut Cx<'_>) {
        let written = self.draft_of(channel, message).filter(|at| self.drafts[*at].1.written);
        if let Some((number, _)) = written.and_then(|at| self.drafts.remove(at)) {
            timeline::remove_draft(&mut cx.fx.batch, number);
        }
    }

    /// Where the draft of a message stands.
    fn draft_of(&self, channel: &ChannelId, message: &MessageId) -> Option<usize> {
        let mut drafts = self.drafts.iter();
        drafts.position(|(_, it)| it.message == *message && it.channel == *channel)
    }

    /// The drafts that are to be sent.
    pub(super) fn unsent(&self) -> impl Iterator<Item = &Draft> {
        self.drafts.iter().map(|(_, draft)| draft).filter(|draft| !draft.written)
    }

    /// What a message of one's own says that cannot be read here, if it was accepted here.
    pub(super) fn words_of(&self, channel: &ChannelId, message: &MessageId) -> Option<&Text> {
        let (_, draft) = &self.drafts[self.draft_of(channel, message)?];
        draft.written.then_some(&draft.text)
    }
}
