//! The frontier engine: its state, and how events and actions pass through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{
    Action, Event, Fault, INBOX_BYTES_MAX, SyncEngine, Ticket, frame::Frame, peer::Peer,
    scope::Scope,
};
use crate::base::{ChannelId, EnvelopeId, Frontier, LogEntry, PeerId, Timestamp, Tip};

/// Ids of a channel that are remembered as held although no longer tips.
const RECENT_MAX: usize = 1_024;

/// The engine that compares frontiers.
#[derive(Debug, Default)]
pub struct FrontierSync {
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    pub(super) reads: BTreeMap<Ticket, Read>,
    pub(super) timers: BTreeSet<(Timestamp, PeerId, Timer)>,
    queue: VecDeque<Queued>,
    ready: BTreeSet<PeerId>,
    tickets: u64,
    pub(super) now: Timestamp,
}

/// What is held here of a channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) frontier: Frontier,
    recent: VecDeque<EnvelopeId>,
    recent_set: BTreeSet<EnvelopeId>,
}

impl Channel {
    /// Whether the entry at `tip` is held; `None` if only the store knows.
    pub(super) fn holds(&self, tip: &Tip) -> Option<bool> {
        if self.recent_set.contains(&tip.id) || self.frontier.of(&tip.device).any(|own| own == *tip)
        {
            return Some(true);
        }
        (tip.number > self.frontier.number(&tip.device)).then_some(false)
    }

    /// Whether the entry at `tip` is held, and so is all that is before it: its log has no gap.
    pub(super) fn holds_all_to(&self, tip: &Tip) -> bool {
        self.holds(tip) == Some(true) && !self.frontier.has_gap(&tip.device)
    }

    pub(super) fn advance(&mut self, entry: &LogEntry, after_gap: bool) {
        let tip = entry.tip();
        self.frontier.append(tip, entry.previous.as_ref(), after_gap);
        if !self.recent_set.insert(tip.id) {
            return;
        }
        self.recent.push_back(tip.id);
        if self.recent.len() > RECENT_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_set.remove(&oldest);
        }
    }
}

/// A read under way, and what it is for.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) peer: PeerId,
    pub(super) channel: ChannelId,
    pub(super) purpose: Purpose,
}

#[derive(Debug)]
pub(super) enum Purpose {
    Page,
    Sift,
    Probe(Vec<Tip>),
    Entry { tip: Tip, bare: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Retry(ChannelId),
    Ask(ChannelId, Tip),
}

/// An action, and whose frame it is: so that nothing is sent once it is no longer shared.
#[derive(Debug)]
struct Queued {
    owner: Option<(PeerId, Option<ChannelId>)>,
    counted: usize,
    action: Action,
}

impl SyncEngine for FrontierSync {
    fn handle(&mut self, event: Event, now: Timestamp) {
        self.now = now;
        match event {
            Event::Open { channel, frontier } => {
                self.channels.insert(channel, Channel { frontier, ..Channel::default() });
                self.open_shared(channel);
            }
            Event::Connected { peer } => {
                self.drop_peer(peer);
                self.peers.insert(peer, Peer::default());
            }
            Event::Disconnected { peer } => self.drop_peer(peer),
            Event::Share { peer, channel, control, from, up_to } => {
                self.share(peer, channel, control, Scope::new(from, up_to));
            }
            Event::Unshare { peer, channel } => self.unshare(peer, channel),
            Event::PassedOver { channel, tip } => self.passed_over(channel, &tip),
            Event::NoGap { channel, tip } => self.no_gap(channel, &tip),
            Event::Advanced { channel, entry, after_gap } => {
                self.advanced(channel, &entry, after_gap);
            }
            Event::BodyHeld { channel, id } => self.body_held(channel, id),
            Event::Want { channel, tip, ask } => self.want(ask, channel, tip),
            Event::Gap { channel, device, ask } => self.gap(ask, channel, device),
            Event::Loaded { ticket, entries } => self.loaded(ticket, entries),
            Event::Probed { ticket, held } => self.probed(ticket, &held),
            Event::LoadedEntry { ticket, entry } => self.loaded_entry(ticket, entry),
            Event::Received { peer, bytes } => self.received(peer, &bytes),
            Event::Tick => self.tick(),
        }
    }

    fn poll(&mut self) -> Option<Action> {
        loop {
            if let Some(queued) = self.queue.pop_front() {
                return Some(queued.action);
            }
            let peer = self.ready.pop_first()?;
            self.pump(peer);
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _, _)| *at)
    }
}

