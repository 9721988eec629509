use std::sync::Arc;

use spacepanda_core::{register_store, registry::StoreBackend, store::ProviderStorageBackend};

use crate::{SqliteStore, path_from_url};

/// Opens the store in the file that a URL such as `sqlite:///folder/file.db` names.
pub static BACKEND: StoreBackend = StoreBackend {
    scheme: "sqlite",
    description: "One SQLite file",
    open: |url, _| {
        Box::pin(async move {
            let store = SqliteStore::open(path_from_url(&url)?).await?;
            Ok(Arc::new(store) as Arc<dyn ProviderStorageBackend>)
        })
    },
};
register_store!(BACKEND);
