//! The threads that read: as many as there are connections for it, fed by one queue.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use spacepanda_core::base::Result;
use tokio::sync::{mpsc, oneshot};

use crate::error::{closed, failed, unanswered};

/// Reads that wait for a thread.
pub(crate) const READS_MAX: usize = 256;

/// A read, with its answer's way back.
pub(crate) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The queue's end that all reading threads take from.
pub(crate) type Reads = Arc<Mutex<mpsc::Receiver<Read>>>;

/// Has a reading thread do `read`. A read whose asker is gone is left out.
pub(crate) async fn ask<T: Send + 'static>(
    reads: mpsc::Sender<Read>,
    attempt: &'static str,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let read: Read = Box::new(move |connection| {
        if !answer.is_closed() {
            // Whoever asked may have gone meanwhile: then nobody misses it.
            let _ = answer.send(read(connection).map_err(|error| failed(attempt, error)));
        }
    });
    reads.send(read).await.map_err(|_| closed())?;
    // The threads end with the last sender: one that only waits for its answer must not hold them.
    drop(reads);
    answered.await.map_err(|_| unanswered())?
}

/// Does reads until nobody can ask any more.
pub(crate) fn work(connection: &Connection, reads: &Reads) {
    while let Some(read) = next(reads) {
        read(connection);
    }
}

// The lock is held while waiting: one thread waits for the queue, the others for the lock.
fn next(reads: &Reads) -> Option<Read> {
    reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}
