//! The ports for what is kept: ordered keys in namespaces, and logs over them.

mod batch;
mod checked;
pub mod limit;
mod log_store;
mod staged;

use async_trait::async_trait;
use bytes::Bytes;

use crate::base::{ChannelId, Floors, Frontier, LogEntry, Result, Tip};

pub use batch::{Batch, Change, Namespace, Page};
#[cfg(any(test, fuzzing))]
pub(crate) use log_store::decoders::decoders;
pub use log_store::{FORKS_MAX, LogStore};
pub use staged::Staged;

/// What a backend promises beyond the contract; it is tested exactly where it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capability {
    /// What `save` returned for is there after the process was killed or the power failed.
    pub durable: bool,
    /// A second instance on the same place is refused with `Locked` while the first is open.
    pub exclusive: bool,
}

impl Capability {
    /// A backend that promises neither.
    pub const NONE: Self = Self { durable: false, exclusive: false };

    /// Adds the promise of durability.
    #[must_use]
    pub const fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Adds the promise of exclusiveness.
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }
}

/// Keeps ordered keys inside named namespaces, changed in atomic batches.
///
/// - Keys are ordered by their bytes, shorter first where one begins the other.
/// - Namespaces share nothing: the same key in two of them names two values.
/// - A namespace needs no creation; one never written is empty.
/// - Methods may be called from several tasks at once.
#[async_trait]
pub trait ProviderStorageBackend: Send + Sync + 'static {
    /// Returns the value at `key`, or `None`: absence is an answer, not an error.
    ///
    /// It sees every batch whose `save` has returned.
    ///
    /// # Errors
    /// `TooLarge` for a key above `KEY_LEN_MAX`; `Closed` after `close`; `Corrupt` for a damaged row;
    /// `Unavailable` otherwise.
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>>;

    /// Returns entries in the order of their keys: those that begin with `page.prefix`, come after
    /// `page.after` (exclusive) if given, and at most `page.limit` of them.
    ///
    /// It sees one state of the store: a batch is in it whole or not at all. Fewer entries than
    /// `page.limit` mean that there are no more.
    ///
    /// # Errors
    /// As `load`; `TooLarge` also for a limit above `PAGE_LIMIT_MAX`.
    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>>;

    /// Applies every change in `batch`, in order, or none of them.
    ///
    /// When it returns, the batch is visible to every reader, and durable if that is declared. Batches
    /// are applied in the order in which `save` was called. Deleting what is absent is no error; an
    /// empty batch does nothing.
    ///
    /// # Cancel safety
    /// If the future is dropped the batch is applied whole or not at all.
    ///
    /// # Errors
    /// `TooLarge` if a key or value is above its limit, and nothing of the batch is applied; `Closed`
    /// after `close`; `Unavailable` otherwise, and then the caller must load again before it goes on.
    async fn save(&self, batch: Batch) -> Result<()>;

    /// Waits for what is under way, then lets go of the place. A second call does nothing.
    async fn close(&self) -> Result<()>;

    /// What is promised beyond the contract.
    fn capability(&self) -> Capability;
}

/// Where an entry would stand in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It follows a tip of the log, or begins it: nothing is held before it, or anything is only after
    /// a gap.
    New,
    /// It is held already.
    Known,
    /// It follows an entry that is no tip, or takes the place at which the log begins: with it the log
    /// forks.
    Forked,
    /// The entry before it is not held, though the log begins before it: it must wait, unless what is
    /// missing cannot be had; then it is appended after a gap.
    Beyond,
    /// It stands below the log's floor, would be one fork too many, or contradicts itself (it says that
    /// none is before it, and its number is not 1, or the reverse): there is no place for it.
    Gap,
}

/// Keeps logs: one per device and channel, from its floor on, and without gaps but for those that
/// [`append_after_gap`](Self::append_after_gap) makes.
///
/// The floor is the number of the first entry that was appended to an empty log, whichever that is, or 1
/// where a gap is before that; below it nothing is for this reader, and what stands there is a gap for
/// ever.
/// An entry at a place already taken, under another id, is kept as a second tip and served like the
/// first. One log has at most [`FORKS_MAX`] tips; what would be one more is a gap.
/// Reads ask storage and see every appended batch that was saved, or staged where storage is a
/// [`Staged`].
#[async_trait]
pub trait CrdtStore: Send + Sync + 'static {
    /// The tips of every log of `channel`, with what is missing before them; empty for a channel of
    /// which nothing is held.
    async fn frontier(&self, channel: &ChannelId) -> Result<Frontier>;

    /// Says where `entry` would stand; nothing changes.
    async fn place(&self, channel: &ChannelId, entry: &LogEntry) -> Result<Placement>;

    /// Returns entries of `channel` that `have` does not cover, from `floors` on, in causal order (the
    /// order in which they were appended here), at most `limit` entries and `bytes_max` bytes, but
    /// always one if there is one. An empty answer means that nothing is missing.
    ///
    /// A tip covers itself and all that it follows, so one branch of a fork does not cover the other,
    /// nor what is after a gap what is before it.
    /// A device absent from `floors` has nothing for the reader. Of a tip in `have` that is not held
    /// here, nothing is known: of that log everything from its floor on that no other tip covers is
    /// returned.
    async fn missing(
        &self,
        channel: &ChannelId,
        floors: &Floors,
        have: &Frontier,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>>;

    /// Returns the entry at `tip`, if that envelope is held.
    async fn entry(&self, channel: &ChannelId, tip: &Tip) -> Result<Option<LogEntry>>;

    /// Stages `entry` into `batch`, where `place` said `New` or `Forked`; a second `append` before
    /// the batch is saved sees the first. It is served again byte for byte while its body is held.
    /// What was missing in a gap closes it.
    ///
    /// # Errors
    /// `Conflict` if the entry is `Known`, or stands `Beyond` what is held or in a `Gap`: drop the batch
    /// and everything staged, and open the store again. `TooLarge` above `ENVELOPE_LEN_MAX`; nothing is
    /// staged.
    async fn append(&self, batch: &mut Batch, channel: &ChannelId, entry: &LogEntry) -> Result<()>;

    /// As [`append`](Self::append), where `place` said `Beyond`, or `New` of what begins the log: that
    /// goes on, or begins, with `entry`, and has a gap before it.
    ///
    /// # Errors
    /// `Conflict` if the entry stands anywhere else, or nothing comes before it; else as `append`.
    async fn append_after_gap(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        entry: &LogEntry,
    ) -> Result<()>;

    /// Stages that the body of the envelope at `tip` is gone; the header stays and is served without
    /// it. One that is not held, or has no body, is no error.
    async fn drop_body(&self, batch: &mut Batch, channel: &ChannelId, tip: &Tip) -> Result<()>;

    /// Stages the body of the envelope at `tip`, which was appended without it or whose body was
    /// dropped; it is served with it again. The caller has checked that it is this envelope's. One that
    /// is not held, has its body or needs none is left as it is.
    ///
    /// # Errors
    /// `TooLarge` above `BODY_LEN_MAX`; nothing is staged.
    async fn fill_body(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        tip: &Tip,
        body: Bytes,
    ) -> Result<()>;
}
