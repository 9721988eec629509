use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    base::{ChannelId, EnvelopeId, Floors, Frontier, LogEntry, Tip, cbor},
    state::envelope::{Envelope, Verified},
    store::{Namespace, Page, Placement},
};

/// Rounds of loading for one step. It takes five where devices fork their logs and use a name twice: an entry;
/// the rows of its place and its name; the row beside, if the place is taken; and both rows of whoever has
/// the name.
pub const LOAD_ROUNDS_MAX: usize = 6;

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
    /// Where entries would stand.
    pub places: Vec<(ChannelId, LogEntry)>,
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
    /// Where entries would stand, by the channel and the entry's id.
    pub places: BTreeMap<(ChannelId, EnvelopeId), Placement>,
}

impl Loaded {
    /// The record in a row; `None` if there is none, or it cannot be read.
    pub(super) fn row<T>(&self, namespace: &Namespace, key: &Bytes) -> Option<T>
    where
        T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
    {
        let value = self.rows.get(&(namespace.clone(), key.clone()))?.as_ref()?;
        cbor::decode(value).ok()
    }

    /// The rows under a prefix.
    pub(super) fn prefix(&self, namespace: &Namespace, prefix: &Bytes) -> &[(Bytes, Bytes)] {
        let rows = self.prefixes.get(&(namespace.clone(), prefix.clone()));
        rows.map_or(&[], Vec::as_slice)
    }

    /// The entry at a place, if it was asked for and is held.
    pub(super) fn entry(&self, channel: &ChannelId, tip: &Tip) -> Option<&LogEntry> {
        self.entries.get(&(*channel, *tip))?.as_ref()
    }

    /// The envelope at a place of one's own log, where only verified ones are appended.
    pub(super) fn envelope(&self, channel: &ChannelId, tip: &Tip) -> Option<Verified> {
        let entry = self.entry(channel, tip)?;
        Envelope::decode(&entry.bytes).and_then(Envelope::trust).ok()
    }

    /// What of `reads` has not been answered yet.
    pub(super) fn lacks(&self, reads: Reads) -> Reads {
        Reads {
            rows: reads.rows.into_iter().filter(|row| !self.rows.contains_key(row)).collect(),
            prefixes: reads
                .prefixes
                .into_iter()
                .filter(|prefix| !self.prefixes.contains_key(prefix))
                .collect(),
            pages: reads
                .pages
                .into_iter()
                .filter(|(_, page)| !self.pages.iter().any(|(loaded, _)| loaded == page))
                .collect(),
            frontiers: reads
                .frontiers
                .into_iter()
                .filter(|channel| !self.frontiers.contains_key(channel))
                .collect(),
            entries: reads
                .entries
                .into_iter()
                .filter(|entry| !self.entries.contains_key(entry))
                .collect(),
            missing: reads
                .missing
                .into_iter()
                .filter(|missing| !self.missing.iter().any(|(loaded, _)| loaded == missing))
                .collect(),
            places: reads
                .places
                .into_iter()
                .filter(|(channel, entry)| !self.places.contains_key(&(*channel, entry.id)))
                .collect(),
        }
    }

    /// Adds the answers of another round.
    pub fn extend(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.prefixes.extend(later.prefixes);
        self.pages.extend(later.pages);
        self.frontiers.extend(later.frontiers);
        self.entries.extend(later.entries);
        self.missing.extend(later.missing);
        self.places.extend(later.places);
    }
}
