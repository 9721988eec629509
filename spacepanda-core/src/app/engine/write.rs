use bytes::Bytes;

use super::{
    machine::{Cx, Node, Work},
    server::Server,
};
use crate::{
    base::{Bug, ChannelId, limits::PARENTS_MAX},
    state::{
        envelope::{EnvelopeError, Header, PayloadType, VERSION, Verified},
        sync::{Event, SyncEngine},
    },
};

impl Server {
    /// The header of the next envelope of one's own in `channel`, without its payload; none while nothing
    /// may be written. Whoever encrypts asks for it first.
    pub(super) fn next_header(
        &self,
        node: &Node,
        channel: ChannelId,
        payload_type: PayloadType,
        cx: &Cx<'_>,
    ) -> Option<Header> {
        if self.hold(node).is_some() {
            return None;
        }
        let next = self.channels.get(&channel)?.next(node.device(), cx.now);
        let control = (channel != self.control).then(|| {
            let room = PARENTS_MAX - next.parents.len();
            let heads = self.control_channel().heads();
            heads.iter().take(room).map(|head| head.tip).collect::<Vec<_>>()
        });
        Some(Header {
            version: VERSION,
            channel,
            sender: node.device(),
            sequence: next.sequence,
            previous: next.previous,
            parents: next.parents,
            control,
            timestamp: next.timestamp,
            order: next.order,
            payload_type,
            payload: Vec::new(),
            body: None,
        })
    }

    /// Writes an envelope in the control channel.
    pub(super) fn write_control(
        &mut self,
        node: &mut Node,
        payload_type: PayloadType,
        payload: Vec<u8>,
        cx: &mut Cx<'_>,
    ) -> Option<Verified> {
        let mut header = self.next_header(node, self.control, payload_type, cx)?;
        header.payload = payload;
        self.write(node, header, None, cx).ok()
    }

    /// Signs an envelope of one's own and keeps it.
    pub(super) fn write(
        &mut self,
        node: &mut Node,
        header: Header,
        body: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) -> Result<Verified, EnvelopeError> {
        let envelope = Verified::sign(header, body, &node.me().device_key)?;
        self.append(node, &envelope, cx);
        Ok(envelope)
    }

    /// Appends an envelope, whose past is here, to its log, and lets go of what waited for it.
    pub(super) fn append(&mut self, node: &mut Node, envelope: &Verified, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let channel_id = header.channel;
        let device = node.numbers.device(header.sender, &mut cx.fx.batch);
        let own = header.sender == node.device();
        let after_gap = self.is_after_gap(envelope, cx.loaded);
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        let names_news = channel.advance(envelope, device, own, after_gap, &mut cx.fx.batch);
        let entry = envelope.log_entry();
        if after_gap {
            cx.fx.after_gaps.insert(entry.id);
            if let Some(tip) = entry.before() {
                for ask in self.shares.keys().copied() {
                    node.sync.handle(Event::Want { channel: channel_id, tip, ask }, cx.now);
                }
            }
        }
        if !(Bug::KeepsNoOwnEntry.is_planted() && own) {
            cx.fx.log.push((channel_id, entry.clone()));
        }
        node.sync.handle(Event::Advanced { channel: channel_id, entry, after_gap }, cx.now);
        if after_gap || self.gaps.are_any() {
            self.note_gaps(cx.now);
        }
        if channel_id == self.control {
            self.take_in_control(envelope);
        }
        if names_news || channel_id == self.control {
            node.settle(self.id);
        }
        for waited in self.waiting.release(&envelope.id()) {
            node.queue(Work::Keep { server: self.id, envelope: waited, from: None });
        }
    }
}
