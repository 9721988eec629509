use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Effects, Loaded, Reads},
    base::{ChannelId, Floors, Frontier, LogEntry, Result},
    store::{Batch, CrdtStore, LogStore, Namespace, Page, ProviderStorageBackend, Staged},
};

use super::gate::{Fate, Gate, begin, wait};

/// Rows of one page while a whole prefix is read.
const PREFIX_PAGE_LEN: usize = 1_024;

/// What a running node keeps: its backend, with what is staged and not yet saved.
pub(super) struct Kept {
    gate: Arc<Gate>,
    staged: Arc<Staged<Gate>>,
    logs: LogStore,
    save: Option<Save>,
}

type Save = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Kept {
    pub(super) fn open(backend: Arc<dyn ProviderStorageBackend>) -> Result<Self> {
        let gate = Arc::new(Gate::new(backend));
        let staged = Arc::new(Staged::new(Arc::clone(&gate)));
        let logs = wait(LogStore::open(Arc::clone(&staged) as Arc<dyn ProviderStorageBackend>))?;
        Ok(Self { gate, staged, logs, save: None })
    }

    pub(super) fn load(&self, reads: Reads) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        for (namespace, key) in reads.rows {
            let value = wait(self.staged.load(&namespace, &key))?;
            loaded.rows.insert((namespace, key), value);
        }
        for (namespace, prefix) in reads.prefixes {
            let rows = self.prefix(&namespace, &prefix)?;
            loaded.prefixes.insert((namespace, prefix), rows);
        }
        for (namespace, page) in reads.pages {
            let rows = wait(self.staged.scan(&namespace, page.clone()))?;
            loaded.pages.push((page, rows));
        }
        for channel in reads.frontiers {
            loaded.frontiers.insert(channel, wait(self.logs.frontier(&channel))?);
        }
        for (channel, tip) in reads.entries {
            loaded.entries.insert((channel, tip), wait(self.logs.entry(&channel, &tip))?);
        }
        for (channel, entry) in reads.places {
            let place = wait(self.logs.place(&channel, &entry))?;
            loaded.places.insert((channel, entry.id), place);
        }
        for lack in reads.missing {
            let (limit, bytes_max) = (lack.limit, lack.bytes_max);
            let missing =
                self.logs.missing(&lack.channel, &lack.floors, &lack.have, limit, bytes_max);
            let entries = wait(missing)?;
            loaded.missing.push((lack, entries));
        }
        Ok(loaded)
    }

    pub(super) fn stage(&self, effects: &mut Effects) -> Result<()> {
        let mut batch = Batch::new();
        wait(effects.append_to(&self.logs, &mut batch))?;
        for (channel, tip, body) in std::mem::take(&mut effects.bodies) {
            wait(self.logs.fill_body(&mut batch, &channel, &tip, body))?;
        }
        batch.append(std::mem::take(&mut effects.batch));
        self.staged.stage(batch);
        Ok(())
    }

    /// Begins to save what is staged: it goes on until [`Self::end_save`].
    pub(super) fn begin_save(&mut self) -> Result<()> {
        let staged = Arc::clone(&self.staged);
        let mut save: Save = Box::pin(async move { staged.flush().await });
        match begin(save.as_mut()) {
            Some(saved) => saved,
            None => {
                self.save = Some(save);
                Ok(())
            }
        }
    }

    /// Ends the save under way.
    pub(super) fn end_save(&mut self, fate: Fate) -> Result<()> {
        let Some(save) = self.save.take() else { return Ok(()) };
        self.gate.decide(fate);
        wait(save)
    }

    /// A row as it is now, saved or about to be.
    pub(super) fn row(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        wait(self.staged.load(namespace, key))
    }

    /// Everything of a channel, each entry after its past.
    pub(super) fn log(&self, channel: &ChannelId) -> Result<(Frontier, Vec<LogEntry>)> {
        let frontier = wait(self.logs.frontier(channel))?;
        let floors: Floors = frontier.tips().map(|tip| (tip.device, 1)).collect();
        let none = Frontier::new();
        let all = self.logs.missing(channel, &floors, &none, usize::MAX, usize::MAX);
        Ok((frontier, wait(all)?))
    }

    pub(super) fn prefix(
        &self,
        namespace: &Namespace,
        prefix: &Bytes,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        let mut page = Page { prefix: prefix.clone(), after: None, limit: PREFIX_PAGE_LEN };
        let mut rows = Vec::new();
        loop {
            let found = wait(self.staged.scan(namespace, page.clone()))?;
            let ended = found.len() < page.limit;
            rows.extend(found);
            if ended {
                return Ok(rows);
            }
            page.after = rows.last().map(|(key, _)| key.clone());
        }
    }
}
