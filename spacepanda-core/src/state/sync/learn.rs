//! What a peer shows, what of it is lacking here, and when this device has caught up.

use std::collections::BTreeSet;

use super::{
    Action, Fault, FrontierSync, ROUNDS_MAX, Ticket,
    engine::{Purpose, Read, Timer},
    exchange::Serve,
    frame::{ChannelDigest, Envelope},
};
use crate::base::{ChannelId, DeviceId, EnvelopeId, PeerId, Tip};

/// Tips that the store is asked for at once.
const PROBED_MAX: usize = 32;

impl FrontierSync {
    pub(super) fn digests(&mut self, peer: PeerId, digests: Vec<ChannelDigest>) {
        for ChannelDigest { channel, round, digest } in digests {
            if round > ROUNDS_MAX {
                return self.fault(peer, Fault::TooManyRounds);
            }
            let Some(state) = self.peers.get_mut(&peer) else { return };
            let Some(exchange) = state.exchange(channel) else { continue };
            exchange.theirs = Some((round, digest));
            if exchange.scope.is_none() {
                continue;
            }
            if round > exchange.number {
                self.begin_anew(peer, channel, round);
            } else {
                self.compare(peer, channel);
            }
        }
    }

    fn begin_anew(&mut self, peer: PeerId, channel: ChannelId, round: u64) {
        self.cancel_reads(peer, channel);
        let known = self.channels.contains_key(&channel);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.halt(&channel);
        let Some(exchange) = state.shared(&channel) else { return };
        exchange.begin(round);
        if known {
            state.set_due(&channel);
            self.set_ready(peer);
        }
    }

    /// Compares the digests of both sides, once both are there. Each side compares the same two, so
    /// both come to the same answer whatever either came to hold meanwhile.
    pub(super) fn compare(&mut self, peer: PeerId, channel: ChannelId) {
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let (Some(base), Some((number, theirs))) = (exchange.round.base, exchange.theirs) else {
            return;
        };
        if number != exchange.number {
            return;
        }
        let round = &mut exchange.round;
        if base != theirs {
            round.frontier_due = !round.frontier_sent;
            state.set_due(&channel);
            return self.set_ready(peer);
        }
        round.shown = true;
        let caught_up = round.catches_up();
        let mut tips = Vec::new();
        if round.moved {
            round.frontier_due = true;
            state.set_due(&channel);
        } else {
            round.told = true;
            round.serve = Serve::Live;
            tips.extend(exchange.scope.iter().flat_map(|scope| scope.shown(&known.frontier)));
        }
        self.set_ready(peer);
        self.covered(peer, channel, tips);
        if caught_up {
            self.act(Action::CaughtUp { peer, channel });
        }
    }

    pub(super) fn frontier(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        number: u64,
        tips: Vec<Tip>,
        more: bool,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        if exchange.number != number || exchange.round.base.is_none() {
            return;
        }
        exchange.round.incoming.extend(tips);
        let incoming = if more { None } else { Some(std::mem::take(&mut exchange.round.incoming)) };
        if state.shows_too_much() {
            return self.fault(peer, Fault::TooManyTips);
        }
        if let Some(tips) = incoming {
            self.shown(peer, channel, tips);
        }
    }

    fn shown(&mut self, peer: PeerId, channel: ChannelId, tips: Vec<Tip>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let behind = std::mem::take(&mut exchange.round.behind);
        self.serve_from(peer, channel, tips.iter().copied().chain(behind).collect());
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let round = &mut exchange.round;
        let first = !round.shown;
        round.shown = true;
        round.frontier_due |= !round.frontier_sent;
        state.set_due(&channel);
        self.set_ready(peer);
        self.learn(peer, channel, &tips, first);
        self.covered(peer, channel, tips);
    }

    /// Notes what the peer holds of logs that have a gap there; its frontier follows.
    pub(super) fn behind(&mut self, peer: PeerId, channel: ChannelId, tips: Vec<Tip>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        exchange.round.behind.extend(tips);
        if state.shows_too_much() {
            self.fault(peer, Fault::TooManyTips);
        }
    }

    /// Lets the peer know where a log ends here of which it sent what does not follow, unless it was
    /// shown that: then it serves what is between as far as it has it.
    pub(super) fn gap(&mut self, peer: PeerId, channel: ChannelId, device: DeviceId) {
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let Some(scope) = &exchange.scope else { return };
        let unshown = known.frontier.of(&device).any(|tip| scope.is_below_floor(&tip));
        if !unshown || !exchange.round.gaps.insert(device) {
            return;
        }
        // Before this side has compared, the frontier is yet to be sent, and this with it.
        if exchange.round.told {
            exchange.round.frontier_due = true;
            state.set_due(&channel);
            self.set_ready(peer);
        }
    }

