use std::collections::{BTreeMap, BTreeSet};

use super::Verified;
use crate::base::{
    DeviceId, EnvelopeId,
    limits::{WAITING_BYTES_MAX, WAITING_PER_AUTHOR_MAX, WAITING_PER_SERVER_MAX},
};

/// No more may wait; the envelope was let go. Whoever has it sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many envelopes wait for something missing")]
pub struct Full;

/// Envelopes of one server whose past is not here yet, by what they wait for.
#[derive(Debug, Default)]
pub struct Waiting {
    by_missing: BTreeMap<EnvelopeId, BTreeSet<EnvelopeId>>,
    held: BTreeMap<EnvelopeId, (Verified, usize)>,
    per_author: BTreeMap<DeviceId, usize>,
    bytes: usize,
}

impl Waiting {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `envelope` until `missing` is here. One that waits already goes on waiting.
    ///
    /// # Errors
    /// If its author or its server has reached a limit.
    pub fn park(&mut self, envelope: Verified, missing: EnvelopeId) -> Result<(), Full> {
        let id = envelope.id();
        if self.held.contains_key(&id) {
            return Ok(());
        }
        let author = envelope.header().sender;
        let of_author = self.per_author.get(&author).copied().unwrap_or(0);
        let len = envelope.encode().len();
        if of_author >= WAITING_PER_AUTHOR_MAX
            || self.held.len() >= WAITING_PER_SERVER_MAX
            || self.bytes + len > WAITING_BYTES_MAX
        {
            return Err(Full);
        }
        self.per_author.insert(author, of_author + 1);
        self.bytes += len;
        self.held.insert(id, (envelope, len));
        self.by_missing.entry(missing).or_default().insert(id);
        Ok(())
    }

    /// Takes out what waited for `arrived`, by id. It may turn out to wait for something else.
    pub fn release(&mut self, arrived: &EnvelopeId) -> Vec<Verified> {
        let ids = self.by_missing.remove(arrived).unwrap_or_default();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> Vec<Verified> {
        let held = std::mem::take(self).held;
        held.into_values().map(|(envelope, _)| envelope).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn take(&mut self, id: &EnvelopeId) -> Option<Verified> {
        let (envelope, len) = self.held.remove(id)?;
        self.bytes -= len;
        let author = envelope.header().sender;
        if let Some(count) = self.per_author.get_mut(&author) {
            *count -= 1;
            if *count == 0 {
                self.per_author.remove(&author);
            }
        }
        Some(envelope)
    }
}
