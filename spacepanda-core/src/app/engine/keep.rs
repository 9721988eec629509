use super::{
    channel::Channel,
    machine::{Cx, Node, Work},
    reads::{Loaded, Reads},
    server::Server,
};
use crate::{
    base::{Bug, ChannelId, EnvelopeId, IdentityId, PeerId, Timestamp, Tip},
    state::{
        authority::{InsertError, Inserted},
        envelope::{Envelope, Header, PayloadType, Verified, order_after},
        sync::{Event, SyncEngine},
    },
    store::Placement,
};

/// Why an envelope is not kept now.
enum Verdict {
    Keep,
    /// It is held already, or nobody here may have written it: it is let go.
    Drop,
    /// Its log has no place for it, but others may name it: of it only the order is remembered.
    Pass,
    /// It is from before this node's person came in, as is all that is known of its log: of it only the
    /// order is remembered.
    See,
    /// It waits for this, which is asked of whoever sent it.
    Wait(EnvelopeId, Option<Tip>),
    /// It waits for this, which it follows in its log: there is a gap.
    Gap(Tip),
    /// It waits until somebody else names it.
    Unnamed,
}

impl Server {
    /// What keeping must know: its place, and what it names, unless remembered.
    pub(super) fn keep_reads(&self, envelope: &Verified) -> Reads {
        let header = envelope.header();
        let Some(channel) = self.channels.get(&header.channel) else { return Reads::default() };
        let follows = channel.follows_a_tip(header);
        // Of a bare header below one's floor only the order is remembered, so what is remembered need
        // not be held.
        let is_previous = |tip: &Tip| !follows && Some(tip.id) == header.previous;
        let named = named_tips(header).into_iter();
        let unknown = named.filter(|tip| channel.order(&tip.id).is_none() || is_previous(tip));
        let all = unknown.chain([envelope.tip()]);
        let entries = all.map(|tip| (header.channel, tip)).collect();
        let place = (!follows).then(|| (header.channel, envelope.log_entry()));
        let places = place.into_iter().collect();
        Reads { entries, places, ..Reads::default() }
    }

    /// Whether its log has no place for it: it contradicts itself, it would be one fork too many, or it
    /// stands on a branch that begins below this device's floor, of a log that is held from another branch
    /// on. What it follows is waited for first, unless that is not to be had.
    fn has_no_place(&self, envelope: &Verified, loaded: &Loaded) -> bool {
        let header = envelope.header();
        let is_unknown = |previous| !self.authority.dag().contains(&previous);
        match placement(envelope, loaded) {
            _ if header.channel == self.control && header.previous.is_some_and(is_unknown) => false,
            Some(Placement::Beyond) => !self.is_after_unavailable(header),
            Some(Placement::Gap) => true,
            _ => false,
        }
    }

    /// Whether what an envelope follows in its log is not to be had.
    fn is_after_unavailable(&self, header: &Header) -> bool {
        let channel = self.channels.get(&header.channel);
        channel.zip(header.previous).is_some_and(|(it, previous)| it.is_unavailable(&previous))
    }

    /// Keeps an envelope if its past is here and somebody known wrote it; then its effect follows.
    /// Keeping never depends on the effect.
    pub(super) fn keep(
        &mut self,
        node: &mut Node,
        envelope: Verified,
        from: Option<PeerId>,
        cx: &mut Cx<'_>,
    ) {
        let before_me = self.is_before_me(node, envelope.header());
        let envelope = if before_me { envelope.without_body() } else { envelope };
        let no_place = self.has_no_place(&envelope, cx.loaded);
        let verdict = if envelope.header().channel == self.control {
            if no_place { Verdict::Drop } else { self.judge_control(&envelope) }
        } else {
            match self.judge(node, &envelope, cx) {
                Verdict::Keep if no_place => Verdict::Pass,
                verdict => verdict,
            }
        };
        if !matches!(verdict, Verdict::Drop) {
            self.look_at_own(node, &envelope, cx);
        }
        match verdict {
            Verdict::Drop => {}
            Verdict::Pass => {
                let header = envelope.header();
                if let Some(channel) = self.channels.get_mut(&header.channel) {
                    channel.remember_placeless(envelope.id(), header.order);
                    let (channel, tip) = (header.channel, envelope.tip());
                    node.sync.handle(Event::PassedOver { channel, tip }, cx.now);
                }
                self.release(node, &envelope, from);
            }
            Verdict::See => self.see(node, &envelope, from, cx),
            Verdict::Wait(..) | Verdict::Gap(_) | Verdict::Unnamed
                if from.is_some_and(|peer| self.authority.certified(&peer).is_none())
                    && !self.waiting.has_room_for_strangers() => {}
            Verdict::Wait(missing, tip) => {
                let channel = envelope.header().channel;
                let waited = self.waiting.contains(&envelope.id());
                if self.waiting.park(envelope, missing).is_ok() {
                    if !waited {
                        self.try_unnamed(node, &missing);
                    }
                    if let (Some(tip), Some(ask)) = (tip, from)
                        && channel != self.control
                    {
                        node.sync.handle(Event::Want { channel, tip, ask }, cx.now);
                    }
                }
            }
            Verdict::Unnamed => {
                let _ = self.waiting.park_unnamed(envelope);
            }
            Verdict::Gap(previous) => self.wait_behind_gap(node, envelope, previous, from, cx),
            Verdict::Keep => {
                // Once it is appended there is no gap.
                let fills = self.fills_a_gap(node, &envelope);
                self.append(node, &envelope, cx);
                let is_message = envelope.header().payload_type == PayloadType::Message;
                if is_message && !fills {
                    self.note_written(node, &envelope, cx);
                    self.note_unopened(node, &envelope, cx);
                    let (server, channel) = (self.id, envelope.header().channel);
                    node.queue(Work::Open { server, channel, tip: envelope.tip() });
                }
            }
        }
    }

