//! The contract of log stores, asked of `LogStore`: over a store, and over what is only staged.

use std::{process::ExitCode, sync::Arc};

use async_trait::async_trait;
use spacepanda_conformance::log::{LogFactory, LogPlace, run};
use spacepanda_core::{
    base::Result,
    store::{Batch, CrdtStore, LogStore, ProviderStorageBackend, Staged},
};
use spacepanda_store_memory::MemoryStore;

/// A store that saves at once.
struct Saved;

#[async_trait]
impl LogFactory for Saved {
    async fn place(&self) -> Result<Arc<dyn LogPlace>> {
        Ok(Arc::new(SavedPlace(Arc::new(MemoryStore::new()))))
    }
}

struct SavedPlace(Arc<MemoryStore>);

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
        Ok(Arc::new(StagedPlace(Arc::new(Staged::new(Arc::new(MemoryStore::new()))))))
    }
}

struct StagedPlace(Arc<Staged<MemoryStore>>);

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
