//! The one thread that writes.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use spacepanda_core::{base::Result, store::Batch};
use tokio::sync::{mpsc, oneshot};

use crate::{
    entry,
    error::{closed, failed, unanswered},
};

/// Waiting batches that are saved together, at most.
const GROUP_MAX: usize = 64;
/// Bytes from which on no further waiting batch is added to them.
const GROUP_LEN_MAX: usize = 4 * 1024 * 1024;

/// The way to the thread.
///
/// It has no size of its own: a batch must have its place in the order as soon as `save` is called,
/// and a queue that is full could give it none. Each batch belongs to a call that somebody waits for,
/// and leaves the queue when nobody does.
pub(crate) type Saves = mpsc::UnboundedSender<Save>;

/// A batch, with its answer's way back.
#[derive(Debug)]
pub(crate) struct Save {
    batch: Slot,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<()>>;

/// A batch that is the thread's or the caller's, whoever takes it first.
#[derive(Debug, Clone)]
struct Slot(Arc<Mutex<Option<Batch>>>);

impl Slot {
    fn take(&self) -> Option<Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Takes a batch back from the queue when its caller is gone.
struct Call(Slot);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// Has the writing thread save `batch`. If the future is dropped before the thread took the batch it is
/// not saved, and afterwards it is.
pub(crate) async fn save(saves: Saves, batch: Batch) -> Result<()> {
    let (answer, answered) = oneshot::channel();
    let batch = Slot(Arc::new(Mutex::new(Some(batch))));
    let _call = Call(batch.clone());
    saves.send(Save { batch, answer }).map_err(|_| closed())?;
    // The thread ends with the last sender: one that only waits for its answer must not hold it.
    drop(saves);
    answered.await.map_err(|_| unanswered())?
}

/// Saves batches, in the order of the queue, until nobody can ask any more.
pub(crate) fn work(connection: &mut Connection, mut saves: mpsc::UnboundedReceiver<Save>) {
    while let Some(first) = saves.blocking_recv() {
        save_group(connection, group(first, &mut saves));
    }
}

/// `first` and what waits behind it already.
fn group(first: Save, saves: &mut mpsc::UnboundedReceiver<Save>) -> Vec<(Batch, Answer)> {
    let mut group = Vec::new();
    let mut len = 0;
    let mut next = Some(first);
    while let Some(save) = next {
        if let Some(batch) = save.batch.take() {
            len += batch.bytes();
            group.push((batch, save.answer));
        }
        let room = len < GROUP_LEN_MAX && group.len() < GROUP_MAX;
        next = room.then(|| saves.try_recv().ok()).flatten();
    }
    group
}

// A commit waits for the disk, however much is in it: batches that wait share one. If it fails each
// is tried alone, so that none fails for another's sake.
fn save_group(connection: &mut Connection, group: Vec<(Batch, Answer)>) {
    let shared =
        group.len() > 1 && commit(connection, group.iter().map(|(batch, _)| batch)).is_ok();
    for (batch, answer) in group {
        let saved = if shared { Ok(()) } else { commit(connection, [&batch]) };
        // Whoever asked may have gone meanwhile: the batch holds all the same.
        let _ = answer.send(saved.map_err(|error| failed("save a batch", error)));
    }
}

fn commit<'a>(
    connection: &mut Connection,
    batches: impl IntoIterator<Item = &'a Batch>,
) -> rusqlite::Result<()> {
    // Rolled back when dropped before the commit, and after one that failed.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in batches.into_iter().flat_map(Batch::changes) {
        entry::apply(&transaction, change)?;
    }
    transaction.commit()
}
