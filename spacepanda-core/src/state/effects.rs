//! What a step did: what to keep, what to send, what to tell.

use bytes::Bytes;

use crate::{
    base::{ChannelId, LogEntry, PeerId},
    store::Batch,
};

/// What a step did. The driver saves `log` and `batch` together, all or nothing; then sends
/// `outbound`; then tells `events`.
#[derive(Debug, Clone)]
#[must_use = "a step whose effects are dropped never happened"]
pub struct Effects<E> {
    /// Entries to append to their channels' logs.
    pub log: Vec<(ChannelId, LogEntry)>,
    /// Rows to change.
    pub batch: Batch,
    /// Frames to send, once all of that is durable.
    pub outbound: Vec<(PeerId, Bytes)>,
    /// What to tell, once all of that is sent.
    pub events: Vec<E>,
}

impl<E> Default for Effects<E> {
    fn default() -> Self {
        Self { log: Vec::new(), batch: Batch::new(), outbound: Vec::new(), events: Vec::new() }
    }
}

impl<E> Effects<E> {
    /// Adds everything `later` did, after what is here.
    pub fn append(&mut self, later: Self) {
        self.log.extend(later.log);
        self.batch.append(later.batch);
        self.outbound.extend(later.outbound);
        self.events.extend(later.events);
    }
}
