mod layers;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Batch, Capability, Namespace, Page, ProviderStorageBackend, checked};
use crate::base::{
    Error, ErrorKind, Result,
    limits::{KEY_LEN_MAX, PAGE_LIMIT_MAX, VALUE_LEN_MAX},
};
use layers::{Layers, Pin};

/// Answers from what is staged and not yet saved before it asks the backend.
///
/// [`stage`](Self::stage) makes a batch visible to every reader at once; [`flush`](Self::flush) saves
/// everything staged as one batch. One save is in flight at a time: what is staged meanwhile is
/// gathered for the next. A row is visible from the moment it was staged, without a gap while its save
/// returns.
///
/// If a save fails, or its future is dropped, everything staged is dropped, that of later batches
/// included: whoever staged it must drop the state it came from and load again.
///
/// It is itself a [`ProviderStorageBackend`], whose `save` stages and flushes, so that whatever reads a
/// store reads what is staged too.
#[derive(Debug)]
pub struct Staged<S: ProviderStorageBackend + ?Sized> {
    layers: Mutex<Layers>,
    flushing: tokio::sync::Mutex<()>,
    backend: Arc<S>,
}

impl<S: ProviderStorageBackend + ?Sized> Staged<S> {
    /// Nothing staged over `backend`, which nobody else may write to.
    pub fn new(backend: Arc<S>) -> Self {
        let layers = Mutex::new(Layers::default());
        Self { layers, flushing: tokio::sync::Mutex::new(()), backend }
    }

    /// Makes `batch` visible; the next [`flush`](Self::flush) saves it.
    ///
    /// Sizes are not checked here: a key or value above its limit makes the flush fail.
    pub fn stage(&self, batch: Batch) {
        self.layers().stage(batch);
    }

    /// Whether nothing waits for a flush. What is being saved no longer waits.
    pub fn is_empty(&self) -> bool {
        self.layers().is_empty()
    }

    /// Saves everything staged as one batch, after the save under way; of changes to one key only the
    /// last is saved. Without anything staged it does nothing.
    ///
    /// # Cancel safety
    /// If the future is dropped while it waits, nothing is lost; during the save it counts as a failed
    /// one.
    ///
    /// # Errors
    /// The backend's; `Unavailable` if a save that failed meanwhile dropped what was staged. Nothing is
    /// staged any more then.
    pub async fn flush(&self) -> Result<()> {
        let failures = self.layers().failures();
        self.flush_since(failures).await
    }

    async fn flush_since(&self, failures: u64) -> Result<()> {
        let _flushing = self.flushing.lock().await;
        if self.layers().failures() != failures {
            return Err(lost("save"));
        }
        let Some(batch) = self.layers().begin_save() else { return Ok(()) };
        let mut saving = Saving { layers: &self.layers, saved: false };
        let result = self.backend.save(batch).await;
        saving.saved = result.is_ok();
        result
    }

    fn layers(&self) -> MutexGuard<'_, Layers> {
        lock(&self.layers)
    }

    /// Reads pages of the backend until, merged with what is staged, they fill one page.
    async fn merged(&self, namespace: &Namespace, page: &Page) -> Result<Vec<(Bytes, Bytes)>> {
        let reader = Reader::new(&self.layers);
        let mut saved = Vec::new();
        let mut next = page.clone();
        loop {
            let found = checked::scan(&*self.backend, namespace, next.clone()).await?;
            let ended = found.len() < next.limit;
            saved.extend(found);
            let layers = self.layers();
            if layers.failures() != reader.failures {
                return Err(lost("scan"));
            }
            let merged = layers.merge(reader.pin, namespace, page, &saved, ended);
            if ended || merged.len() == page.limit {
                return Ok(merged);
            }
            next.after = saved.last().map(|(key, _)| key.clone());
            next.limit = next.limit.saturating_mul(2).min(PAGE_LIMIT_MAX);
        }
    }
}

#[async_trait]
impl<S: ProviderStorageBackend + ?Sized> ProviderStorageBackend for Staged<S> {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let staged = self.layers().load(namespace, key);
        match staged {
            Some(value) => Ok(value),
            None => checked::load(&*self.backend, namespace, key).await,
        }
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        if page.limit > PAGE_LIMIT_MAX {
            return Err(too_large("scan", "page"));
        }
        if page.limit == 0 {
            return self.backend.scan(namespace, page).await;
        }
        self.merged(namespace, &page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        for change in batch.changes() {
            if change.key().len() > KEY_LEN_MAX {
                return Err(too_large("save", "key"));
            }
            if change.value().is_some_and(|value| value.len() > VALUE_LEN_MAX) {
                return Err(too_large("save", "value"));
            }
        }
        let failures = {
            let mut layers = self.layers();
            layers.stage(batch);
            layers.failures()
        };
        self.flush_since(failures).await
    }

    /// Waits for the save under way, drops what is staged, and closes the backend.
    async fn close(&self) -> Result<()> {
        let _flushing = self.flushing.lock().await;
        self.layers().clear();
        self.backend.close().await
    }

    fn capability(&self) -> Capability {
        self.backend.capability()
    }
}

/// Ends a save however its future ends: dropped counts as failed.
struct Saving<'a> {
    layers: &'a Mutex<Layers>,
    saved: bool,
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        lock(self.layers).end_save(self.saved);
    }
}

/// Keeps what is saved during a scan at hand until the scan ends.
struct Reader<'a> {
    layers: &'a Mutex<Layers>,
    pin: Pin,
    failures: u64,
}

impl<'a> Reader<'a> {
    fn new(layers: &'a Mutex<Layers>) -> Self {
        let mut guard = lock(layers);
        Self { layers, pin: guard.pin(), failures: guard.failures() }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        lock(self.layers).unpin(self.pin);
    }
}

fn lock(layers: &Mutex<Layers>) -> MutexGuard<'_, Layers> {
    layers.lock().expect("no panic while held")
}

fn lost(verb: &str) -> Error {
    let sentence = format!("{verb}: a save failed meanwhile, and what was staged is gone");
    Error::new(ErrorKind::Unavailable, sentence)
}

fn too_large(verb: &str, what: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{verb}: a {what} is above its limit"))
}
