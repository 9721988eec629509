//! The contract of stores, asked of the store in memory.

use std::{path::Path, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use spacepanda_conformance::store::{StoreFactory, run};
use spacepanda_core::{base::Result, store::ProviderStorageBackend};
use spacepanda_store_memory::MemoryStore;

struct Memory;

#[async_trait]
impl StoreFactory for Memory {
    async fn open(&self, _place: &Path) -> Result<Arc<dyn ProviderStorageBackend>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

fn main() -> ExitCode {
    run(Memory)
}
