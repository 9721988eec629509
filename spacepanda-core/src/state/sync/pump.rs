//! What is due to one peer, gathered until all that was queued has been taken.

use std::cmp::Reverse;

use super::{
    FrontierSync, TIPS_PER_PEER_MAX,
    frame::{ChannelDigest, DIGESTS_PER_FRAME, Frame, List, TIPS_PER_FRAME},
};
use crate::base::{ChannelId, Frontier, PeerId, Tip};

/// Tips of one channel that are shown: a part of what a peer may hold of them.
const SHOWN_MAX: usize = TIPS_PER_PEER_MAX / 2;

impl FrontierSync {
    /// Sends what is due to one peer. All that was queued before has been taken by the driver.
    pub(super) fn pump(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.inbox = 0;
        let bytes = std::mem::take(&mut state.to_ack);
        let due = std::mem::take(&mut state.due);
        if bytes > 0 {
            self.send(peer, None, &Frame::Ack { bytes });
        }
        let channels: Vec<ChannelId> = due.into_iter().map(|(_, channel)| channel).collect();
        self.send_digests(peer, &channels);
        for channel in channels {
            self.send_frontier(peer, channel);
            self.send_news(peer, channel);
        }
        self.pump_bodies(peer);
        self.pump_pages(peer);
    }

    fn send_digests(&mut self, peer: PeerId, channels: &[ChannelId]) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let mut digests = Vec::new();
        for channel in channels {
            let Some(known) = self.channels.get(channel) else { continue };
            let Some(exchange) = state.shared(channel) else { continue };
            let Some(scope) = &exchange.scope else { continue };
            if !std::mem::take(&mut exchange.round.digest_due) {
                continue;
            }
            let digest = scope.digest(&known.frontier);
            exchange.round.base = Some(digest);
            digests.push(ChannelDigest { channel: *channel, round: exchange.number, digest });
        }
        for page in digests.chunks(DIGESTS_PER_FRAME) {
            self.send(peer, None, &Frame::Digests { digests: List(page.to_vec()) });
        }
        for digest in digests {
            self.compare(peer, digest.channel);
        }
    }

    fn send_frontier(&mut self, peer: PeerId, channel: ChannelId) {
        let Some(known) = self.channels.get(&channel) else { return };
        let Some(exchange) = self.peers.get_mut(&peer).and_then(|p| p.shared(&channel)) else {
            return;
        };
        let Some(scope) = &exchange.scope else { return };
        if !std::mem::take(&mut exchange.round.frontier_due) {
            return;
        }
        let tips = some_of(scope.shown(&known.frontier).collect());
        let gaps = exchange.round.gaps.iter().flat_map(|device| known.frontier.of(device));
        let behind: Vec<Tip> = gaps.filter(|tip| scope.is_below_floor(tip)).collect();
        let number = exchange.number;
        exchange.round.frontier_sent = true;
        exchange.round.told = true;
        exchange.round.moved = false;
        exchange.round.news.tips = Frontier::new();
        for page in behind.chunks(TIPS_PER_FRAME) {
            let tips = List(page.to_vec());
            self.send(peer, Some(channel), &Frame::Behind { channel, tips });
        }
        let pages = tips.len().div_ceil(TIPS_PER_FRAME).max(1);
        for page in 0..pages {
            let part = tips.iter().skip(page * TIPS_PER_FRAME).take(TIPS_PER_FRAME);
            let tips = List(part.copied().collect());
            let more = page + 1 < pages;
            self.send(peer, Some(channel), &Frame::Frontier { channel, round: number, tips, more });
        }
    }
}

/// As many tips as may be shown. Of more the longest logs': whoever has those is served again what is short.
fn some_of(mut tips: Vec<Tip>) -> Vec<Tip> {
    if tips.len() > SHOWN_MAX {
        tips.sort_unstable_by_key(|tip| (Reverse(tip.number), *tip));
        tips.truncate(SHOWN_MAX);
        tips.sort_unstable();
    }
    tips
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, EnvelopeId};

    #[test]
    fn of_more_tips_than_a_peer_takes_the_longest_logs_are_shown() {
        let tip = |n: usize| {
            let mut device = [0; 32];
            device[..8].copy_from_slice(&n.to_be_bytes());
            let number = if n.is_multiple_of(3) { 1 } else { 2 };
            Tip { device: DeviceId::new(device), number, id: EnvelopeId::new(device) }
        };
        let many: Vec<Tip> = (0..SHOWN_MAX + 100).map(tip).collect();
        let some = some_of(many.clone());
        assert_eq!(some.len(), SHOWN_MAX);
        assert!(some.is_sorted());
        let long = |tips: &[Tip]| tips.iter().filter(|tip| tip.number == 2).count();
        assert_eq!(long(&some), long(&many));
        assert_eq!(some_of(many[..SHOWN_MAX].to_vec()), many[..SHOWN_MAX]);
    }
}
