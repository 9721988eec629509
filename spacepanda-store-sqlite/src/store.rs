use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::Result,
    store::{
        Batch, Capability, Namespace, Page, ProviderStorageBackend,
        limit::{check_batch, check_key, check_page},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    entry,
    error::{closed, unanswered},
    place::Place,
    reader::{self, READS_MAX, Read},
    schema, thread,
    writer::{self, Saves},
};

/// Connections that read, each on a thread of its own.
const READERS: usize = 2;

/// Keeps everything in one SQLite file.
///
/// It is durable and exclusive. One thread writes and others read, so that no call blocks the thread
/// it is made on, whatever runtime that belongs to. A `save` has its place in the order from its first
/// poll on; if it is dropped it is left out, unless the writing thread has begun it, and then it is
/// applied whole. More than 256 reads at once wait in a line for their place, in which `close` waits
/// for them: go on polling them.
///
/// Dropping it without `close` waits on the spot for what is under way, then lets go of the file.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` once closed.
    queues: Mutex<Option<Queues>>,
    /// The one that writes, which ends last.
    thread: Option<JoinHandle<()>>,
    /// Ends when the file is let go of.
    open: watch::Receiver<()>,
}

#[derive(Debug)]
struct Queues {
    saves: Saves,
    reads: mpsc::Sender<Read>,
}

impl SqliteStore {
    /// Opens the store in the file `path`, or makes it; the folder must exist. A file that it makes can
    /// be read by its owner alone (on Unix). Beside it there are `path` with `.lock`, which stays, and
    /// `-wal` and `-shm` while it is open.
    ///
    /// # Cancel safety
    /// If the future is dropped the place is let go of, though perhaps a moment later.
    ///
    /// # Errors
    /// `Locked` while another instance has it open, in this or another process; `Config` for a path
    /// that cannot be one, or the SQLite file of another program; `Unsupported` if a newer version
    /// wrote it; `Corrupt` if it is damaged or no SQLite file; `Unavailable` otherwise.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let (answer, opened) = oneshot::channel();
        thread::spawn("sqlite-open", move || {
            let _ = answer.send(Self::open_blocking(&path));
        })?;
        opened.await.map_err(|_| unanswered())?
    }

    fn open_blocking(path: &Path) -> Result<Self> {
        let place = Place::take(path)?;
        let (saves, to_save) = mpsc::unbounded_channel();
        let (reads, to_read) = mpsc::channel(READS_MAX);
        let mut writer = schema::open_writer(place.path())?;
        let readers =
            (0..READERS).map(|_| schema::open_reader(place.path())).collect::<Result<Vec<_>>>()?;
        let readers = reader::spawn(readers, to_read)?;
        let (open, opened) = watch::channel(());
        let thread = thread::spawn("sqlite-write", move || {
            writer::work(&mut writer, to_save);
            // SQLite tidies its log away when the last connection closes, but not if two close at
            // once. Whoever waits for the end finds every connection closed and the place free.
            readers.into_iter().for_each(thread::end);
            drop(writer);
            drop(place);
            drop(open);
        })?;
        let queues = Mutex::new(Some(Queues { saves, reads }));
        Ok(Self { queues, thread: Some(thread), open: opened })
    }

    fn saves(&self) -> Result<Saves> {
        self.queues().as_ref().map(|queues| queues.saves.clone()).ok_or_else(closed)
    }

    fn reads(&self) -> Result<mpsc::Sender<Read>> {
        self.queues().as_ref().map(|queues| queues.reads.clone()).ok_or_else(closed)
    }

    // Nothing that runs under the lock can panic, so poison means nothing.
    fn queues(&self) -> MutexGuard<'_, Option<Queues>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        *self.queues() = None;
        self.thread.take().into_iter().for_each(thread::end);
    }
}

#[async_trait]
impl ProviderStorageBackend for SqliteStore {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let reads = self.reads()?;
        check_key(key)?;
        let (namespace, key) = (namespace.clone(), key.to_vec());
        let load = move |connection: &_| entry::load(connection, &namespace, &key);
        reader::ask(reads, "load a value", load).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let reads = self.reads()?;
        check_page(&page)?;
        let namespace = namespace.clone();
        let scan = move |connection: &_| entry::scan(connection, &namespace, &page);
        reader::ask(reads, "scan a namespace", scan).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let saves = self.saves()?;
        check_batch(&batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        writer::save(saves, batch).await
    }

    async fn close(&self) -> Result<()> {
        *self.queues() = None;
        let mut open = self.open.clone();
        // Nothing is ever sent: it ends when the thread has dropped its end.
        while open.changed().await.is_ok() {}
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE.durable().exclusive()
    }
}
