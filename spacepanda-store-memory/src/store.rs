use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    store::{
        Batch, Capability, Change, Namespace, Page, ProviderStorageBackend,
        limit::{check_batch, check_key, check_page},
    },
};

type Entries = BTreeMap<Bytes, Bytes>;
type Namespaces = BTreeMap<Namespace, Entries>;

/// Keeps everything in this process's memory, and nothing beyond it.
///
/// It promises neither durability nor exclusiveness ([`Capability::NONE`]). No call waits: the lock
/// is held for one call and never across an `await`, so a dropped `save` was applied or never began.
#[derive(Debug)]
pub struct MemoryStore {
    /// `None` once closed.
    namespaces: RwLock<Option<Namespaces>>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self { namespaces: RwLock::new(Some(Namespaces::new())) }
    }

    // No code that runs under the lock can panic half way through a batch, so poison means nothing.
    fn read(&self) -> RwLockReadGuard<'_, Option<Namespaces>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Namespaces>> {
        self.namespaces.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl ProviderStorageBackend for MemoryStore {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let held = self.read();
        let namespaces = held.as_ref().ok_or_else(closed)?;
        check_key(key)?;
        Ok(namespaces.get(namespace).and_then(|entries| entries.get(key)).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let held = self.read();
        let namespaces = held.as_ref().ok_or_else(closed)?;
        check_page(&page)?;
        Ok(namespaces.get(namespace).map(|entries| read_page(entries, &page)).unwrap_or_default())
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let mut held = self.write();
        let namespaces = held.as_mut().ok_or_else(closed)?;
        check_batch(&batch)?;
        for change in batch.into_changes() {
            apply(namespaces, change);
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        *self.write() = None;
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the memory store is closed")
}

fn read_page(entries: &Entries, page: &Page) -> Vec<(Bytes, Bytes)> {
    let first = match &page.after {
        Some(after) if *after >= page.prefix => Bound::Excluded(after.clone()),
        _ => Bound::Included(page.prefix.clone()),
    };
    entries
        .range((first, Bound::Unbounded))
        .take_while(|(key, _)| key.starts_with(&page.prefix))
        .take(page.limit)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

// Copies what it keeps: a slice of a frame would keep the whole frame in memory.
fn apply(namespaces: &mut Namespaces, change: Change) {
    match change {
        Change::Put { namespace, key, value } => {
            let entries = namespaces.entry(namespace).or_default();
            entries.insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
        }
        Change::Delete { namespace, key } => {
            if let Some(entries) = namespaces.get_mut(&namespace) {
                entries.remove(&key);
            }
        }
    }
}
