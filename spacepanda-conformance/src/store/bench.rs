use std::sync::Arc;

use bytes::Bytes;
use spacepanda_core::{
    base::{Error, ErrorKind, Result, limits::PAGE_LIMIT_MAX},
    store::{Batch, Namespace, Page, ProviderStorageBackend},
};
use tempfile::TempDir;

use super::StoreFactory;

/// The namespace of cases that need only one.
pub(super) const ONE: Namespace = Namespace::new("one");
/// Another one.
pub(super) const OTHER: Namespace = Namespace::new("other");

/// An open store.
pub(super) type Store = Arc<dyn ProviderStorageBackend>;
/// What a scan returns.
pub(super) type Entries = Vec<(Bytes, Bytes)>;

/// What a case is given: the factory, and a folder of its own.
pub(super) struct Bench {
    factory: Arc<dyn StoreFactory>,
    place: TempDir,
}

impl Bench {
    pub(super) fn new(factory: Arc<dyn StoreFactory>) -> Result<Self> {
        let place = tempfile::tempdir().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "make a folder for the case").with_source(error)
        })?;
        Ok(Self { factory, place })
    }

    /// Opens the store in this case's folder.
    pub(super) async fn open(&self) -> Result<Store> {
        self.factory.open(self.place.path()).await
    }

    /// Opens a store and fills [`ONE`] with `keys`, each of which is its own value.
    pub(super) async fn filled(&self, keys: &[&[u8]]) -> Result<Store> {
        let store = self.open().await?;
        let mut batch = Batch::new();
        for key in keys {
            batch.put(ONE, key.to_vec(), key.to_vec());
        }
        store.save(batch).await?;
        Ok(store)
    }
}

/// A batch that sets one value in [`ONE`].
pub(super) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.put(ONE, key, value);
    batch
}

/// A key or value that says a number, in its order.
pub(super) fn number(number: usize) -> Bytes {
    Bytes::from(format!("{number:08}"))
}

/// Everything in [`ONE`] that begins with `prefix`, up to one page.
pub(super) fn page(prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Page {
    Page { prefix: Bytes::copy_from_slice(prefix), after: after.map(Bytes::copy_from_slice), limit }
}

/// The keys of one scan of [`ONE`].
pub(super) async fn keys(store: &Store, page: Page) -> Result<Vec<Bytes>> {
    Ok(store.scan(&ONE, page).await?.into_iter().map(|(key, _)| key).collect())
}

/// Everything in `namespace`, up to one page.
pub(super) async fn all(store: &Store, namespace: &Namespace) -> Result<Entries> {
    store.scan(namespace, page(b"", None, PAGE_LIMIT_MAX)).await
}
