use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::Result,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
};

type Rows = BTreeMap<Namespace, BTreeMap<Bytes, Bytes>>;

/// What one node keeps in memory, crashes or not. Nothing here waits.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<Rows>);

impl Disk {
    /// A disk of its own that holds the same.
    pub(super) fn copied(&self) -> Self {
        Self(Mutex::new(self.rows().clone()))
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ProviderStorageBackend for Disk {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.rows().get(namespace).and_then(|rows| rows.get(key)).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let first = match &page.after {
            Some(after) if *after >= page.prefix => Bound::Excluded(after),
            _ => Bound::Included(&page.prefix),
        };
        let held = self.rows();
        let Some(rows) = held.get(namespace) else { return Ok(Vec::new()) };
        let found = rows
            .range::<Bytes, _>((first, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&page.prefix));
        Ok(found.take(page.limit).map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let mut held = self.rows();
        for change in batch.into_changes() {
            let rows = held.entry(change.namespace().clone()).or_default();
            match change.value() {
                Some(value) => rows.insert(change.key().clone(), value.clone()),
                None => rows.remove(change.key()),
            };
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE.durable()
    }
}
