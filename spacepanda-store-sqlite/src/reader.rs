//! The threads that read: as many as there are connections for it, fed by one queue.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;
use spacepanda_core::base::Result;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{closed, failed, unanswered},
    thread,
};

/// Reads that wait for a thread.
pub(crate) const READS_MAX: usize = 256;

/// A read, with its answer's way back.
pub(crate) type Read = Box<dyn FnOnce(&Connection) + Send>;

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

/// Has one thread for each connection do reads, until nobody can ask any more.
pub(crate) fn spawn(
    connections: Vec<Connection>,
    reads: mpsc::Receiver<Read>,
) -> Result<Vec<JoinHandle<()>>> {
    let reads = Arc::new(Mutex::new(reads));
    let work = |connection| {
        let reads = Arc::clone(&reads);
        thread::spawn("sqlite-read", move || work(&connection, &reads))
    };
    connections.into_iter().map(work).collect()
}

fn work(connection: &Connection, reads: &Mutex<mpsc::Receiver<Read>>) {
    while let Some(read) = next(reads) {
        read(connection);
    }
}

// The lock is held while waiting: one thread waits for the queue, the others for the lock.
fn next(reads: &Mutex<mpsc::Receiver<Read>>) -> Option<Read> {
    reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}
