//! One channel between this device and one peer.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;

use super::{RETRIES_MAX, RETRY_MAX, RETRY_MIN, frame::Digest, lacking::Lacking, scope::Scope};
use crate::base::{DeviceId, EnvelopeId, Floors, Frontier, Timestamp, Tip};

/// The state of one channel's exchange with one peer. What a [`Round`] holds is forgotten when one
/// side begins anew.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What the peer may have; `None` while nothing is shared.
    pub(super) scope: Option<Scope>,
    pub(super) control: bool,
    /// The round and digest that the peer sent last.
    pub(super) theirs: Option<(u64, Digest)>,
    /// The number of this round; 0 before the first.
    pub(super) number: u64,
    pub(super) round: Round,
    /// Whether a timer stands for `round.retry`.
    pub(super) armed: bool,
}

impl Exchange {
    /// Begins a round: a digest is due, everything else starts over.
    pub(super) fn begin(&mut self, number: u64) {
        self.number = number;
        self.round = Round { digest_due: true, ..Round::default() };
    }

    /// The number of the next round that this side begins; the peer's, if that is ahead.
    pub(super) fn next_number(&self) -> u64 {
        let theirs = self.theirs.map_or(0, |(number, _)| number);
        theirs.max(self.number.saturating_add(1))
    }

    /// How many of the peer's tips are kept.
    pub(super) fn tips_len(&self) -> usize {
        let Round { incoming, behind, lacking, probing, bridged, .. } = &self.round;
        incoming.len() + behind.len() + lacking.len() + probing.len() + bridged.len()
    }
}

/// One comparison of frontiers and what followed from it.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) digest_due: bool,
    pub(super) frontier_due: bool,
    /// The digest that this side sent.
    pub(super) base: Option<Digest>,
    /// Whether this side came to hold more since then and the peer was not told.
    pub(super) moved: bool,
    /// Whether the peer knows what this side shows, so that news continue it.
    pub(super) told: bool,
    pub(super) frontier_sent: bool,
    /// What came so far of the peer's frontier.
    pub(super) incoming: Vec<Tip>,
    /// What came of tips that the peer holds and does not show: of logs that have a gap there.
    pub(super) behind: Vec<Tip>,
    /// The logs that have a gap here: their tips are told with the frontier.
    pub(super) gaps: BTreeSet<DeviceId>,
    /// Where those logs begin for the peer of which it holds something before that: it is served the
    /// headers in between.
    pub(super) bridged: Floors,
    /// Whether it is known what the peer shows.
    pub(super) shown: bool,
    pub(super) caught_up: bool,
    pub(super) lacking: Lacking,
    /// Tips shown of which the store was asked whether they are held; whether they are of the first.
    pub(super) probing: BTreeMap<EnvelopeId, (Tip, bool)>,
    pub(super) retry: Retry,
    pub(super) serve: Serve,
    pub(super) news: News,
}

impl Round {
    /// What stands at `tip` came, or never will: whether it was lacking.
    pub(super) fn lacks_no_more(&mut self, tip: &Tip) -> bool {
        self.lacking.remove(tip) | self.probing.remove(&tip.id).is_some()
    }

    /// Whether all is held that the peer showed first and that was not said yet; says it once.
    pub(super) fn catches_up(&mut self) -> bool {
        let lacks = self.lacking.lacks_first() || self.probing.values().any(|(_, first)| *first);
        if !self.shown || self.caught_up || lacks {
            return false;
        }
        self.caught_up = true;
        true
    }
}

/// Where serving stands.
#[derive(Debug, Default)]
pub(super) enum Serve {
    /// It is not known what the peer lacks.
    #[default]
    Unknown,
    /// Under a limit and with forked logs: what is beyond the limit is read first. `have` begins as
    /// the limit itself.
    Sifting { floors: Floors, have: Frontier, then: Frontier },
    /// What `have` does not cover is read and sent, page by page; `again` if more came meanwhile.
    Paging { have: Frontier, again: bool },
    /// The peer was sent everything; what comes is pushed.
    Live,
}

/// What is to be told in the next frame.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) tips: Frontier,
    pub(super) envelopes: Vec<Bytes>,
    /// Whether one of `envelopes` is of a log that has a gap here, of which no tips are told: who holds
    /// all of `tips` may still lack it.
    pub(super) untold: bool,
}

impl News {
    pub(super) fn push(&mut self, envelope: Bytes, untold: bool) {
        self.envelopes.push(envelope);
        self.untold |= untold;
    }
}

/// When to ask again for what was shown and did not come.
#[derive(Debug, Default)]
pub(super) struct Retry {
    pub(super) at: Option<Timestamp>,
    count: u32,
}

impl Retry {
    /// Something is lacking: a pause begins, unless one is under way.
    pub(super) fn start(&mut self, now: Timestamp) {
        if self.at.is_none() {
            self.count = 0;
            self.postpone(now);
        }
    }

    /// Something came: the next pauses are short again.
    pub(super) fn progress(&mut self) {
        self.count = 0;
    }

    /// The peer is at work: wait on.
    pub(super) fn postpone(&mut self, now: Timestamp) {
        self.at = Some(now.saturating_add(self.pause()));
    }

    /// The pause is over; whether to ask again.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        self.count += 1;
        if self.count > RETRIES_MAX {
            self.at = None;
            return false;
        }
        self.postpone(now);
        true
    }

    fn pause(&self) -> Duration {
        RETRY_MIN.saturating_mul(1 << self.count.min(16)).min(RETRY_MAX)
    }
}
