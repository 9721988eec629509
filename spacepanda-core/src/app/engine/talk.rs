use super::{
    event::{Event, Message, MessageState, Text},
    handover,
    machine::{Cx, Node, Work},
    reads::{Loaded, Reads},
    rows::{self, UnopenedRow, VIEW},
    server::Server,
};
use crate::{
    base::{Bug, ChannelId, MessageId, StateId, Tip, cbor},
    state::{
        authority::authorize,
        crdt::{
            Content, Draft, Entry, Reading, Reason, decode_post,
            timeline::{self, Place, Rows, Salt, Step},
        },
        envelope::{Header, Opened, PayloadType, Verified},
        mls::{MessagePayload, MlsError, Plaintext},
    },
    store::Batch,
};

impl Server {
    /// Sends what was accepted, as long as it may be sent: at the stand, and only while nobody there
    /// may not read it.
    pub(super) fn flush(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.unsent().next().is_none() || !self.loaded || self.stand_group().is_none() {
            return;
        }
        // What arrived may have put somebody out: that is looked at first.
        if node.is_settling(&self.id) || self.holds_messages(node) {
            return;
        }
        if !self.clear_stand(node, cx) {
            return;
        }
        while let Some(at) = self.drafts.iter().position(|(_, draft)| !draft.written) {
            let Some((number, draft)) = self.drafts.remove(at) else { return };
            if self.encrypt(node, &draft, cx).is_none() {
                self.drafts.insert(at, (number, draft));
                return;
            }
            if !Bug::KeepsDrafts.is_planted() {
                timeline::remove_draft(&mut cx.fx.batch, number);
            }
        }
    }

    /// One batch: the ratchet, one's own log, one's own text, and the draft is gone.
    fn encrypt(&mut self, node: &mut Node, draft: &Draft, cx: &mut Cx<'_>) -> Option<()> {
        let stand = self.stand?;
        let content = Content::Text { text: draft.text.clone() }.encode();
        let mut header = self.next_header(node, draft.channel, PayloadType::Message, cx)?;
        let seed = cx.chance.secret();
        let signer = node.me().device_key.clone();
        let group = self.groups.get_mut(&stand)?;
        let sealed = group.encrypt(&signer, &draft.channel, &content, draft.message, &seed).ok()?;
        header.payload = sealed.payload.encode();
        if !Bug::ForgetsTheRatchet.is_planted() && !self.save_group(&stand, cx) {
            return None;
        }
        let envelope = self.write(node, header, Some(sealed.body), cx).ok()?;
        let reading = Reading::Text { text: draft.text.clone(), salt: Salt::new(sealed.salt) };
        self.put_own(node, &envelope, draft.message, reading, cx);
        self.note_undelivered(node, draft.channel, envelope.tip(), draft.message, cx);
        if node.links.peers().any(|peer| self.shares_with(&peer, &draft.channel)) {
            let tips = [envelope.tip()];
            self.note_progress(node, draft.channel, tips, MessageState::Sent, cx);
        }
        Some(())
    }

    /// Notes that a message waits to be opened: in the batch that keeps it, so that none is forgotten.
    pub(super) fn note_unopened(&mut self, node: &mut Node, envelope: &Verified, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let Ok(payload) = MessagePayload::decode(&header.payload) else { return };
        let (channel, tip, state) = (header.channel, envelope.tip(), payload.state);
        self.unopened.entry(state).or_default().insert((channel, tip));
        if !Bug::ForgetsTheUnopened.is_planted() {
            self.put_unopened(node, &UnopenedRow { channel, tip, state, lost: None }, cx);
        }
    }

