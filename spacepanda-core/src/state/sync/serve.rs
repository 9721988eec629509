//! Serving a peer: pages of what it lacks, then what comes.

use super::{
    Action, FrontierSync, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Ticket, WINDOW_BYTES,
    engine::{Purpose, Read},
    exchange::Serve,
    frame::{Frame, List, TIPS_PER_FRAME, split},
};
use crate::base::{
    Bug, ChannelId, DeviceId, Floors, Frontier, LogEntry, PeerId, Tip, limits::ENVELOPE_LEN_MAX,
};

impl FrontierSync {
    /// An entry is saved here: pushed to whom it is for and who is up to date, noted for the others.
    pub(super) fn advanced(&mut self, channel: ChannelId, entry: &LogEntry, after_gap: bool) {
        let Some(known) = self.channels.get_mut(&channel) else { return };
        let had_gap = known.frontier.has_gap(&entry.device);
        known.advance(entry, after_gap);
        let closed = had_gap && !known.frontier.has_gap(&entry.device);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.advanced_for(peer, channel, entry);
        }
        if closed {
            self.tell_tips(channel, &entry.device);
        }
    }

    /// A log that seemed to have a gap begins after what is missing in it.
    pub(super) fn no_gap(&mut self, channel: ChannelId, missing: &Tip) {
        let Some(known) = self.channels.get_mut(&channel) else { return };
        if known.frontier.begin_after(missing) && !known.frontier.has_gap(&missing.device) {
            self.tell_tips(channel, &missing.device);
        }
    }

    /// Of a log with a gap no tips are told; now it has none any more.
    fn tell_tips(&mut self, channel: ChannelId, device: &DeviceId) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(known) = self.channels.get(&channel) else { return };
            let Some(state) = self.peers.get_mut(&peer) else { return };
            let Some(exchange) = state.shared(&channel) else { continue };
            let (Some(scope), round) = (&exchange.scope, &mut exchange.round) else { continue };
            let tips = known.frontier.of(device).filter(|tip| scope.admits(tip));
            let tips: Vec<Tip> = tips.collect();
            if tips.is_empty() {
                continue;
            }
            match round.told {
                true => tips.into_iter().for_each(|tip| round.news.tips.advance(tip, None)),
                false => round.moved = true,
            }
            state.set_due(&channel);
            self.set_ready(peer);
        }
    }

    fn advanced_for(&mut self, peer: PeerId, channel: ChannelId, entry: &LogEntry) {
        let tip = entry.tip();
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let room = WINDOW_BYTES.saturating_sub(state.unacked + state.pending);
        let Some(exchange) = state.shared(&channel) else { return };
        let Some(scope) = &mut exchange.scope else { return };
        let round = &mut exchange.round;
        let named = round.lacks_no_more(&tip);
        if named {
            round.retry.progress();
        }
        let has = named || round.lacking.is_before_one(&tip);
        if scope.up_to().is_some() && scope.admits(&tip) {
            // All that a limit covers was held before: this is a branch beyond it.
            scope.exclude(tip.id);
        }
        let admitted = scope.admits(&tip) && !Bug::PushesNothing.is_planted();
        let mut pushed = 0;
        let has_gap = known.frontier.has_gap(&tip.device);
        if admitted && round.told && !has_gap {
            round.news.tips.advance(tip, entry.previous.as_ref());
        }
        round.moved |= admitted && !round.told;
        match &mut round.serve {
            Serve::Live if admitted && !has && entry.bytes.len() <= room => {
                round.news.push(entry.bytes.clone(), has_gap);
                pushed = entry.bytes.len();
            }
            Serve::Live if admitted && !has => {
                let have = before(&known.frontier, entry);
                round.serve = Serve::Paging { have, again: false };
            }
            Serve::Paging { again, .. } => *again |= admitted,
            _ => {}
        }
        let paging = matches!(round.serve, Serve::Paging { .. });
        state.pending += pushed;
        let rank = state.rank(&channel);
        if paging {
            state.paging.insert(rank);
        }
        if admitted {
            state.due.insert(rank);
            self.set_ready(peer);
        }
        self.after_change(peer, channel, false);
    }

    pub(super) fn send_news(&mut self, peer: PeerId, channel: ChannelId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        if !exchange.round.told {
            return;
        }
        let news = std::mem::take(&mut exchange.round.news);
        state.pending -= news.envelopes.iter().map(|bytes| bytes.len()).sum::<usize>();
        let tips: Vec<Tip> = news.tips.tips().collect();
        let mut pages: Vec<Vec<Tip>> = tips.chunks(TIPS_PER_FRAME).map(<[_]>::to_vec).collect();
        // Whoever holds all tips of a frame passes over its envelopes, so that it must name them all.
        let apart = news.untold || pages.len() > 1;
        let last = if apart { Vec::new() } else { pages.pop().unwrap_or_default() };
        for tips in pages {
            let envelopes = List(Vec::new());
            self.send(peer, Some(channel), &Frame::News { channel, tips: List(tips), envelopes });
        }
        self.send_last_news(peer, channel, last, split(news.envelopes, TIPS_PER_FRAME));
    }

    fn send_last_news(
        &mut self,
        peer: PeerId,
        channel: ChannelId,
        tips: Vec<Tip>,
        frames: Vec<Vec<super::frame::Envelope>>,
    ) {
        if frames.is_empty() && !tips.is_empty() {
            let (tips, envelopes) = (List(tips), List(Vec::new()));
            return self.send(peer, Some(channel), &Frame::News { channel, tips, envelopes });
        }
        let mut tips = List(tips);
        for envelopes in frames {
            let tips = std::mem::replace(&mut tips, List(Vec::new()));
            let envelopes = List(envelopes);
            self.send_counted(peer, channel, &Frame::News { channel, tips, envelopes });
        }
    }

    /// Serves what `have` does not cover, from the beginning.
    pub(super) fn serve_from(&mut self, peer: PeerId, channel: ChannelId, have: Frontier) {
        self.cancel_pages(peer, channel);
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let rank = state.rank(&channel);
        let Some(exchange) = state.shared(&channel) else { return };
        let Some(scope) = &exchange.scope else { return };
        let floors = scope.forked_floors(&known.frontier);
        exchange.round.bridged = scope.bridged(&have);
        exchange.round.serve = match scope.up_to() {
            Some(up_to) if !floors.is_empty() => {
                Serve::Sifting { floors, have: up_to.clone(), then: have }
            }
            _ => Serve::Paging { have, again: false },
        };
        let unsent = std::mem::take(&mut exchange.round.news.envelopes);
        exchange.round.news.untold = false;
        state.pending -= unsent.iter().map(|bytes| bytes.len()).sum::<usize>();
        state.paging.insert(rank);
        self.set_ready(peer);
    }

    fn cancel_pages(&mut self, peer: PeerId, channel: ChannelId) {
        self.reads.retain(|_, read| {
            let is_page = matches!(read.purpose, Purpose::Page | Purpose::Sift);
            !(is_page && read.peer == peer && read.channel == channel)
        });
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.loading = state.loading.filter(|ticket| self.reads.contains_key(ticket));
    }

    /// Begins the next read, if the window is open: one at a time, control channels first.
    pub(super) fn pump_pages(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.loading.is_some() || !state.has_window() {
            return;
        }
        let Some((_, channel)) = state.paging.first().copied() else { return };
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(exchange) = state.shared(&channel) else { return };
        let Some(scope) = &exchange.scope else { return };
        let mut bare_below = Floors::new();
        let (purpose, floors, have): (_, Floors, Frontier) = match &mut exchange.round.serve {
            Serve::Sifting { floors, have, .. } => (Purpose::Sift, floors.clone(), have.clone()),
            Serve::Paging { have, again } => {
                *again = false;
                bare_below.clone_from(&exchange.round.bridged);
                let mut floors = scope.floors(&known.frontier);
                floors.extend(bare_below.keys().map(|device| (*device, 1)));
                (Purpose::Page, floors, have.clone())
            }
            Serve::Unknown | Serve::Live => return,
        };
        let ticket = self.ticket(Read { peer, channel, purpose });
        if let Some(state) = self.peers.get_mut(&peer) {
            state.loading = Some(ticket);
        }
        let (limit, bytes_max) = (PAGE_ENTRIES_MAX, PAGE_BYTES_MAX);
        self.act(Action::Load { ticket, channel, floors, bare_below, have, limit, bytes_max });
    }

    pub(super) fn loaded(&mut self, ticket: Ticket, entries: Vec<LogEntry>) {
        let Some(Read { peer, channel, purpose }) = self.reads.remove(&ticket) else { return };
        if let Some(state) = self.peers.get_mut(&peer) {
            state.loading = None;
        }
        match purpose {
            Purpose::Page => self.page_loaded(peer, channel, entries),
            Purpose::Sift => self.sifted(peer, channel, &entries),
            Purpose::Probe(_) | Purpose::Entry { .. } => {}
        }
        self.set_ready(peer);
    }

    fn page_loaded(&mut self, peer: PeerId, channel: ChannelId, entries: Vec<LogEntry>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let rank = state.rank(&channel);
        let Some(exchange) = state.shared(&channel) else { return };
        let (Some(scope), round) = (&exchange.scope, &mut exchange.round) else { return };
        let Serve::Paging { have, again } = &mut round.serve else { return };
        if entries.is_empty() && !*again || Bug::ServesNothingOld.is_planted() {
            round.serve = Serve::Live;
            state.paging.remove(&rank);
            return;
        }
        let mut envelopes = Vec::new();
        for entry in entries {
            have.advance(entry.tip(), entry.previous.as_ref());
            let bridges = !entry.body_held
                && scope.is_within_limit(&entry.tip())
                && round.bridged.get(&entry.device).is_some_and(|floor| entry.number < *floor);
            let is_for = bridges || scope.admits(&entry.tip());
            if is_for && entry.bytes.len() <= ENVELOPE_LEN_MAX {
                envelopes.push(entry.bytes);
            }
        }
        for envelopes in split(envelopes, 0) {
            let envelopes = List(envelopes);
            self.send_counted(peer, channel, &Frame::Page { channel, envelopes });
        }
    }

    fn sifted(&mut self, peer: PeerId, channel: ChannelId, entries: &[LogEntry]) {
        let Some(exchange) = self.peers.get_mut(&peer).and_then(|p| p.shared(&channel)) else {
            return;
        };
        let (Some(scope), serve) = (&mut exchange.scope, &mut exchange.round.serve) else { return };
        let Serve::Sifting { have, then, .. } = serve else { return };
        if entries.is_empty() {
            let have = std::mem::take(then);
            *serve = Serve::Paging { have, again: false };
            return;
        }
        for entry in entries {
            have.advance(entry.tip(), entry.previous.as_ref());
            if scope.admits(&entry.tip()) {
                scope.exclude(entry.id);
            }
        }
    }
}

/// What was held before `entry` came: `frontier` without it.
fn before(frontier: &Frontier, entry: &LogEntry) -> Frontier {
    let tip = entry.tip();
    frontier.tips().filter(|other| *other != tip).chain(entry.before()).collect()
}