    /// Lets an envelope wait for what comes before it in its log. Whoever sent it learns where that log
    /// ends here; the one before it is asked for as well, unless it is a bare header that was seen.
    fn wait_behind_gap(
        &mut self,
        node: &mut Node,
        envelope: Verified,
        previous: Tip,
        from: Option<PeerId>,
        cx: &Cx<'_>,
    ) {
        let (channel, device) = (envelope.header().channel, envelope.header().sender);
        let seen = self.channels.get(&channel).is_some_and(|it| it.order(&previous.id).is_some());
        let parked = self.waiting.park(envelope, previous.id).is_ok();
        let Some(ask) = from else { return };
        node.sync.handle(Event::Gap { channel, device, ask }, cx.now);
        if parked && !seen {
            node.sync.handle(Event::Want { channel, tip: previous, ask }, cx.now);
        }
    }

    /// Of the control channel authority holds the whole past, and judges what is kept.
    fn judge_control(&mut self, envelope: &Verified) -> Verdict {
        if envelope.header().payload_type == PayloadType::Message {
            return Verdict::Drop;
        }
        if self.is_one_too_many(envelope) {
            return Verdict::Unnamed;
        }
        match self.insert(envelope) {
            Ok(Inserted::Known) => Verdict::Drop,
            Ok(_) => Verdict::Keep,
            Err(InsertError::Missing(missing)) => Verdict::Wait(missing, None),
            Err(_) => Verdict::Drop,
        }
    }

    /// Whether an envelope that is kept is appended after a gap: what it follows is not held, and is not
    /// to be had.
    pub(super) fn is_after_gap(&self, envelope: &Verified, loaded: &Loaded) -> bool {
        let follows_nothing = [Some(Placement::New), Some(Placement::Beyond)];
        follows_nothing.contains(&placement(envelope, loaded))
            && self.is_after_unavailable(envelope.header())
    }

    /// Whether an envelope is a bare header from a time when this node's person was out: it is not for
    /// them, and is kept only so that a log of which they hold something has no hole. What they wrote
    /// themselves is for them: of that the body is asked for.
    fn fills_a_gap(&self, node: &Node, envelope: &Verified) -> bool {
        let header = envelope.header();
        let bare = header.body.is_some() && envelope.body().is_none();
        bare && self.holds_of(header) && self.is_before_me(node, header)
    }

    /// Whether anything is held of the log in which an envelope stands.
    fn holds_of(&self, header: &Header) -> bool {
        let channel = self.channels.get(&header.channel);
        channel.is_some_and(|channel| channel.frontier.number(&header.sender) > 0)
    }

    /// Whether the beginning of the log is held in which an envelope stands further on: all that is
    /// held of it, unless the log has a gap.
    fn holds_before(&self, header: &Header) -> bool {
        let Some(channel) = self.channels.get(&header.channel) else { return false };
        let is_before = |number: u64| (1..header.sequence).contains(&number);
        if channel.frontier.has_gap(&header.sender) {
            return channel.frontier.of(&header.sender).any(|tip| is_before(tip.number));
        }
        is_before(channel.frontier.number(&header.sender))
    }

