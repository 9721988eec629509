use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use spacepanda_core::{
    app::engine::{Effects, Loaded, Reads},
    base::Result,
    store::{Batch, CrdtStore, LogStore, Namespace, Page, ProviderStorageBackend, Staged},
};

use super::disk::Disk;

/// Rows of one page while a whole prefix is read.
const PREFIX_PAGE_LEN: usize = 1_024;

/// What a running node keeps: its disk, with what is staged and not yet saved.
///
/// Nothing here waits: a disk answers at once, and one node's calls follow each other.
pub(super) struct Kept {
    staged: Arc<Staged<Disk>>,
    logs: LogStore,
}

impl Kept {
    pub(super) fn open(disk: &Arc<Disk>) -> Result<Self> {
        let staged = Arc::new(Staged::new(Arc::clone(disk)));
        let backend = Arc::clone(&staged) as Arc<dyn ProviderStorageBackend>;
        let logs = at_once(LogStore::open(backend))?;
        Ok(Self { staged, logs })
    }

    pub(super) fn load(&self, reads: Reads) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        for (namespace, key) in reads.rows {
            let value = at_once(self.staged.load(&namespace, &key))?;
            loaded.rows.insert((namespace, key), value);
        }
        for (namespace, prefix) in reads.prefixes {
            let rows = self.prefix(&namespace, &prefix)?;
            loaded.prefixes.insert((namespace, prefix), rows);
        }
        for (namespace, page) in reads.pages {
            let rows = at_once(self.staged.scan(&namespace, page.clone()))?;
            loaded.pages.push((page, rows));
        }
        for channel in reads.frontiers {
            loaded.frontiers.insert(channel, at_once(self.logs.frontier(&channel))?);
        }
        for (channel, tip) in reads.entries {
            loaded.entries.insert((channel, tip), at_once(self.logs.entry(&channel, &tip))?);
        }
        for (channel, entry) in reads.places {
            let place = at_once(self.logs.place(&channel, &entry))?;
            loaded.places.insert((channel, entry.id), place);
        }
        for lack in reads.missing {
            let (limit, bytes_max) = (lack.limit, lack.bytes_max);
            let missing =
                self.logs.missing(&lack.channel, &lack.floors, &lack.have, limit, bytes_max);
            let entries = at_once(missing)?;
            loaded.missing.push((lack, entries));
        }
        Ok(loaded)
    }

    pub(super) fn stage(&self, effects: &mut Effects) -> Result<()> {
        let mut batch = Batch::new();
        for (channel, entry) in &effects.log {
            at_once(self.logs.append(&mut batch, channel, entry))?;
        }
        for (channel, tip, body) in std::mem::take(&mut effects.bodies) {
            at_once(self.logs.fill_body(&mut batch, &channel, &tip, body))?;
        }
        batch.append(std::mem::take(&mut effects.batch));
        self.staged.stage(batch);
        Ok(())
    }

    /// Saves what is staged.
    pub(super) fn flush(&self) -> Result<()> {
        at_once(self.staged.flush())
    }

    fn prefix(&self, namespace: &Namespace, prefix: &Bytes) -> Result<Vec<(Bytes, Bytes)>> {
        let mut page = Page { prefix: prefix.clone(), after: None, limit: PREFIX_PAGE_LEN };
        let mut rows = Vec::new();
        loop {
            let found = at_once(self.staged.scan(namespace, page.clone()))?;
            let ended = found.len() < page.limit;
            rows.extend(found);
            if ended {
                return Ok(rows);
            }
            page.after = rows.last().map(|(key, _)| key.clone());
        }
    }
}

fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    future.now_or_never().expect("a simulated disk never waits")
}
