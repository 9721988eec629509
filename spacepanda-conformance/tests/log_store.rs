//! The contract of log stores, asked of `LogStore`: over a store, and over what is only staged.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_conformance::log::{LogFactory, LogPlace, run};
use spacepanda_core::{
    base::Result,
    store::{
        Batch, Capability, CrdtStore, LogStore, Namespace, Page, ProviderStorageBackend, Staged,
    },
};

/// Rows in memory, and nothing else.
#[derive(Default)]
struct Rows(Mutex<BTreeMap<(Namespace, Bytes), Bytes>>);

#[async_trait]
impl ProviderStorageBackend for Rows {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let rows = self.0.lock().expect("no panic while held");
        Ok(rows.get(&(namespace.clone(), Bytes::copy_from_slice(key))).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let rows = self.0.lock().expect("no panic while held");
        let start =
            (namespace.clone(), page.after.clone().unwrap_or_default().max(page.prefix.clone()));
        let found = rows
            .range(start..)
            .take_while(|((at, key), _)| at == namespace && key.starts_with(&page.prefix));
        let found = found.filter(|((_, key), _)| page.after.as_ref() != Some(key));
        Ok(found.map(|((_, key), value)| (key.clone(), value.clone())).take(page.limit).collect())
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let mut rows = self.0.lock().expect("no panic while held");
        for change in batch.into_changes() {
            let place = (change.namespace().clone(), change.key().clone());
            match change.value() {
                Some(value) => rows.insert(place, value.clone()),
                None => rows.remove(&place),
            };
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE
    }
}

/// A store that saves at once.
struct Saved;

#[async_trait]
impl LogFactory for Saved {
    async fn place(&self) -> Result<Arc<dyn LogPlace>> {
        Ok(Arc::new(SavedPlace(Arc::new(Rows::default()))))
    }
}

struct SavedPlace(Arc<Rows>);

#[async_trait]
impl LogPlace for SavedPlace {
    async fn open(&self) -> Result<Arc<dyn CrdtStore>> {
        Ok(Arc::new(LogStore::open(self.0.clone()).await?))
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.0.save(batch).await
    }
}

/// A store over which every batch is staged, and saved only when the place is opened again.
struct OnlyStaged;

#[async_trait]
impl LogFactory for OnlyStaged {
    async fn place(&self) -> Result<Arc<dyn LogPlace>> {
        Ok(Arc::new(StagedPlace(Arc::new(Staged::new(Arc::new(Rows::default()))))))
    }
}

struct StagedPlace(Arc<Staged<Rows>>);

#[async_trait]
impl LogPlace for StagedPlace {
    async fn open(&self) -> Result<Arc<dyn CrdtStore>> {
        self.0.flush().await?;
        Ok(Arc::new(LogStore::open(self.0.clone()).await?))
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.0.stage(batch);
        Ok(())
    }
}

fn main() -> ExitCode {
    run(vec![("saved", Arc::new(Saved)), ("staged", Arc::new(OnlyStaged))])
}