impl FrontierSync {
    /// An engine that knows no channel and no peer.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn act(&mut self, action: Action) {
        self.queue.push_back(Queued { owner: None, counted: 0, action });
    }

    /// Queues a frame that the receiver need not acknowledge.
    pub(super) fn send(&mut self, peer: PeerId, channel: Option<ChannelId>, frame: &Frame) {
        let action = Action::Send { peer, bytes: frame.encode() };
        self.queue.push_back(Queued { owner: Some((peer, channel)), counted: 0, action });
    }

    /// Queues a frame with envelopes: it counts in the window until it is acknowledged.
    pub(super) fn send_counted(&mut self, peer: PeerId, channel: ChannelId, frame: &Frame) {
        let bytes = frame.encode();
        let counted = bytes.len();
        if let Some(state) = self.peers.get_mut(&peer) {
            state.unacked += counted;
        }
        let action = Action::Send { peer, bytes };
        self.queue.push_back(Queued { owner: Some((peer, Some(channel))), counted, action });
    }

    /// Lets `peer` be looked after once the queue is empty.
    pub(super) fn set_ready(&mut self, peer: PeerId) {
        self.ready.insert(peer);
    }

    pub(super) fn ticket(&mut self, read: Read) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.reads.insert(ticket, read);
        ticket
    }

    pub(super) fn fault(&mut self, peer: PeerId, why: Fault) {
        self.drop_peer(peer);
        self.act(Action::Fault { peer, why });
    }

    /// Cancels the reads for a peer's channel whose answers belong to a round that is over.
    pub(super) fn cancel_reads(&mut self, peer: PeerId, channel: ChannelId) {
        self.reads.retain(|_, read| {
            read.peer != peer
                || read.channel != channel
                || matches!(read.purpose, Purpose::Entry { .. })
        });
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.loading = state.loading.filter(|ticket| self.reads.contains_key(ticket));
    }

    fn share(&mut self, peer: PeerId, channel: ChannelId, control: bool, scope: Scope) {
        self.unshare(peer, channel);
        let known = self.channels.contains_key(&channel);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.exchange(channel) else { return };
        exchange.control = control;
        exchange.scope = Some(scope);
        let number = exchange.next_number();
        exchange.begin(number);
        if known {
            state.set_due(&channel);
            self.ready.insert(peer);
        }
    }

    fn unshare(&mut self, peer: PeerId, channel: ChannelId) {
        self.cancel_reads(peer, channel);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.halt(&channel);
        let unsent = unqueue(&mut self.queue, |owner| owner == (peer, Some(channel)));
        state.unacked = state.unacked.saturating_sub(unsent);
        if let Some(exchange) = state.exchanges.get_mut(&channel) {
            exchange.scope = None;
            exchange.round = Default::default();
        }
        self.ready.insert(peer);
    }

    /// Begins the exchanges that waited for the channel, or whose basis was replaced.
    fn open_shared(&mut self, channel: ChannelId) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(exchange) = self.peers.get_mut(&peer).and_then(|p| p.shared(&channel)) else {
                continue;
            };
            let control = exchange.control;
            let Some(scope) = exchange.scope.take() else { continue };
            self.share(peer, channel, control, scope);
        }
    }

    pub(super) fn drop_peer(&mut self, peer: PeerId) {
        let Some(state) = self.peers.remove(&peer) else { return };
        self.reads.retain(|_, read| read.peer != peer);
        self.timers.retain(|(_, whose, _)| *whose != peer);
        self.ready.remove(&peer);
        unqueue(&mut self.queue, |(whose, _)| whose == peer);
        for (channel, tip) in state.bodies.asked.into_keys().chain(state.bodies.waiting) {
            self.act(Action::NotHeld { said: false, peer, channel, tip });
        }
    }

    fn received(&mut self, peer: PeerId, bytes: &Bytes) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        let frame = match Frame::decode(bytes) {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(why) => return self.fault(peer, why.into()),
        };
        match frame {
            Frame::Digests { digests } => self.digests(peer, digests.0),
            Frame::Frontier { channel, round, tips, more } => {
                self.frontier(peer, channel, round, tips.0, more);
            }
            Frame::Page { channel, envelopes } => {
                self.page(peer, channel, envelopes.0, bytes.len());
            }
            Frame::News { channel, tips, envelopes } => {
                self.news(peer, channel, tips.0, envelopes.0, bytes.len());
            }
            Frame::Ack { bytes } => self.acknowledged(peer, bytes),
            Frame::BodyRequest { channel, tip } => self.body_requested(peer, channel, tip),
            Frame::Body { channel, tip, envelope } => {
                self.body(peer, channel, tip, envelope, bytes.len());
            }
            Frame::NotHeld { channel, tip } => self.not_held(peer, channel, tip, true),
            Frame::Behind { channel, tips } => self.behind(peer, channel, tips.0),
        }
    }

    /// Counts a frame with envelopes that came; whether it is within the window.
    pub(super) fn take_in(&mut self, peer: PeerId, len: usize) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else { return false };
        state.inbox += len;
        state.to_ack += len as u64;
        if state.inbox > INBOX_BYTES_MAX {
            self.fault(peer, Fault::WindowExceeded);
            return false;
        }
        self.ready.insert(peer);
        true
    }

    fn acknowledged(&mut self, peer: PeerId, bytes: u64) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        state.unacked = state.unacked.saturating_sub(bytes);
        self.ready.insert(peer);
    }

    fn tick(&mut self) {
        while let Some(timer) = self.timers.first().copied() {
            let (at, peer, what) = timer;
            if at > self.now {
                return;
            }
            self.timers.remove(&timer);
            match what {
                Timer::Retry(channel) => self.retry(peer, channel),
                Timer::Ask(channel, tip) => self.ask_expired(peer, channel, tip),
            }
        }
    }
}

/// Takes frames out of the queue; the bytes of them that were counted.
fn unqueue(
    queue: &mut VecDeque<Queued>,
    is_whose: impl Fn((PeerId, Option<ChannelId>)) -> bool,
) -> usize {
    let mut counted = 0;
    queue.retain(|queued| {
        let gone = queued.owner.is_some_and(&is_whose);
        counted += if gone { queued.counted } else { 0 };
        !gone
    });
    counted
}

#[cfg(test)]
impl FrontierSync {
    /// What is kept for peers, to be bounded: reads, timers and queued actions.
    pub(super) fn load(&self) -> (usize, usize, usize) {
        (self.reads.len(), self.timers.len(), self.queue.len())
    }
}
