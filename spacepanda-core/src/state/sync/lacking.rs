//! What one peer showed of one channel and is not held here.

use std::collections::BTreeMap;

use crate::base::{DeviceId, EnvelopeId, Tip};

/// Tips that a peer holds and this device does not.
#[derive(Debug, Clone, Default)]
pub(super) struct Lacking {
    /// Per log, by number and id; whether the tip belongs to the first frontier shown.
    logs: BTreeMap<DeviceId, BTreeMap<(u64, EnvelopeId), bool>>,
    len: usize,
    first: usize,
}

impl Lacking {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether something is lacking of what the peer showed first.
    pub(super) fn lacks_first(&self) -> bool {
        self.first > 0
    }

    /// Adds a tip; `first` if it belongs to the first frontier shown.
    pub(super) fn insert(&mut self, tip: Tip, first: bool) {
        let log = self.logs.entry(tip.device).or_default();
        if log.contains_key(&(tip.number, tip.id)) {
            return;
        }
        log.insert((tip.number, tip.id), first);
        self.len += 1;
        self.first += usize::from(first);
    }

    /// Takes a tip out; whether it was there.
    pub(super) fn remove(&mut self, tip: &Tip) -> bool {
        let Some(log) = self.logs.get_mut(&tip.device) else { return false };
        let Some(first) = log.remove(&(tip.number, tip.id)) else { return false };
        if log.is_empty() {
            self.logs.remove(&tip.device);
        }
        self.len -= 1;
        self.first -= usize::from(first);
        true
    }

    /// Whether the peer showed a tip of the same log after `tip`: it then holds `tip` too, unless the
    /// log has forked.
    pub(super) fn is_before_one(&self, tip: &Tip) -> bool {
        let last = self.logs.get(&tip.device).and_then(|log| log.last_key_value());
        last.is_some_and(|((number, _), _)| *number > tip.number)
    }
}
