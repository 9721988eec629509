use super::{
    event::{Event, MessageState},
    input::Tell,
    machine::{Cx, Node},
    rows::{self, Progress, UndeliveredRow, VIEW},
    server::Server,
};
use crate::base::{Bug, ChannelId, DeviceId, MessageId, Tip, cbor};

impl Server {
    /// Whether a device is one's own: of the same identity, also one that this node no longer is.
    pub(super) fn is_mine(&self, node: &Node, device: &DeviceId) -> bool {
        self.authority.certified(device) == Some(node.me().identity())
    }

    /// Notes that one of one's own messages stands in a log, and is delivered to nobody yet.
    pub(super) fn note_undelivered(
        &mut self,
        node: &mut Node,
        channel: ChannelId,
        tip: Tip,
        message: MessageId,
        cx: &mut Cx<'_>,
    ) {
        let Some(channel) = self.channels.get_mut(&channel) else { return };
        let Tip { device, number, .. } = tip;
        channel.undelivered.insert((device, number), message);
        let log = node.numbers.device(device, &mut cx.fx.batch);
        let row = cbor::encode(&UndeliveredRow { device, number, message });
        cx.fx.batch.put(VIEW, rows::undelivered_key(channel.number, log, number), row);
    }

    /// Notes how far one's own logs of a channel have come by these tips of them: a link took them, or
    /// another person's device holds them.
    pub(super) fn note_progress(
        &mut self,
        node: &mut Node,
        channel: ChannelId,
        tips: impl IntoIterator<Item = Tip>,
        state: MessageState,
        cx: &mut Cx<'_>,
    ) {
        for tip in tips {
            if self.is_mine(node, &tip.device) {
                self.note_log(node, channel, tip, state, cx);
            }
        }
    }

    fn note_log(
        &mut self,
        node: &mut Node,
        channel_id: ChannelId,
        Tip { device, number, .. }: Tip,
        state: MessageState,
        cx: &mut Cx<'_>,
    ) {
        let server = self.id;
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        // Whoever shows what was never written shows nothing of what will be.
        let number = match device == node.device() {
            true => number.min(channel.frontier.number(&device)),
            false => number,
        };
        let none = Progress { device, sent: 0, delivered: 0 };
        let progress = channel.progress.entry(device).or_insert(none);
        let before = *progress;
        progress.sent = before.sent.max(number);
        if state == MessageState::Delivered {
            progress.delivered = before.delivered.max(number);
        }
        if *progress == before {
            return;
        }
        let row: Vec<_> = channel.progress.values().copied().collect();
        if !Bug::ForgetsDelivery.is_planted() {
            cx.fx.batch.put(VIEW, rows::progress_key(channel.number), cbor::encode(&row));
        }
        let from = if state == MessageState::Delivered { before.delivered } else { before.sent };
        let moved: Vec<_> = channel
            .undelivered
            .range((device, from + 1)..)
            .take_while(|(at, _)| **at <= (device, number))
            .map(|(at, id)| (*at, *id))
            .collect();
        let log = node.numbers.device(device, &mut cx.fx.batch);
        for (at, id) in moved {
            if state == MessageState::Delivered {
                channel.undelivered.remove(&at);
                cx.fx.batch.delete(VIEW, rows::undelivered_key(channel.number, log, at.1));
            }
            let event = Event::MessageState { server, channel: channel_id, id, state };
            cx.fx.tells.push(Tell::Event(event));
        }
    }

    /// Where one of one's own messages is.
    pub(super) fn state_of(
        &self,
        channel: &ChannelId,
        device: &DeviceId,
        number: u64,
    ) -> MessageState {
        let channel = self.channels.get(channel);
        match channel.and_then(|channel| channel.progress.get(device)) {
            Some(progress) if progress.delivered >= number => MessageState::Delivered,
            Some(progress) if progress.sent >= number => MessageState::Sent,
            _ => MessageState::Queued,
        }
    }
}
