use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    base::{ChannelId, Floors, Frontier, LogEntry, Tip},
    store::{Namespace, Page},
};

/// What a step must know before it can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Single rows.
    pub rows: Vec<(Namespace, Bytes)>,
    /// Every row under a prefix: for what is small.
    pub prefixes: Vec<(Namespace, Bytes)>,
    /// One page of rows.
    pub pages: Vec<(Namespace, Page)>,
    /// Channels' frontiers.
    pub frontiers: Vec<ChannelId>,
    /// Entries of logs.
    pub entries: Vec<(ChannelId, Tip)>,
    /// Entries that a reader lacks.
    pub missing: Vec<Missing>,
}

impl Reads {
    /// Whether nothing must be known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A question to `CrdtStore::missing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// In which channel.
    pub channel: ChannelId,
    /// From which number on, per device; a device that is absent has nothing for the reader.
    pub floors: Floors,
    /// What the reader has.
    pub have: Frontier,
    /// How many entries at most.
    pub limit: usize,
    /// How many bytes at most.
    pub bytes_max: usize,
}

/// The answers to [`Reads`], gathered over the rounds of one step.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Single rows; `None` where there is none.
    pub rows: BTreeMap<(Namespace, Bytes), Option<Bytes>>,
    /// Rows under a prefix, by prefix.
    pub prefixes: BTreeMap<(Namespace, Bytes), Vec<(Bytes, Bytes)>>,
    /// Pages, in the order in which they were asked for.
    pub pages: Vec<(Page, Vec<(Bytes, Bytes)>)>,
    /// Frontiers.
    pub frontiers: BTreeMap<ChannelId, Frontier>,
    /// Entries; `None` where none is held.
    pub entries: BTreeMap<(ChannelId, Tip), Option<LogEntry>>,
    /// What readers lack.
    pub missing: Vec<(Missing, Vec<LogEntry>)>,
}

impl Loaded {
    /// Adds the answers of another round.
    pub fn extend(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.prefixes.extend(later.prefixes);
        self.pages.extend(later.pages);
        self.frontiers.extend(later.frontiers);
        self.entries.extend(later.entries);
        self.missing.extend(later.missing);
    }
}