    /// Whether of an envelope nothing is for this node but its header, whatever is sent: it is from
    /// before its person came in, and is not their own.
    fn is_before_me(&self, node: &Node, header: &Header) -> bool {
        let me = node.me().identity();
        if header.channel == self.control || self.authority.certified(&header.sender) == Some(me) {
            return false;
        }
        self.is_since_admission(&me, &header.control_past()) == Some(false)
    }

    /// Whether whoever knew this past knew of an admission by which somebody is in: always, of those whom the
    /// genesis made members. `None` if not all of it is here.
    pub(super) fn is_since_admission(&self, who: &IdentityId, past: &[EnvelopeId]) -> Option<bool> {
        let admits = self.authority.admits_of(who);
        if admits.is_empty() {
            return Some(true);
        }
        let dag = self.authority.dag();
        let past = dag.closure(past).ok()?;
        Some(admits.iter().filter_map(|id| dag.index(id)).any(|admit| dag.holds(&past, admit)))
    }

    /// Who wrote content, by what its author knew: the same everywhere and for ever.
    pub(super) fn writer_of(&self, header: &Header) -> Option<IdentityId> {
        self.authority.certifies(&header.control_past(), &header.sender)
    }

    /// What an envelope follows in its log, if that is not held and the log's beginning is: there can be
    /// no hole between, unless that has no place either.
    fn lacks_before(&self, envelope: &Verified, loaded: &Loaded) -> Option<Tip> {
        let header = envelope.header();
        let gap = matches!(placement(envelope, loaded), Some(Placement::Beyond | Placement::Gap))
            && self.holds_before(header)
            && !self.is_after_unavailable(header);
        let channel = self.channels.get(&header.channel)?;
        let previous = previous_tip(header).filter(|it| gap && !channel.has_no_place(&it.id))?;
        loaded.entry(&header.channel, &previous).is_none().then_some(previous)
    }

    fn judge(&self, node: &Node, envelope: &Verified, cx: &Cx<'_>) -> Verdict {
        let header = envelope.header();
        let dag = self.authority.dag();
        if let Some(missing) = header.control.iter().flatten().find(|tip| !dag.contains(&tip.id)) {
            return Verdict::Wait(missing.id, None);
        }
        let Some(channel) = self.channels.get(&header.channel) else {
            // A channel is the envelope that made it; without that nothing of it can be judged.
            return Verdict::Wait(EnvelopeId::new(*header.channel.as_bytes()), None);
        };
        // What is held is remembered, or its entry was read.
        let id = envelope.id();
        let fills = self.fills_a_gap(node, envelope);
        let held = cx.loaded.entry(&header.channel, &envelope.tip()).is_some()
            || (channel.remembers_held(&id) && !fills);
        if held && !Bug::KeepsTwice.is_planted() {
            return Verdict::Drop;
        }
        if !fills && envelope.body().is_none() && self.is_before_me(node, header) {
            return Verdict::See;
        }
        if let Some(previous) = self.lacks_before(envelope, cx.loaded) {
            return Verdict::Gap(previous);
        }
        // Nothing that fills a gap waits for what it names in other logs, which is not for this node.
        let (mut orders, mut lacks) = (Vec::new(), false);
        for tip in named_tips(header) {
            match self.order_of(channel, &tip, cx.loaded) {
                Some(order) => orders.push(order),
                None if fills => {}
                None if channel.is_unavailable(&tip.id) => lacks = true,
                None => return Verdict::Wait(tip.id, Some(tip)),
            }
        }
        let sound = header.control.is_some()
            && self.writer_of(header).is_some()
            && self.is_about_its_channel(header)
            && header.payload_type == PayloadType::Message;
        let after = order_after(header.timestamp, orders);
        let may_be = lacks && (after..=channel.order_max()).contains(&header.order);
        match () {
            () if !sound => Verdict::Drop,
            () if fills || header.order == after || may_be => Verdict::Keep,
            // Who lacks what it names may have kept it, and named it.
            () => Verdict::Pass,
        }
    }

