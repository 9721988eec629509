use std::collections::{BTreeMap, BTreeSet};

use super::Verified;
use crate::base::{
    DeviceId, EnvelopeId,
    limits::{
        WAITING_BYTES_MAX, WAITING_OF_STRANGERS_PART, WAITING_PER_AUTHOR_MAX,
        WAITING_PER_SERVER_MAX,
    },
};

/// No more of its author may wait; the envelope was let go. Whoever has it sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many envelopes wait for something missing")]
pub struct Full;

/// Envelopes of one server whose past is not here yet, by what they wait for.
///
/// Where all authors together reach a limit, those that wait longest are let go: anybody can sign what
/// waits for ever, and none of it may keep others out.
#[derive(Debug, Default)]
pub struct Waiting {
    by_missing: BTreeMap<EnvelopeId, BTreeSet<EnvelopeId>>,
    held: BTreeMap<EnvelopeId, Held>,
    by_age: BTreeMap<u64, EnvelopeId>,
    /// Those that wait for nothing but themselves.
    unnamed: BTreeSet<EnvelopeId>,
    parked: u64,
    per_author: BTreeMap<DeviceId, usize>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    envelope: Verified,
    missing: EnvelopeId,
    len: usize,
    age: u64,
}

impl Waiting {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `envelope` until `missing` is here. One that waits already goes on waiting.
    ///
    /// # Errors
    /// If its author has reached the limit.
    pub fn park(&mut self, envelope: Verified, missing: EnvelopeId) -> Result<(), Full> {
        let id = envelope.id();
        if self.held.contains_key(&id) {
            return Ok(());
        }
        let author = envelope.header().sender;
        let of_author = self.per_author.get(&author).copied().unwrap_or(0);
        if of_author >= WAITING_PER_AUTHOR_MAX {
            return Err(Full);
        }
        let len = envelope.encode().len();
        while self.held.len() >= WAITING_PER_SERVER_MAX || self.bytes + len > WAITING_BYTES_MAX {
            let Some(oldest) = self.by_age.first_key_value().map(|(_, id)| *id) else { break };
            self.take(&oldest);
        }
        *self.per_author.entry(author).or_default() += 1;
        self.bytes += len;
        self.parked += 1;
        let age = self.parked;
        self.by_age.insert(age, id);
        self.held.insert(id, Held { envelope, missing, len, age });
        self.by_missing.entry(missing).or_default().insert(id);
        Ok(())
    }

    /// Whether there is room for what a stranger sent, by which nothing is let go that came from members.
    pub fn has_room_for_strangers(&self) -> bool {
        self.held.len() < WAITING_PER_SERVER_MAX / WAITING_OF_STRANGERS_PART
            && self.bytes < WAITING_BYTES_MAX / WAITING_OF_STRANGERS_PART
    }

    /// Whether an envelope waits.
    pub fn contains(&self, id: &EnvelopeId) -> bool {
        self.held.contains_key(id)
    }

    /// Whether anything waits for `missing`, which does not wait itself.
    pub fn waits_for(&self, missing: &EnvelopeId) -> bool {
        self.by_missing.contains_key(missing) && !self.held.contains_key(missing)
    }

    /// Keeps `envelope` until somebody names it: it waits for nothing but itself.
    ///
    /// # Errors
    /// If its author has reached the limit.
    pub fn park_unnamed(&mut self, envelope: Verified) -> Result<(), Full> {
        let id = envelope.id();
        self.park(envelope, id)?;
        self.unnamed.insert(id);
        Ok(())
    }

    /// Those that wait until somebody names them.
    pub fn unnamed(&self) -> impl Iterator<Item = &Verified> {
        self.unnamed.iter().filter_map(|id| self.held.get(id)).map(|held| &held.envelope)
    }

    /// What is waited for in the end where something waits for `missing`.
    pub fn waited_for(&self, missing: &EnvelopeId) -> EnvelopeId {
        let mut last = *missing;
        while let Some(held) = self.held.get(&last).filter(|held| held.missing != last) {
            last = held.missing;
        }
        last
    }

    /// Takes out one that waits until somebody names it.
    pub fn take_unnamed(&mut self, id: &EnvelopeId) -> Option<Verified> {
        if self.unnamed.contains(id) { self.take(id) } else { None }
    }

    /// Everything that waits for `missing`, or for what waits for it.
    pub fn after(&self, missing: &EnvelopeId) -> Vec<&Verified> {
        let (mut met, mut open) = (BTreeSet::from([*missing]), vec![*missing]);
        let mut found = Vec::new();
        while let Some(next) = open.pop() {
            for id in self.by_missing.get(&next).into_iter().flatten() {
                if met.insert(*id) {
                    found.extend(self.held.get(id).map(|held| &held.envelope));
                    open.push(*id);
                }
            }
        }
        found
    }

    /// Takes out what waited for `arrived`, by id. It may turn out to wait for something else.
    pub fn release(&mut self, arrived: &EnvelopeId) -> Vec<Verified> {
        let ids = self.by_missing.get(arrived).cloned().unwrap_or_default();
        ids.iter().filter_map(|id| self.take(id)).collect()
    }

    /// Takes out everything.
    pub fn drain(&mut self) -> Vec<Verified> {
        let held = std::mem::take(self).held;
        held.into_values().map(|held| held.envelope).collect()
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
        let Held { envelope, missing, len, age } = self.held.remove(id)?;
        self.bytes -= len;
        self.by_age.remove(&age);
        self.unnamed.remove(id);
        if let Some(waiters) = self.by_missing.get_mut(&missing) {
            waiters.remove(id);
            if waiters.is_empty() {
                self.by_missing.remove(&missing);
            }
        }
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
