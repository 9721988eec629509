//! Single envelopes: asking one peer for one that is missing, and answering.

use super::{
    ASK_TIMEOUT, ASKS_MAX, ASKS_WAITING_MAX, Action, FrontierSync, Ticket,
    engine::{Purpose, Read, Timer},
    frame::{Envelope, Frame},
};
use crate::base::{ChannelId, EnvelopeId, LogEntry, PeerId, Tip, limits::ENVELOPE_LEN_MAX};

impl FrontierSync {
    pub(super) fn want(&mut self, peer: PeerId, channel: ChannelId, tip: Tip) {
        let state = self.peers.get_mut(&peer);
        let Some(state) = state.filter(|state| {
            state.exchanges.get(&channel).is_some_and(|exchange| exchange.scope.is_some())
                && state.bodies.waiting.len() < ASKS_WAITING_MAX
        }) else {
            return self.act(Action::NotHeld { said: false, peer, channel, tip });
        };
        let key = (channel, tip);
        if state.bodies.asked.contains_key(&key) || state.bodies.waiting.contains(&key) {
            return;
        }
        state.bodies.waiting.push_back(key);
        self.set_ready(peer);
    }

    pub(super) fn body_held(&mut self, channel: ChannelId, id: EnvelopeId) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            state.bodies.waiting.retain(|(of, tip)| *of != channel || tip.id != id);
            state.bodies.asked.retain(|(of, tip), until| {
                let wanted = *of != channel || tip.id != id;
                if !wanted {
                    self.timers.remove(&(*until, peer, Timer::Ask(*of, *tip)));
                }
                wanted
            });
            self.set_ready(peer);
        }
    }

    pub(super) fn pump_bodies(&mut self, peer: PeerId) {
        while let Some((channel, tip)) = self.next_ask(peer) {
            self.send(peer, Some(channel), &Frame::BodyRequest { channel, tip });
        }
        while let Some((channel, tip)) = self.next_request(peer) {
            self.read_for(peer, channel, tip);
        }
    }

    fn next_ask(&mut self, peer: PeerId) -> Option<(ChannelId, Tip)> {
        let bodies = &mut self.peers.get_mut(&peer)?.bodies;
        if bodies.asked.len() >= ASKS_MAX {
            return None;
        }
        let key = bodies.waiting.pop_front()?;
        let until = self.now.saturating_add(ASK_TIMEOUT);
        bodies.asked.insert(key, until);
        self.timers.insert((until, peer, Timer::Ask(key.0, key.1)));
        Some(key)
    }

    fn next_request(&mut self, peer: PeerId) -> Option<(ChannelId, Tip)> {
        let state = self.peers.get_mut(&peer)?;
        if state.bodies.reading >= ASKS_MAX || !state.has_window() {
            return None;
        }
        state.bodies.requests.pop_front()
    }

    fn read_for(&mut self, peer: PeerId, channel: ChannelId, tip: Tip) {
        let Some(bare) = self.is_bare_for(peer, &channel, &tip) else {
            return self.send(peer, None, &Frame::NotHeld { channel, tip });
        };
        let ticket = self.ticket(Read { peer, channel, purpose: Purpose::Entry { tip, bare } });
        if let Some(state) = self.peers.get_mut(&peer) {
            state.bodies.reading += 1;
        }
        self.act(Action::LoadEntry { ticket, peer, channel, tip, bare });
    }

    /// Whether only the header at `tip` may be for `peer`; `None` if not even that is.
    fn is_bare_for(&self, peer: PeerId, channel: &ChannelId, tip: &Tip) -> Option<bool> {
        let known = self.channels.get(channel)?;
        let scope = self.peers.get(&peer)?.exchanges.get(channel)?.scope.as_ref()?;
        // Under a limit the number in a fork's branch proves nothing before the fork was sifted.
        let forked = scope.up_to().is_some() && known.frontier.of(&tip.device).nth(1).is_some();
        let within = !forked && !scope.is_nothing() && scope.is_within_limit(tip);
        within.then(|| scope.is_below_floor(tip))
    }

    pub(super) fn loaded_entry(&mut self, ticket: Ticket, entry: Option<LogEntry>) {
        let Some(Read { peer, channel, purpose: Purpose::Entry { tip, bare } }) =
            self.reads.remove(&ticket)
        else {
            return;
        };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.bodies.reading -= 1;
        }
        let still = self.is_bare_for(peer, &channel, &tip) == Some(bare);
        let fits = |entry: &LogEntry| {
            entry.tip() == tip && entry.body_held != bare && entry.bytes.len() <= ENVELOPE_LEN_MAX
        };
        match entry.filter(|entry| still && fits(entry)) {
            Some(entry) => {
                let envelope = Envelope(entry.bytes);
                self.send_counted(peer, channel, &Frame::Body { channel, tip, envelope });
            }
            None => self.send(peer, None, &Frame::NotHeld { channel, tip }),
        }
        self.set_ready(peer);
    }

    pub(super) fn body_requested(&mut self, peer: PeerId, channel: ChannelId, tip: Tip) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.bodies.requests.len() >= ASKS_WAITING_MAX {
            return self.send(peer, None, &Frame::NotHeld { channel, tip });
        }
        state.bodies.requests.push_back((channel, tip));
        self.set_ready(peer);
    }

    pub(super) fn body(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        tip: Tip,
        envelope: Envelope,
        len: usize,
    ) {
        if !self.take_in(peer, len) {
            return;
        }
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if let Some(until) = state.bodies.asked.remove(&(channel, tip)) {
            self.timers.remove(&(until, peer, Timer::Ask(channel, tip)));
            self.act(Action::DeliverBody { peer, channel, tip, bytes: envelope.0 });
        }
    }

    /// An ask is over without an answer, or with this one if the peer `said` it.
    pub(super) fn not_held(&mut self, peer: PeerId, channel: ChannelId, tip: Tip, said: bool) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if let Some(until) = state.bodies.asked.remove(&(channel, tip)) {
            self.timers.remove(&(until, peer, Timer::Ask(channel, tip)));
            self.act(Action::NotHeld { said, peer, channel, tip });
            self.set_ready(peer);
        }
    }

    pub(super) fn ask_expired(&mut self, peer: PeerId, channel: ChannelId, tip: Tip) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.bodies.asked.get(&(channel, tip)).is_some_and(|until| *until <= now) {
            self.not_held(peer, channel, tip, false);
        }
    }
}
