use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::Result,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
};

type Place = (Namespace, Bytes);

/// What one node keeps, crashes or not. A save is seen at once, but is only durable once it is
/// [`settled`](Self::settle); until then a crash may take it back.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    rows: BTreeMap<Place, Bytes>,
    /// What the rows of the last save were before it, in the order in which they changed.
    before: Vec<(Place, Option<Bytes>)>,
}

impl Disk {
    /// The last save is durable.
    pub(super) fn settle(&self) {
        self.rows().before.clear();
    }

    /// The last save never happened, unless it was settled.
    pub(super) fn take_back(&self) {
        let mut held = self.rows();
        while let Some((place, value)) = held.before.pop() {
            held.set(place, value);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn set(&mut self, place: Place, value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => self.rows.insert(place, value),
            None => self.rows.remove(&place),
        }
    }
}

#[async_trait]
impl ProviderStorageBackend for Disk {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let place = (namespace.clone(), Bytes::copy_from_slice(key));
        Ok(self.rows().rows.get(&place).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let first = match &page.after {
            Some(after) if *after >= page.prefix => {
                Bound::Excluded((namespace.clone(), after.clone()))
            }
            _ => Bound::Included((namespace.clone(), page.prefix.clone())),
        };
        let held = self.rows();
        let found = held
            .rows
            .range((first, Bound::Unbounded))
            .take_while(|((of, key), _)| of == namespace && key.starts_with(&page.prefix));
        Ok(found.take(page.limit).map(|((_, key), row)| (key.clone(), row.clone())).collect())
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let mut held = self.rows();
        for change in batch.into_changes() {
            let place = (change.namespace().clone(), change.key().clone());
            let was = held.set(place.clone(), change.value().cloned());
            held.before.push((place, was));
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE.durable()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const ROWS: Namespace = Namespace::new("rows");

    #[test]
    fn a_save_that_is_not_settled_can_be_taken_back() {
        let disk = Disk::default();
        save(&disk, &[("a", Some("1")), ("b", Some("1"))]);
        disk.settle();
        save(&disk, &[("a", Some("2")), ("a", Some("3")), ("b", None), ("c", Some("1"))]);
        disk.take_back();
        disk.take_back();
        let rows: Vec<_> =
            disk.rows().rows.iter().map(|(at, row)| (at.1.clone(), row.clone())).collect();
        assert_eq!(rows, [("a".into(), "1".into()), ("b".into(), "1".into())]);
    }

    fn save(disk: &Disk, changes: &[(&'static str, Option<&'static str>)]) {
        let mut batch = Batch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(ROWS, *key, *value),
                None => batch.delete(ROWS, *key),
            }
        }
        disk.save(batch).now_or_never().unwrap().unwrap();
    }
}
