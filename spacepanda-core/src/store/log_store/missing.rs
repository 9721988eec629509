use std::collections::{BTreeMap, VecDeque};

use super::{
    covered::Lacking,
    rows::{Header, LOG, LogKey, corrupt, entry_place},
    view::View,
};
use crate::{
    base::{DeviceId, LogEntry, Result, Tip},
    store::{Page, checked},
};

/// How many entries of one log are read at once, at most.
const CHUNK_LEN_MAX: usize = 32;

/// The entries of one branch that a reader lacks, in order.
pub(super) struct Run {
    key: LogKey,
    device: DeviceId,
    lacking: Lacking,
    forked: bool,
    chunk: VecDeque<Header>,
    chunk_len: usize,
}

impl Run {
    pub(super) fn new(key: LogKey, device: DeviceId, forked: bool, lacking: Lacking) -> Self {
        Self { key, device, lacking, forked, chunk: VecDeque::new(), chunk_len: 1 }
    }

    /// When the next entry was appended; `None` at the end.
    async fn arrival(&mut self, view: View<'_>) -> Result<Option<u64>> {
        if self.lacking.first > self.lacking.last {
            return Ok(None);
        }
        if self.chunk.is_empty() {
            self.chunk = self.read(view).await?;
        }
        Ok(self.chunk.front().map(|header| header.arrival))
    }

    /// Reads ahead, twice as far each time: never much more than was wanted so far. The entries of a
    /// log that forked stand between those of other branches and are read one by one.
    async fn read(&mut self, view: View<'_>) -> Result<VecDeque<Header>> {
        let Lacking { branch, first, last } = self.lacking;
        let mut chunk = VecDeque::new();
        if !self.forked && self.chunk_len > 1 {
            let left = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
            let page = Page {
                prefix: self.key.bytes(),
                after: Some(self.key.entry(first - 1, u16::MAX)),
                limit: self.chunk_len.min(left),
            };
            for (key, row) in checked::scan(view.backend, &LOG, page).await? {
                let expected = first + chunk.len() as u64;
                if entry_place(&key)? == (expected, branch) && expected <= last {
                    chunk.push_back(Header::decode(&row, expected)?);
                }
            }
        }
        self.chunk_len = (2 * self.chunk_len).min(CHUNK_LEN_MAX);
        if chunk.is_empty() {
            chunk.push_back(view.header(self.key, first, branch).await?);
        }
        Ok(chunk)
    }

    async fn next(&mut self, view: View<'_>) -> Result<LogEntry> {
        let header = self.chunk.pop_front().ok_or_else(|| corrupt("log"))?;
        let Lacking { branch, first: number, .. } = self.lacking;
        self.lacking.first += 1;
        let tip = Tip { device: self.device, number, id: header.id };
        view.served(self.key, (tip, branch), header).await
    }
}

/// Merges `runs` by arrival: at most `limit` entries and `bytes_max` bytes, but always one if there is
/// one.
pub(super) async fn merge(
    view: View<'_>,
    runs: Vec<Run>,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<LogEntry>> {
    let mut waiting = BTreeMap::new();
    for run in runs {
        queue(view, &mut waiting, run).await?;
    }
    let (mut entries, mut bytes) = (Vec::new(), 0_usize);
    while let Some((_, mut run)) = waiting.pop_first() {
        let entry = run.next(view).await?;
        bytes = bytes.saturating_add(entry.bytes.len());
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(entry);
        if entries.len() >= limit {
            break;
        }
        queue(view, &mut waiting, run).await?;
    }
    Ok(entries)
}

async fn queue(view: View<'_>, waiting: &mut BTreeMap<u64, Run>, mut run: Run) -> Result<()> {
    let Some(arrival) = run.arrival(view).await? else { return Ok(()) };
    match waiting.insert(arrival, run) {
        None => Ok(()),
        Some(_) => Err(corrupt("log, of which two entries were appended at once,")),
    }
}
