use std::sync::Arc;

use spacepanda_core::{register_store, registry::StoreBackend, store::ProviderStorageBackend};

use crate::{MemoryStore, check_url};

/// Opens `memory:`, a store of its own each time.
pub static BACKEND: StoreBackend = StoreBackend {
    scheme: "memory",
    description: "Memory of this process; nothing is left when it ends",
    open: |url, _| {
        Box::pin(async move {
            check_url(&url)?;
            Ok(Arc::new(MemoryStore::new()) as Arc<dyn ProviderStorageBackend>)
        })
    },
};
register_store!(BACKEND);
