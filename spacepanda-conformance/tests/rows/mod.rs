use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::Result,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
};

/// Rows in memory, and nothing else.
#[derive(Default)]
pub(crate) struct Rows(Mutex<BTreeMap<(Namespace, Bytes), Bytes>>);

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
