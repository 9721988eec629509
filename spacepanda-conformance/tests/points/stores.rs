use std::sync::Arc;

use spacepanda_conformance::sim::{Disks, MemoryDisks};
use spacepanda_core::{base::Result, store::ProviderStorageBackend};
use spacepanda_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::runtime::Builder;

/// Where the nodes of a story keep things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Memory,
    Sqlite,
}

impl Store {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Sqlite];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

/// The disks of one run.
pub(super) enum StoreDisks {
    Memory(MemoryDisks),
    /// A file for each node, in a folder that ends with the run.
    Sqlite(TempDir),
}

impl StoreDisks {
    pub(super) fn new(store: Store) -> Self {
        match store {
            Store::Memory => Self::Memory(MemoryDisks::default()),
            Store::Sqlite => Self::Sqlite(TempDir::new().expect("there is a folder for a while")),
        }
    }
}

impl Disks for StoreDisks {
    fn open(&mut self, node: usize) -> Result<Arc<dyn ProviderStorageBackend>> {
        match self {
            Self::Memory(disks) => disks.open(node),
            Self::Sqlite(folder) => {
                let file = folder.path().join(format!("{node}.db"));
                Ok(Arc::new(wait_for(SqliteStore::open(file))?))
            }
        }
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().build().expect("a runtime without drivers starts");
    runtime.block_on(future)
}
