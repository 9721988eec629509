use bytes::Bytes;

use super::{
    entry::{Row, RowError, decode_entry},
    key::{TIMELINE, after_order, prefix},
};
use crate::{
    base::limits::PAGE_LIMIT_MAX,
    store::{Namespace, Page},
};

/// Entries with one `order` that are sorted by id. Honest devices come nowhere near it; of more, the
/// rest follow on later pages, in the order of their keys.
pub const TIES_MAX: usize = 1_024;

/// Where a page of a timeline ends: what is earlier comes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    channel: u32,
    after: Bytes,
}

impl Cursor {
    /// The cursor as bytes, for whoever hands it out.
    pub fn encode(&self) -> Bytes {
        [&self.channel.to_be_bytes()[..], &self.after].concat().into()
    }

    /// Reads a cursor; `None` if the bytes are none. One of another channel is as good as none.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let channel = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
        Some(Self { channel, after: bytes.slice(4..) })
    }

    /// Before everything with this `order`.
    pub fn before(channel: u32, order: u64) -> Self {
        Self { channel, after: after_order(channel, order) }
    }
}

/// A page of a timeline, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries {
    /// What is shown, oldest first, by (`order`, id).
    pub entries: Vec<Row>,
    /// Where to go on towards the past; `None` if nothing is earlier. A page whose rows are all hidden
    /// is empty and has one.
    pub earlier: Option<Cursor>,
}

/// How far reading a page came.
#[derive(Debug)]
#[must_use = "a page may need another scan"]
pub enum Turn {
    /// The page.
    Done(Entries),
    /// All rows so far have one `order`, and there may be more: scan again.
    More(History),
}

/// Reading a page of a timeline backwards: scan what [`History::scan`] says, hand the rows to
/// [`History::take`].
#[derive(Debug)]
pub struct History {
    channel: u32,
    limit: usize,
    scan_limit: usize,
    after: Option<Bytes>,
    rows: Vec<(Bytes, Row)>,
}

impl History {
    /// The last `limit` entries of a channel, or the last before `cursor`.
    ///
    /// A page may hold fewer, although there are more: entries with one `order` are never parted (but
    /// beyond [`TIES_MAX`]), and hidden ones are left out. It holds more only if so many have one
    /// `order`. A cursor of another channel begins at the end of this one.
    pub fn new(channel: u32, cursor: Option<&Cursor>, limit: usize) -> Self {
        let limit = limit.clamp(1, PAGE_LIMIT_MAX - 1);
        let cursor = cursor.filter(|cursor| cursor.channel == channel);
        Self {
            channel,
            limit,
            // One more than is wanted says whether the last has company.
            scan_limit: limit + 1,
            after: cursor.map(|cursor| cursor.after.clone()),
            rows: Vec::new(),
        }
    }

    /// What to scan.
    pub fn scan(&self) -> (Namespace, Page) {
        let (prefix, after) = (prefix(self.channel), self.after.clone());
        (TIMELINE, Page { prefix, after, limit: self.scan_limit })
    }

    /// Takes the rows that the scan gave.
    ///
    /// # Errors
    /// If a row cannot be read, or is not what was asked for.
    pub fn take(mut self, rows: Vec<(Bytes, Bytes)>) -> Result<Turn, RowError> {
        let is_end = rows.len() < self.scan_limit;
        self.add(rows)?;
        let Some((last_key, last)) = self.rows.last() else {
            return Ok(Turn::Done(Entries::default()));
        };
        // The last group may go on beyond the scan.
        let whole = if is_end { self.rows.len() } else { self.until(last.place.order) };
        if whole == 0 {
            let after = last_key.clone();
            return Ok(if self.rows.len() < TIES_MAX {
                Turn::More(Self { after: Some(after), scan_limit: TIES_MAX, ..self })
            } else {
                let cursor = Cursor { channel: self.channel, after };
                Turn::Done(shown(self.rows, Some(cursor)))
            });
        }
        let kept = self.cut(whole);
        let has_more = !is_end || kept < self.rows.len();
        let order = self.rows[kept - 1].1.place.order;
        self.rows.truncate(kept);
        let earlier = has_more.then(|| Cursor::before(self.channel, order));
        Ok(Turn::Done(shown(self.rows, earlier)))
    }

    /// How many of the first `whole` rows, which are whole groups, make a page: groups as long as
    /// they fit, one at least.
    fn cut(&self, whole: usize) -> usize {
        if whole <= self.limit {
            return whole;
        }
        let order = self.rows[self.limit].1.place.order;
        match self.until(order) {
            0 => self.rows.partition_point(|(_, row)| row.place.order >= order),
            fits => fits,
        }
    }

    /// How many rows come before those with this `order`.
    fn until(&self, order: u64) -> usize {
        self.rows.partition_point(|(_, row)| row.place.order > order)
    }

    /// Adds rows, each checked: a store is not trusted to give what was asked for.
    fn add(&mut self, rows: Vec<(Bytes, Bytes)>) -> Result<(), RowError> {
        if rows.len() > self.scan_limit {
            return Err(RowError::Scan);
        }
        let prefix = prefix(self.channel);
        for (key, value) in rows {
            if !key.starts_with(&prefix) || self.after.as_ref().is_some_and(|after| *after >= key) {
                return Err(RowError::Scan);
            }
            let row = decode_entry(&key, &value)?;
            self.after = Some(key.clone());
            self.rows.push((key, row));
        }
        Ok(())
    }
}

fn shown(rows: Vec<(Bytes, Row)>, earlier: Option<Cursor>) -> Entries {
    let mut entries: Vec<_> =
        rows.into_iter().map(|(_, row)| row).filter(|row| row.entry.is_shown()).collect();
    entries.sort_unstable_by_key(|row| (row.place.order, row.entry.envelope));
    Entries { entries, earlier }
}
