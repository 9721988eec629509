use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;

use super::{
    machine::{Cx, Node, Work},
    rows::Head,
    server::Server,
};
use crate::{
    base::{Bug, ChannelId, DeviceId, EnvelopeId, limits::PARENTS_MAX},
    state::{
        envelope::{EnvelopeError, Header, PayloadType, VERSION, Verified},
        sync::{Event, SyncEngine},
    },
};

/// What one envelope names at most of its own channel, and of the control channel.
pub(super) const NAMED_MAX: usize = PARENTS_MAX / 2;

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
        let open = self.channels.get(&channel)?;
        let known = self.control_heads(node, &channel);
        let (heads, control) = if channel == self.control {
            (known, None)
        } else {
            let mut heads = open.heads();
            heads.truncate(NAMED_MAX);
            heads.sort_unstable_by_key(|head| head.tip);
            (heads, Some(known.iter().map(|head| head.tip).collect()))
        };
        let next = open.next(node.device(), cx.now, &heads);
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

    /// What of the control channel is named: everything that nothing held names yet. Where that is too much, as
    /// where somebody forks their log over and over, first what this device must have known: its own last word
    /// there, or what let it in, and the making of the channel. Then of each device that counts what knows
    /// most, since that tells the newest; then what else there is.
    fn control_heads(&self, node: &Node, channel: &ChannelId) -> Vec<Head> {
        let (control, dag) = (self.control_channel(), self.authority.dag());
        let mut heads = control.heads();
        if heads.len() > NAMED_MAX {
            let counts = |head: &Head| self.matrix.device(&head.tip.device).is_some();
            let knows = |head: &Head| {
                let index = dag.index(&head.tip.id).filter(|_| counts(head));
                Reverse(index.map_or(0, |index| dag.past_of(index).size()))
            };
            // Each keeps the order of those that are alike: the oldest come first.
            heads.sort_by_cached_key(knows);
            let mut turns: BTreeMap<DeviceId, u32> = BTreeMap::new();
            heads.sort_by_cached_key(|head| {
                let turn = turns.entry(head.tip.device).or_default();
                *turn += 1;
                (!counts(head), *turn)
            });
            let musts = self.must_name(node, channel);
            heads.retain(|head| musts.iter().all(|must| must.tip != head.tip));
            heads = musts.into_iter().chain(heads).take(NAMED_MAX).collect();
        }
        heads.sort_unstable_by_key(|head| head.tip);
        heads
    }

    /// What one's next envelope must have in its past of the control channel.
    fn must_name(&self, node: &Node, channel: &ChannelId) -> Vec<Head> {
        let dag = self.authority.dag();
        let own = self.control_channel().frontier.of(&node.device());
        let own = own.max_by_key(|tip| (tip.number, tip.id)).map(|tip| tip.id);
        let admitted = || self.authority.admits_of(&node.me().identity()).first().copied();
        let made = (*channel != self.control).then(|| EnvelopeId::new(*channel.as_bytes()));
        let ids: BTreeSet<EnvelopeId> = own.or_else(admitted).into_iter().chain(made).collect();
        let head = |id: EnvelopeId| {
            Some(Head { tip: dag.tip(dag.index(&id)?), order: self.authority.order_of(&id)? })
        };
        ids.into_iter().filter_map(head).collect()
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
