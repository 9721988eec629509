use super::{
    event::{Event, Message, MessageState, Text},
    machine::{Cx, Node, Work},
    reads::{Loaded, Reads},
    rows::{self, UnopenedRow, VIEW},
    server::Server,
};
use crate::{
    base::{ChannelId, MessageId, StateId, Timestamp, Tip, cbor},
    state::{
        authority::authorize,
        crdt::{
            Post,
            timeline::{self, Content, Entry},
        },
        envelope::{Envelope, PayloadType, Verified},
        mls::{MessagePayload, MlsError},
    },
};

impl Server {
    /// Sends what was accepted, as long as it may be sent: at the stand, and only while nobody there
    /// may not read it.
    pub(super) fn flush(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.drafts.is_empty() || !self.loaded || self.stand_group().is_none() {
            return;
        }
        if !self.clear_stand(node, cx) {
            return;
        }
        while let Some((number, draft)) = self.drafts.pop_front() {
            if self.encrypt(node, &draft, cx).is_none() {
                self.drafts.push_front((number, draft));
                return;
            }
            cx.fx.batch.delete(timeline::DRAFTS, number.to_be_bytes().to_vec());
        }
    }

    /// One batch: the ratchet, one's own log, one's own text, and the draft is gone.
    fn encrypt(
        &mut self,
        node: &mut Node,
        draft: &crate::state::crdt::Draft,
        cx: &mut Cx<'_>,
    ) -> Option<()> {
        let stand = self.stand?;
        let content = Post::encode_text(&draft.text);
        let mut header = self.next_header(node, draft.channel, PayloadType::Message, cx)?;
        let seed = cx.chance.secret();
        let signer = node.me().device_key.clone();
        let group = self.groups.get_mut(&stand)?;
        let sealed = group.encrypt(&signer, &draft.channel, &content, draft.id, &seed).ok()?;
        header.payload = sealed.payload.encode();
        let envelope = self.write(node, header, Some(sealed.body), cx).ok()?;
        self.save_group(&stand, cx);
        self.put_entry(node, &envelope, draft.id, Content::Text(draft.text.clone()), cx);
        let channel = self.channels.get_mut(&draft.channel)?;
        channel.undelivered.insert(envelope.tip().number, draft.id);
        let key = rows::undelivered_key(channel.number, envelope.tip().number);
        cx.fx.batch.put(VIEW, key, draft.id.as_bytes().to_vec());
        if node.links.peers().any(|peer| self.shares.get(&peer).is_some_and(|shared| shared.contains_key(&draft.channel))) {
            self.note_sent(draft.channel, envelope.tip().number, cx);
        }
        Some(())
    }

    /// Notes that a message waits to be opened: in the batch that keeps it, so that none is forgotten.
    pub(super) fn note_unopened(&mut self, node: &mut Node, envelope: &Verified, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let Ok(payload) = MessagePayload::decode(&header.payload) else { return };
        let (channel, tip, state) = (header.channel, envelope.tip(), payload.state);
        self.unopened.entry(state).or_default().insert((channel, tip));
        let row = cbor::encode(&UnopenedRow { channel, tip, state });
        cx.fx.batch.put(VIEW, self.unopened_row(node, channel, &tip, cx), row);
    }

    fn unopened_row(
        &self,
        node: &mut Node,
        channel: ChannelId,
        tip: &Tip,
        cx: &mut Cx<'_>,
    ) -> bytes::Bytes {
        let channel = node.numbers.channel(channel, &mut cx.fx.batch);
        let device = node.numbers.device(tip.device, &mut cx.fx.batch);
        rows::unopened_key(self.number, channel, device, tip)
    }

    /// The message, and the rows of its state.
    pub(super) fn open_reads(&self, channel: &ChannelId, tip: &Tip, loaded: &Loaded) -> Reads {
        let mut reads = Reads { entries: vec![(*channel, *tip)], ..Reads::default() };
        let state = loaded
            .entry(channel, tip)
            .and_then(|entry| Envelope::decode(&entry.bytes).ok())
            .and_then(|envelope| MessagePayload::decode(&envelope.header().payload).ok())
            .map(|payload| payload.state);
        if let Some(state) = state {
            reads.prefixes.extend(self.group_reads(&state).prefixes);
        }
        reads
    }

