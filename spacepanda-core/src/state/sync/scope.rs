//! What of a channel is for one reader.

use std::collections::BTreeSet;

use super::{Start, frame::Digest};
use crate::base::{DeviceId, EnvelopeId, Floors, Frontier, Tip};

const DIGEST_PREFIX: &[u8] = b"spacepanda-frontier-v1";

/// What one peer may have of one channel.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    from: Start,
    up_to: Option<Frontier>,
    /// Of logs that forked: what a limit does not cover although its number is below a tip's.
    beyond: BTreeSet<EnvelopeId>,
}

impl Scope {
    pub(super) fn new(from: Start, up_to: Option<Frontier>) -> Self {
        Self { from, up_to, beyond: BTreeSet::new() }
    }

    pub(super) fn up_to(&self) -> Option<&Frontier> {
        self.up_to.as_ref()
    }

    /// Notes that the limit does not cover `id`.
    pub(super) fn exclude(&mut self, id: EnvelopeId) {
        self.beyond.insert(id);
    }

    /// Whether nothing is for the reader, not even a header: what they send is taken, and that is all.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.from, Start::Floors(floors) if floors.is_empty())
    }

    /// Whether the entry at `tip`, held here, is for the reader.
    pub(super) fn admits(&self, tip: &Tip) -> bool {
        !self.is_below_floor(tip) && self.is_within_limit(tip)
    }

    /// Whether `tip` stands before what is for the reader.
    pub(super) fn is_below_floor(&self, tip: &Tip) -> bool {
        self.floor(&tip.device).is_none_or(|floor| tip.number < floor)
    }

    pub(super) fn is_within_limit(&self, tip: &Tip) -> bool {
        let Some(up_to) = &self.up_to else { return true };
        let covers = |last: Tip| last.number > tip.number || last.id == tip.id;
        !self.beyond.contains(&tip.id) && up_to.of(&tip.device).any(covers)
    }

    /// The tips that the reader is shown, where `own` is held here.
    pub(super) fn shown<'a>(&'a self, own: &'a Frontier) -> impl Iterator<Item = Tip> + 'a {
        let own = self.up_to.as_ref().unwrap_or(own);
        own.tips().filter(|tip| !self.is_below_floor(tip) && !self.is_after_gap(own, tip))
    }

    /// Whether something that is for the reader is missing before `tip`, which would seem to be held
    /// if `tip` was shown.
    fn is_after_gap(&self, own: &Frontier, tip: &Tip) -> bool {
        own.gap_before(tip).is_some_and(|missing| !self.is_below_floor(&missing))
    }

    pub(super) fn digest(&self, own: &Frontier) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DIGEST_PREFIX);
        for tip in self.shown(own) {
            hasher.update(tip.device.as_bytes());
            hasher.update(&tip.number.to_be_bytes());
            hasher.update(tip.id.as_bytes());
        }
        hasher.finalize().into()
    }

    /// Where each log that is held begins for the reader.
    pub(super) fn floors(&self, own: &Frontier) -> Floors {
        match &self.from {
            Start::Floors(floors) => floors.clone(),
            Start::Beginning => own.tips().map(|tip| (tip.device, 1)).collect(),
        }
    }

    /// As [`Scope::floors`], of the logs under a limit that have forked: where a number alone does not
    /// say whether the limit covers an entry.
    pub(super) fn forked_floors(&self, own: &Frontier) -> Floors {
        if self.up_to.is_none() {
            return Floors::new();
        }
        let mut floors = self.floors(own);
        floors.retain(|device, _| own.of(device).nth(1).is_some());
        floors
    }

    /// Where those logs begin for the reader of which it holds, with `have`, an end further back: what
    /// is between is missing from its log. An end right before may stand on another branch of a fork.
    pub(super) fn bridged(&self, have: &Frontier) -> Floors {
        let Start::Floors(floors) = &self.from else { return Floors::new() };
        let behind = |(device, floor): (&DeviceId, &u64)| {
            let held = have.number(device);
            (held > 0 && held < *floor).then_some((*device, *floor))
        };
        floors.iter().filter_map(behind).collect()
    }

    fn floor(&self, device: &DeviceId) -> Option<u64> {
        match &self.from {
            Start::Beginning => Some(1),
            Start::Floors(floors) => floors.get(device).copied(),
        }
    }
}
