use std::sync::Arc;

use bytes::Bytes;

use crate::{
    app::engine::{Effects, Loaded, Reads},
    base::{Error, ErrorKind, Result},
    store::{Batch, CrdtStore, LogStore, Namespace, Page, ProviderStorageBackend, Staged},
};

/// Rows of one page while a whole prefix is read.
const PREFIX_PAGE_LEN: usize = 1_024;

/// Where each batch says which one it is.
const NODE: Namespace = Namespace::new("node");
const GENERATION: &[u8] = b"generation";

/// What is kept, with what is staged and not yet saved.
#[derive(Clone)]
pub(super) struct Kept {
    staged: Arc<Staged<dyn ProviderStorageBackend>>,
    logs: LogStore,
    /// The number of the last batch when it was opened; 0 if there was none.
    generation: u64,
}

impl Kept {
    /// Opens what `backend` holds; nothing is staged.
    ///
    /// # Errors
    /// The backend's.
    pub(super) async fn open(backend: Arc<dyn ProviderStorageBackend>) -> Result<Self> {
        let staged = Arc::new(Staged::new(backend));
        let logs = LogStore::open(Arc::clone(&staged) as Arc<dyn ProviderStorageBackend>).await?;
        let generation = staged.load(&NODE, GENERATION).await?;
        let generation = generation.map_or(Ok(0), |row| read_generation(&row))?;
        Ok(Self { staged, logs, generation })
    }

    /// The number of the last batch when this was opened; 0 of a new store.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Stages the number of the batch that is saved next.
    pub(super) fn number(&self, generation: u64) {
        let mut batch = Batch::new();
        batch.put(NODE, GENERATION, generation.to_be_bytes().to_vec());
        self.staged.stage(batch);
    }

    /// Answers all `reads`.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn load(&self, reads: Reads) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        for (namespace, key) in reads.rows {
            let value = self.staged.load(&namespace, &key).await?;
            loaded.rows.insert((namespace, key), value);
        }
        for (namespace, prefix) in reads.prefixes {
            let rows = self.prefix(&namespace, &prefix).await?;
            loaded.prefixes.insert((namespace, prefix), rows);
        }
        for (namespace, page) in reads.pages {
            let rows = self.staged.scan(&namespace, page.clone()).await?;
            loaded.pages.push((page, rows));
        }
        for channel in reads.frontiers {
            loaded.frontiers.insert(channel, self.logs.frontier(&channel).await?);
        }
        for (channel, tip) in reads.entries {
            loaded.entries.insert((channel, tip), self.logs.entry(&channel, &tip).await?);
        }
        for (channel, entry) in reads.places {
            let place = self.logs.place(&channel, &entry).await?;
            loaded.places.insert((channel, entry.id), place);
        }
        for lack in reads.missing {
            let (limit, bytes_max) = (lack.limit, lack.bytes_max);
            let missing =
                self.logs.missing(&lack.channel, &lack.floors, &lack.have, limit, bytes_max);
            let entries = missing.await?;
            loaded.missing.push((lack, entries));
        }
        Ok(loaded)
    }

    /// Stages what a step keeps, and says how many bytes that is.
    ///
    /// # Errors
    /// The log's: then everything staged must be dropped.
    pub(super) async fn stage(&self, effects: &mut Effects) -> Result<usize> {
        let mut batch = Batch::new();
        effects.append_to(&self.logs, &mut batch).await?;
        effects.log = Vec::new();
        for (channel, tip, body) in std::mem::take(&mut effects.bodies) {
            self.logs.fill_body(&mut batch, &channel, &tip, body).await?;
        }
        batch.append(std::mem::take(&mut effects.batch));
        let bytes = batch.bytes();
        self.staged.stage(batch);
        Ok(bytes)
    }

    /// Saves everything staged.
    ///
    /// # Errors
    /// The backend's: then nothing is staged any more.
    pub(super) async fn flush(&self) -> Result<()> {
        self.staged.flush().await
    }

    async fn prefix(&self, namespace: &Namespace, prefix: &Bytes) -> Result<Vec<(Bytes, Bytes)>> {
        let mut page = Page { prefix: prefix.clone(), after: None, limit: PREFIX_PAGE_LEN };
        let mut rows = Vec::new();
        loop {
            let found = self.staged.scan(namespace, page.clone()).await?;
            let ended = found.len() < page.limit;
            rows.extend(found);
            if ended {
                return Ok(rows);
            }
            page.after = rows.last().map(|(key, _)| key.clone());
        }
    }
}

fn read_generation(row: &[u8]) -> Result<u64> {
    let number = row.try_into().map(u64::from_be_bytes);
    number.map_err(|_| {
        Error::new(ErrorKind::Corrupt, "open: the number of the last batch is damaged")
    })
}
