//! The contract of stores, asked of the store in SQLite.

use std::{path::Path, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use spacepanda_conformance::store::{StoreFactory, run};
use spacepanda_core::{base::Result, store::ProviderStorageBackend};
use spacepanda_store_sqlite::SqliteStore;

struct Sqlite;

#[async_trait]
impl StoreFactory for Sqlite {
    async fn open(&self, place: &Path) -> Result<Arc<dyn ProviderStorageBackend>> {
        Ok(Arc::new(SqliteStore::open(place.join("store.db")).await?))
    }
}

fn main() -> ExitCode {
    run(Sqlite)
}