    pub(super) fn put_unopened(&self, node: &mut Node, row: &UnopenedRow, cx: &mut Cx<'_>) {
        let key = self.unopened_row(node, row.channel, &row.tip, cx);
        cx.fx.batch.put(VIEW, key, cbor::encode(row));
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

    /// The message, the rows of its state, and those of its place in the timeline.
    pub(super) fn open_reads(
        &self,
        node: &Node,
        channel: &ChannelId,
        tip: &Tip,
        loaded: &Loaded,
    ) -> Reads {
        let mut reads = self.message_reads(node, channel, tip, loaded);
        if let Some((_, payload)) = message(loaded, channel, tip) {
            reads.prefixes.extend(self.group_reads(&payload.state).prefixes);
        }
        reads
    }

    /// The message, and the rows of its place in the timeline.
    pub(super) fn message_reads(
        &self,
        node: &Node,
        channel: &ChannelId,
        tip: &Tip,
        loaded: &Loaded,
    ) -> Reads {
        let mut reads = Reads { entries: vec![(*channel, *tip)], ..Reads::default() };
        let Some((envelope, payload)) = message(loaded, channel, tip) else { return reads };
        let draft = self.entry(node, &envelope, payload.id, Reading::Waiting, false);
        if let Some((place, entry)) = draft {
            let put = timeline::put(&mut Batch::new(), &loaded.rows, &place, entry);
            if let Ok(Step::Load(rows)) = put {
                reads.rows.extend(rows);
            }
        }
        reads
    }

    /// Opens a message in the state that it names. One batch: ratchet, text or the reason it has none.
    pub(super) fn open(&mut self, node: &mut Node, channel: ChannelId, tip: Tip, cx: &mut Cx<'_>) {
        let Some((envelope, payload)) = message(cx.loaded, &channel, &tip) else { return };
        let of_state = self.unopened.get(&payload.state);
        if !of_state.is_some_and(|of| of.contains(&(channel, tip))) {
            return;
        }
        if envelope.body().is_none() {
            self.ask_for_body(node, &envelope, cx);
            self.put_entry(node, &envelope, payload.id, Reading::Waiting, true, cx);
            return;
        }
        if !self.bring_group(&payload.state, cx.loaded) {
            self.wait_for_state(node, &envelope, &payload, cx);
            return;
        }
        let seed = cx.chance.secret();
        let group = self.groups.get_mut(&payload.state).expect("it was just brought");
        let opened = group.decrypt(&envelope, &seed);
        if !self.save_group(&payload.state, cx) {
            return;
        }
        self.counts.reused += usize::from(matches!(opened, Err(MlsError::Used)));
        match opened.map_err(|error| Unopened::of(&error)) {
            Ok(opened) => self.read(node, &envelope, &payload, Ok(opened), cx),
            Err(Unopened::ForAll(reason)) => self.read(node, &envelope, &payload, Err(reason), cx),
            Err(Unopened::Here(reason)) => self.lose(node, &envelope, &payload, reason, cx),
        }
    }

    /// Takes what a message says, once it was decrypted or handed over, or why nobody can read it: it
    /// waits no more.
    pub(super) fn read(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        payload: &MessagePayload,
        opened: Result<Opened<Plaintext>, Reason>,
        cx: &mut Cx<'_>,
    ) {
        let (channel, id) = (envelope.header().channel, payload.id);
        self.done_opening(node, envelope, payload.state, cx);
        let post = opened.and_then(|opened| {
            let salt = Salt::new(opened.content().salt);
            let post = opened.decode(|plain| decode_post(channel, id, &plain.content))?;
            Ok((post, salt))
        });
        let (reading, counts) = match post {
            Err(reason) => (Reading::Unreadable { reason }, true),
            Ok((opened, salt)) => {
                let Content::Text { text } = opened.content().content.clone();
                let authorized = authorize(&self.authority, opened);
                (Reading::Text { text, salt }, authorized.is_ok())
            }
        };
        let text = match &reading {
            Reading::Text { text, .. } if counts => Some(text.as_str().to_owned()),
            _ => None,
        };
        if matches!(reading, Reading::Text { .. }) && self.is_mine(node, &envelope.header().sender)
        {
            self.drop_draft(&channel, &id, cx);
        }
        let first = self.put_entry(node, envelope, id, reading, counts, cx);
        let told = first && envelope.header().sender != node.device();
        if let Some(text) = text.filter(|_| told) {
            self.tell_message(envelope, id, text, cx);
        }
    }

    /// No state of the group opens it here any more: it waits for somebody to hand it over.
    fn lose(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        payload: &MessagePayload,
        reason: Reason,
        cx: &mut Cx<'_>,
    ) {
        let (channel, tip, state) = (envelope.header().channel, envelope.tip(), payload.state);
        self.stop_waiting_for(&state, channel, tip);
        self.put_unopened(node, &UnopenedRow { channel, tip, state, lost: Some(reason) }, cx);
        self.handover.want(channel, tip, handover::at_once(cx.now));
        let reading = Reading::Unreadable { reason };
        self.put_entry(node, envelope, payload.id, reading, true, cx);
    }

    fn done_opening(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        state: StateId,
        cx: &mut Cx<'_>,
    ) {
        let (channel, tip) = (envelope.header().channel, envelope.tip());
        self.stop_waiting_for(&state, channel, tip);
        self.handover.forget(&channel, &tip);
        let key = self.unopened_row(node, channel, &tip, cx);
        cx.fx.batch.delete(VIEW, key);
    }

    fn stop_waiting_for(&mut self, state: &StateId, channel: ChannelId, tip: Tip) {
        if let Some(of) = self.unopened.get_mut(state) {
            of.remove(&(channel, tip));
            if of.is_empty() {
                self.unopened.remove(state);
            }
        }
    }

    /// The state is not kept: it may come, or it lies before one's own time.
    fn wait_for_state(
        &mut self,
        node: &mut Node,
        envelope: &Verified,
        payload: &MessagePayload,
        cx: &mut Cx<'_>,
    ) {
        if let Some(reason) = self.never_reached(&payload.state) {
            return self.lose(node, envelope, payload, reason, cx);
        }
        let (channel, tip) = (envelope.header().channel, envelope.tip());
        let reading = if let Some(reason) = self.unreachable.get(&payload.state) {
            self.handover.want(channel, tip, handover::at_once(cx.now));
            Reading::Unreadable { reason: *reason }
        } else {
            if self.tree.path_to(&self.view(), &payload.state).is_some() {
                node.queue(Work::Reach(self.id, payload.state));
            }
            self.handover.want(channel, tip, handover::in_a_moment(cx.now));
            Reading::Waiting
        };
        self.put_entry(node, envelope, payload.id, reading, true, cx);
    }

    /// Why a state that is not kept will never be, if that is known.
    fn never_reached(&self, state: &StateId) -> Option<Reason> {
        let path = self.tree.path_to(&self.view(), &self.stand?)?;
        let at = path.iter().position(|commit| commit.parent == *state)?;
        let first_kept = path.iter().position(|commit| self.kept.contains_key(&commit.child))?;
        let before_me = self.join.is_some() && at <= first_kept;
        Some(if before_me { Reason::BeforeYouWereIn } else { Reason::KeysGone })
    }

    /// The entry of a message, and its place; `None` while channel or device have no number.
    fn entry(
        &self,
        node: &Node,
        envelope: &Verified,
        message: MessageId,
        reading: Reading,
        counts: bool,
    ) -> Option<(Place, Entry)> {
        let header = envelope.header();
        let place = place_of(node, header)?;
        let identity = self.writer_of(header)?;
        let entry = Entry {
            envelope: envelope.id(),
            message,
            device: header.sender,
            identity,
            reading,
            at: header.timestamp,
            counts,
            own: identity == node.me().identity(),
            first: true,
        };
        Some((place, entry))
    }

    /// Keeps a message's entry; says whether its name is its own.
    fn put_entry(
        &self,
        node: &Node,
        envelope: &Verified,
        id: MessageId,
        reading: Reading,
        counts: bool,
        cx: &mut Cx<'_>,
    ) -> bool {
        let Some((place, entry)) = self.entry(node, envelope, id, reading, counts) else {
            return false;
        };
        let put = timeline::put(&mut cx.fx.batch, &cx.loaded.rows, &place, entry);
        matches!(put, Ok(Step::Done(entry)) if entry.first)
    }

    /// Keeps the entry of a message of one's own: place and name are new.
    fn put_own(
        &self,
        node: &Node,
        envelope: &Verified,
        id: MessageId,
        reading: Reading,
        cx: &mut Cx<'_>,
    ) {
        let Some((place, entry)) = self.entry(node, envelope, id, reading, true) else { return };
        let name = timeline::name_key(place.channel, place.device, &id);
        let none = Rows::from([
            ((timeline::TIMELINE, timeline::row_key(&place)), None),
            ((timeline::NAMES, name), None),
        ]);
        let put = timeline::put(&mut cx.fx.batch, &none, &place, entry);
        debug_assert!(matches!(put, Ok(Step::Done(_))), "nothing stands at a new place");
    }

    fn tell_message(&self, envelope: &Verified, id: MessageId, text: String, cx: &mut Cx<'_>) {
        let header = envelope.header();
        let Some(author) = self.writer_of(header) else { return };
        let message = Message {
            id,
            channel: header.channel,
            device: header.sender,
            author,
            name: self.name_of(&author),
            text: Text::Known(text),
            at: header.timestamp.min(cx.now),
            state: MessageState::Delivered,
        };
        cx.tell(Event::Message { server: self.id, message });
    }
}

/// Where a message stands in the timeline; `None` while channel or device have no number.
pub(super) fn place_of(node: &Node, header: &Header) -> Option<Place> {
    Some(Place {
        channel: node.numbers.known_channel(&header.channel)?,
        order: header.order,
        device: node.numbers.known_device(&header.sender)?,
        number: header.sequence,
    })
}

/// A message as it is kept in the log.
pub(super) fn message(
    loaded: &Loaded,
    channel: &ChannelId,
    tip: &Tip,
) -> Option<(Verified, MessagePayload)> {
    let envelope = loaded.envelope(channel, tip)?;
    let payload = MessagePayload::decode(&envelope.header().payload).ok()?;
    Some((envelope, payload))
}

/// For whom a message that could not be decrypted is unreadable.
enum Unopened {
    /// For everybody: it is not what its author says.
    ForAll(Reason),
    /// For this device, whose keys for it are gone; another may have opened it.
    Here(Reason),
}

impl Unopened {
    fn of(error: &MlsError) -> Self {
        match error {
            MlsError::Commitment => Self::ForAll(Reason::Commitment),
            MlsError::WrongSender => Self::ForAll(Reason::OtherSender),
            MlsError::Malformed(_)
            | MlsError::Form(_)
            | MlsError::WrongData
            | MlsError::Unreadable
            | MlsError::Library(_) => Self::ForAll(Reason::Malformed),
            _ => Self::Here(Reason::KeysGone),
        }
    }
}