    pub(super) fn news(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        tips: Vec<Tip>,
        envelopes: Vec<Envelope>,
        len: usize,
    ) {
        let Some(known) = self.channels.get(&channel) else { return };
        let held = !tips.is_empty() && tips.iter().all(|tip| known.holds_all_to(tip));
        let is_shared = self.peers.get_mut(&peer).is_some_and(|p| p.shared(&channel).is_some());
        if is_shared {
            self.learn(peer, channel, &tips, false);
            self.covered(peer, channel, tips);
        }
        if envelopes.is_empty() {
            return;
        }
        let envelopes = if held { Vec::new() } else { envelopes };
        self.envelopes(peer, channel, envelopes, len);
    }

    pub(super) fn page(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        envelopes: Vec<Envelope>,
        len: usize,
    ) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        for exchange in state.shared(&channel).into_iter().filter(|e| e.round.retry.at.is_some()) {
            exchange.round.retry.postpone(now);
        }
        self.envelopes(peer, channel, envelopes, len);
    }

    /// Hands envelopes to the driver, if the channel is shared with who sent them.
    pub(super) fn envelopes(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        envelopes: Vec<Envelope>,
        len: usize,
    ) {
        if !self.take_in(peer, len) || !self.channels.contains_key(&channel) {
            return;
        }
        if self.peers.get_mut(&peer).and_then(|p| p.shared(&channel)).is_none() {
            return;
        }
        for Envelope(bytes) in envelopes {
            self.act(Action::Deliver { peer, channel, bytes });
        }
    }

    fn covered(&mut self, peer: PeerId, channel: ChannelId, tips: Vec<Tip>) {
        if !tips.is_empty() {
            self.act(Action::Covered { peer, channel, tips });
        }
    }

    /// Notes what of `tips` is not held here; where only the store knows, it is asked.
    fn learn(&mut self, peer: PeerId, channel: ChannelId, tips: &[Tip], first: bool) {
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let round = &mut exchange.round;
        let mut unsure = Vec::new();
        for tip in tips {
            match known.holds(tip) {
                Some(true) => {}
                Some(false) => round.lacking.insert(*tip, first),
                None if round.probing.contains_key(&tip.id) => {}
                None => {
                    round.probing.insert(tip.id, (*tip, first));
                    unsure.push(*tip);
                }
            }
        }
        if state.shows_too_much() {
            return self.fault(peer, Fault::TooManyTips);
        }
        // Some at a time, since whole entries are read.
        for tips in unsure.chunks(PROBED_MAX) {
            let purpose = Purpose::Probe(tips.to_vec());
            let ticket = self.ticket(Read { peer, channel, purpose });
            self.act(Action::Probe { ticket, channel, tips: tips.to_vec() });
        }
        self.after_change(peer, channel, true);
    }

    pub(super) fn probed(&mut self, ticket: Ticket, held: &[Tip]) {
        let Some(Read { peer, channel, purpose: Purpose::Probe(tips) }) =
            self.reads.remove(&ticket)
        else {
            return;
        };
        let held: BTreeSet<EnvelopeId> = held.iter().map(|tip| tip.id).collect();
        let Some(exchange) = self.peers.get_mut(&peer).and_then(|p| p.shared(&channel)) else {
            return;
        };
        for tip in tips {
            let probing = exchange.round.probing.remove(&tip.id);
            if let Some((_, first)) = probing.filter(|_| !held.contains(&tip.id)) {
                exchange.round.lacking.insert(tip, first);
            }
        }
        self.after_change(peer, channel, true);
    }

    pub(super) fn passed_over(&mut self, channel: ChannelId, tip: &Tip) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let shared = self.peers.get_mut(&peer).and_then(|state| state.shared(&channel));
            let Some(exchange) = shared else { continue };
            if exchange.round.lacks_no_more(tip) {
                self.after_change(peer, channel, false);
            }
        }
    }

    /// Says that this device has caught up, or sees to it that what is lacking is asked for again;
    /// `more` if that may just have grown.
    pub(super) fn after_change(&mut self, peer: PeerId, channel: ChannelId, more: bool) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let caught_up = exchange.round.catches_up();
        if exchange.round.lacking.is_empty() {
            exchange.round.retry.at = None;
        } else if more {
            exchange.round.retry.start(now);
        }
        if let Some(at) = exchange.round.retry.at
            && !exchange.armed
        {
            exchange.armed = true;
            self.timers.insert((at, peer, Timer::Retry(channel)));
        }
        if caught_up {
            self.act(Action::CaughtUp { peer, channel });
        }
    }

    /// Shows the peer anew what is held here, so that it serves again what did not arrive.
    pub(super) fn retry(&mut self, peer: PeerId, channel: ChannelId) {
        let now = self.now;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.exchanges.get_mut(&channel) else { return };
        exchange.armed = false;
        let retry = &mut exchange.round.retry;
        let Some(at) = retry.at else { return };
        if at <= now && retry.expire(now) {
            exchange.round.frontier_due = true;
            state.set_due(&channel);
            self.set_ready(peer);
        }
        self.after_change(peer, channel, false);
    }
}