    /// Opens a message in the state that it names. One batch: ratchet, text or the reason it has none.
    pub(super) fn open(&mut self, node: &mut Node, channel: ChannelId, tip: Tip, cx: &mut Cx<'_>) {
        let entry = cx.loaded.entry(&channel, &tip);
        let envelope = entry.and_then(|entry| Envelope::decode(&entry.bytes).ok()?.trust().ok());
        let Some(envelope) = envelope else { return };
        let Ok(payload) = MessagePayload::decode(&envelope.header().payload) else { return };
        let waits = self.unopened.get(&payload.state).is_some_and(|of| of.contains(&(channel, tip)));
        if !waits {
            return;
        }
        if !self.bring_group(&payload.state, cx.loaded) {
            self.wait_for_state(node, &envelope, &payload, cx);
            return;
        }
        let seed = cx.chance.secret();
        let group = self.groups.get_mut(&payload.state).expect("it was just brought");
        let opened = group.decrypt(&envelope, &seed);
        self.save_group(&payload.state, cx);
        let post = opened
            .map_err(|error| reason(&error))
            .and_then(|opened| {
                opened
                    .decode(|plain| Post::decode(channel, &plain.content))
                    .map_err(|_| "it was written by a newer version".to_owned())
            });
        self.done_opening(node, &envelope, payload.state, cx);
        let content = match post {
            Ok(opened) => {
                let text = opened.content().text().to_owned();
                if let Ok(authorized) = authorize(&self.authority, opened) {
                    let _ = authorized;
                    self.tell_message(&envelope, payload.id, text.clone(), cx);
                }
                Content::Text(text)
            }
            Err(reason) => Content::Unreadable(reason),
        };
        self.put_entry(node, &envelope, payload.id, content, cx);
    }

    fn done_opening(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        state: StateId,
        cx: &mut Cx<'_>,
    ) {
        let (channel, tip) = (envelope.header().channel, envelope.tip());
        if let Some(of) = self.unopened.get_mut(&state) {
            of.remove(&(channel, tip));
            if of.is_empty() {
                self.unopened.remove(&state);
            }
        }
        let key = self.unopened_row(node, channel, &tip, cx);
        cx.fx.batch.delete(VIEW, key);
    }

    /// The state is not kept: it may come, or it lies before one's own time.
    fn wait_for_state(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        payload: &MessagePayload,
        cx: &mut Cx<'_>,
    ) {
        let content = match self.never_reached(&payload.state) {
            Some(reason) => {
                self.done_opening(node, envelope, payload.state, cx);
                Content::Unreadable(reason.to_owned())
            }
            None => {
                if self.tree.contains(&payload.state) {
                    node.queue(Work::Reach(self.id, payload.state));
                }
                Content::Waiting
            }
        };
        self.put_entry(node, envelope, payload.id, content, cx);
    }

    /// Why a state that is not kept will never be, if that is known.
    fn never_reached(&self, state: &StateId) -> Option<&'static str> {
        let stand = self.stand?;
        let stand_path = self.tree.path_to(&stand)?;
        let behind = stand_path.iter().any(|step| step.parent == *state);
        if !behind {
            return None;
        }
        let first = stand_path.iter().position(|step| self.kept.contains_key(&step.child));
        let at = stand_path.iter().position(|step| step.parent == *state)?;
        let before_me = self.join.is_some() && first.is_some_and(|first| at <= first);
        Some(if before_me { "before you were in" } else { "its keys have been let go of" })
    }

    fn put_entry(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        id: MessageId,
        content: Content,
        cx: &mut Cx<'_>,
    ) {
        let header = envelope.header();
        let Some(author) = self.authority.certified(&header.sender) else { return };
        let channel = node.numbers.channel(header.channel, &mut cx.fx.batch);
        let device = node.numbers.device(header.sender, &mut cx.fx.batch);
        let entry = Entry {
            envelope: envelope.id(),
            message: id,
            device: header.sender,
            number: header.sequence,
            author,
            order: header.order,
            at: header.timestamp,
            past: header.control_past(),
            content,
        };
        timeline::put(&mut cx.fx.batch, channel, device, &entry);
    }

    fn tell_message(&self, envelope: &Verified, id: MessageId, text: String, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let Some(author) = self.authority.certified(&header.sender) else { return };
        let message = Message {
            id,
            channel: header.channel,
            device: header.sender,
            author,
            name: self.matrix.name_of(&author),
            text: Text::Known(text),
            at: header.timestamp.min(cx.now),
            state: MessageState::Delivered,
        };
        cx.tell(Event::Message { server: self.id, message });
    }

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
            cx.fx.tells.push(super::input::Tell::Event(event));
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

    /// The time shown for something written at `at`.
    pub(super) fn shown(at: Timestamp, now: Timestamp) -> Timestamp {
        at.min(now)
    }
}

fn reason(error: &MlsError) -> String {
    match error {
        MlsError::NoBody => "its text is not held here".to_owned(),
        MlsError::TooOld | MlsError::Used => "its key was used or let go of".to_owned(),
        other => other.to_string(),
    }
}
