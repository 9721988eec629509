//! A plug-in needs nothing but the core to register its backend.

use std::sync::Arc;

use spacepanda_core::{
    register_store,
    registry::{Registry, Setup, StoreBackend},
    store::{Batch, Namespace, ProviderStorageBackend},
};
use spacepanda_store_memory::MemoryStore;

static BACKEND: StoreBackend = StoreBackend {
    scheme: "rows",
    description: "Rows in memory",
    open: |_, _| {
        Box::pin(async { Ok(Arc::new(MemoryStore::new()) as Arc<dyn ProviderStorageBackend>) })
    },
};
register_store!(BACKEND);

#[tokio::test]
async fn a_store_registered_by_another_crate_opens_by_its_url() {
    let store = Registry::linked().open_store("rows:", Setup::new()).await.expect("it is linked");
    let mut batch = Batch::new();
    batch.put(Namespace::new("n"), "key", "value");
    store.save(batch).await.expect("it saves");
    let value = store.load(&Namespace::new("n"), b"key").await.expect("it loads");
    assert_eq!(value.as_deref(), Some(&b"value"[..]));
}
