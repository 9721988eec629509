use super::{
    event::{Event, MessageState},
    input::Tell,
    machine::Cx,
    rows::{self, VIEW},
    server::Server,
};
use crate::base::{ChannelId, cbor};

impl Server {
    /// Notes that a link took one's own messages of a channel up to a place.
    pub(super) fn note_sent(&mut self, channel: ChannelId, number: u64, cx: &mut Cx<'_>) {
        self.note_progress(channel, number, MessageState::Sent, cx);
    }

    /// Notes that another person's device holds one's own messages of a channel up to a place.
    pub(super) fn note_delivered(&mut self, channel: ChannelId, number: u64, cx: &mut Cx<'_>) {
        self.note_progress(channel, number, MessageState::Delivered, cx);
    }

    fn note_progress(
        &mut self,
        channel_id: ChannelId,
        number: u64,
        state: MessageState,
        cx: &mut Cx<'_>,
    ) {
        let server = self.id;
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        let before = channel.progress;
        match state {
            MessageState::Delivered => {
                channel.progress.delivered = before.delivered.max(number);
                channel.progress.sent = before.sent.max(number);
            }
            _ => channel.progress.sent = before.sent.max(number),
        }
        if channel.progress == before {
            return;
        }
        let row = cbor::encode(&channel.progress);
        cx.fx.batch.put(VIEW, rows::progress_key(channel.number), row);
        let from = if state == MessageState::Delivered { before.delivered } else { before.sent };
        let moved: Vec<_> = channel
            .undelivered
            .range(from + 1..)
            .take_while(|(at, _)| **at <= number)
            .map(|(at, id)| (*at, *id))
            .collect();
        for (at, id) in moved {
            if state == MessageState::Delivered {
                channel.undelivered.remove(&at);
                cx.fx.batch.delete(VIEW, rows::undelivered_key(channel.number, at));
            }
            let event = Event::MessageState { server, channel: channel_id, id, state };
            cx.fx.tells.push(Tell::Event(event));
        }
    }

    /// Where one of one's own messages is.
    pub(super) fn state_of(&self, channel: &ChannelId, number: u64) -> MessageState {
        let progress = self.channels.get(channel).map(|channel| channel.progress);
        match progress {
            Some(progress) if progress.delivered >= number => MessageState::Delivered,
            Some(progress) if progress.sent >= number => MessageState::Sent,
            _ => MessageState::Queued,
        }
    }
}
