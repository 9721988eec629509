//! What is kept for one connected peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{CHANNELS_PER_PEER_MAX, TIPS_PER_PEER_MAX, Ticket, WINDOW_BYTES, exchange::Exchange};
use crate::base::{ChannelId, Timestamp, Tip};

/// The order in which channels are served: control channels (`false`) before all others.
pub(super) type Rank = (bool, ChannelId);

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) exchanges: BTreeMap<ChannelId, Exchange>,
    /// Channels with something to send.
    pub(super) due: BTreeSet<Rank>,
    /// Channels being served page by page.
    pub(super) paging: BTreeSet<Rank>,
    /// The read of a page that is under way.
    pub(super) loading: Option<Ticket>,
    /// Bytes sent and not acknowledged.
    pub(super) unacked: usize,
    /// Bytes of news that wait to be sent.
    pub(super) pending: usize,
    /// Bytes received whose envelopes the driver has taken, to be acknowledged.
    pub(super) to_ack: u64,
    /// Bytes received that the driver has not taken yet.
    pub(super) inbox: usize,
    pub(super) bodies: Bodies,
}

/// Single envelopes that are asked for, by either side.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    pub(super) waiting: VecDeque<(ChannelId, Tip)>,
    pub(super) asked: BTreeMap<(ChannelId, Tip), Timestamp>,
    pub(super) requests: VecDeque<(ChannelId, Tip)>,
    pub(super) reading: usize,
}

impl Peer {
    /// The exchange of `channel`, made if there is room for it.
    pub(super) fn exchange(&mut self, channel: ChannelId) -> Option<&mut Exchange> {
        let full = self.exchanges.len() >= CHANNELS_PER_PEER_MAX;
        if full && !self.exchanges.contains_key(&channel) {
            return None;
        }
        Some(self.exchanges.entry(channel).or_default())
    }

    /// The exchange of `channel`, if it is shared.
    pub(super) fn shared(&mut self, channel: &ChannelId) -> Option<&mut Exchange> {
        self.exchanges.get_mut(channel).filter(|exchange| exchange.scope.is_some())
    }

    pub(super) fn rank(&self, channel: &ChannelId) -> Rank {
        (!self.exchanges.get(channel).is_some_and(|exchange| exchange.control), *channel)
    }

    pub(super) fn set_due(&mut self, channel: &ChannelId) {
        let rank = self.rank(channel);
        self.due.insert(rank);
    }

    pub(super) fn has_window(&self) -> bool {
        self.unacked < WINDOW_BYTES
    }

    pub(super) fn shows_too_much(&self) -> bool {
        self.exchanges.values().map(Exchange::tips_len).sum::<usize>() > TIPS_PER_PEER_MAX
    }

    /// Forgets what was to be sent or served of `channel`.
    pub(super) fn halt(&mut self, channel: &ChannelId) {
        let rank = self.rank(channel);
        self.due.remove(&rank);
        self.paging.remove(&rank);
        if let Some(exchange) = self.exchanges.get_mut(channel) {
            let news = std::mem::take(&mut exchange.round.news);
            self.pending -= news.envelopes.iter().map(|bytes| bytes.len()).sum::<usize>();
        }
    }
}