    /// Somebody who was asked for `tip` does not hold it: it is waited for no longer. What
    /// names it is kept, with a gap before it where it follows that in its log.
    pub(super) fn note_not_held(
        &mut self,
        node: &mut Node,
        channel: ChannelId,
        tip: Tip,
        from: PeerId,
    ) {
        if channel == self.control || !self.waiting.waits_for(&tip.id) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&channel) else { return };
        channel.remember_unavailable(tip.id);
        for envelope in self.waiting.release(&tip.id) {
            node.queue(Work::Keep { server: self.id, envelope, from: Some(from) });
        }
    }

    /// Whether content of a channel has the channel's making in its past, as it must.
    fn is_about_its_channel(&self, header: &Header) -> bool {
        let dag = self.authority.dag();
        let made = dag.index(&EnvelopeId::new(*header.channel.as_bytes()));
        let past = dag.closure(&header.control_past());
        made.zip(past.ok()).is_some_and(|(made, past)| dag.holds(&past, made))
    }

    fn order_of(&self, channel: &Channel, tip: &Tip, loaded: &Loaded) -> Option<u64> {
        channel.order(&tip.id).or_else(|| {
            let entry = loaded.entry(&channel.id, tip)?;
            Some(Envelope::decode(&entry.bytes).ok()?.header().order)
        })
    }

    pub(super) fn body_reads(&self, channel: &ChannelId, tip: &Tip, envelope: &Verified) -> Reads {
        let tips = previous_tip(envelope.header()).into_iter().chain([*tip]);
        Reads { entries: tips.map(|tip| (*channel, tip)).collect(), ..Reads::default() }
    }

    /// Takes what was asked for: the body of something kept, or the header of something below one's
    /// floor, of which only the order counts here.
    pub(super) fn body(
        &mut self,
        node: &mut Node,
        channel_id: ChannelId,
        tip: Tip,
        envelope: Verified,
        from: PeerId,
        cx: &mut Cx<'_>,
    ) {
        if envelope.tip() != tip || envelope.header().channel != channel_id {
            return;
        }
        if let Some(held) = cx.loaded.entry(&channel_id, &tip) {
            let Some(body) = envelope.body().filter(|_| !held.body_held) else { return };
            cx.fx.bodies.push((channel_id, tip, body.clone()));
            self.bodies.insert(tip.id);
            self.asked.remove(&tip.id);
            self.weighed.note_fact();
            if channel_id != self.control {
                let (server, channel) = (self.id, channel_id);
                node.queue(Work::Open { server, channel, tip });
            }
            node.sync.handle(Event::BodyHeld { channel: channel_id, id: tip.id }, cx.now);
            node.settle(self.id);
            return;
        }
        let header = envelope.header();
        let before_me = self.is_before_me(node, header);
        let has_place = match previous_tip(header) {
            Some(previous) => cx.loaded.entry(&channel_id, &previous).is_some(),
            None => self.holds_of(header),
        };
        if has_place || !before_me {
            node.queue(Work::Keep { server: self.id, envelope, from: Some(from) });
            return;
        }
        self.look_at_own(node, &envelope, cx);
        self.see(node, &envelope, Some(from), cx);
    }

    /// Remembers the order of what is not appended, since it is from before this node's person came in.
    fn see(&mut self, node: &mut Node, envelope: &Verified, from: Option<PeerId>, cx: &mut Cx<'_>) {
        let header = envelope.header();
        if let Some(channel) = self.channels.get_mut(&header.channel) {
            channel.remember_bare(envelope.id(), header.order);
            if channel.frontier.begin_after(&envelope.tip()) {
                let (channel, tip) = (header.channel, envelope.tip());
                node.sync.handle(Event::NoGap { channel, tip }, cx.now);
                self.note_gaps(cx.now);
            }
        }
        self.release(node, envelope, from);
    }

    /// Asks `peer` for what is missing in the gaps of a channel's logs.
    pub(super) fn ask_for_gaps(
        &self,
        node: &mut Node,
        channel: ChannelId,
        peer: PeerId,
        now: Timestamp,
    ) {
        let gaps = self.channels.get(&channel).into_iter().flat_map(|it| it.frontier.gaps());
        for tip in gaps {
            node.sync.handle(Event::Want { channel, tip, ask: peer }, now);
        }
    }

    /// Takes up what waited for something that is remembered now.
    fn release(&mut self, node: &mut Node, envelope: &Verified, from: Option<PeerId>) {
        for waited in self.waiting.release(&envelope.id()) {
            node.queue(Work::Keep { server: self.id, envelope: waited, from });
        }
    }
}

/// Where its log has a place for an envelope, if it follows no tip of it.
fn placement(envelope: &Verified, loaded: &Loaded) -> Option<Placement> {
    loaded.places.get(&(envelope.header().channel, envelope.id())).copied()
}

/// Everything an envelope names in its own channel, as places.
fn named_tips(header: &Header) -> Vec<Tip> {
    let previous = previous_tip(header).filter(|_| !Bug::IgnoresPrevious.is_planted());
    previous.into_iter().chain(header.parents.iter().copied()).collect()
}

fn previous_tip(header: &Header) -> Option<Tip> {
    let number = header.sequence.saturating_sub(1);
    header.previous.map(|id| Tip { device: header.sender, number, id })
}
