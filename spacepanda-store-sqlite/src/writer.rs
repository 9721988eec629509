//! The one thread that writes.

use rusqlite::{Connection, TransactionBehavior};
use spacepanda_core::{base::Result, store::Batch};
use tokio::sync::{mpsc, oneshot};

use crate::{
    entry,
    error::{closed, failed, unanswered},
};

/// Batches that wait for the thread.
pub(crate) const SAVES_MAX: usize = 64;
/// Bytes from which on waiting batches are no longer saved together.
const GROUP_LEN_MAX: usize = 4 * 1024 * 1024;

/// A batch, with its answer's way back.
pub(crate) struct Save {
    batch: Batch,
    answer: oneshot::Sender<Result<()>>,
}

/// Has the writing thread save `batch`. Once it is in the queue it is saved, asked for or not.
pub(crate) async fn save(saves: mpsc::Sender<Save>, batch: Batch) -> Result<()> {
    let (answer, answered) = oneshot::channel();
    saves.send(Save { batch, answer }).await.map_err(|_| closed())?;
    // The thread ends with the last sender: one that only waits for its answer must not hold it.
    drop(saves);
    answered.await.map_err(|_| unanswered())?
}

/// Saves batches, in the order of the queue, until nobody can ask any more.
pub(crate) fn work(connection: &mut Connection, mut saves: mpsc::Receiver<Save>) {
    while let Some(first) = saves.blocking_recv() {
        save_group(connection, group(first, &mut saves));
    }
}

/// `first` and what waits behind it already.
fn group(first: Save, saves: &mut mpsc::Receiver<Save>) -> Vec<Save> {
    let mut len = first.batch.bytes();
    let mut group = vec![first];
    while len < GROUP_LEN_MAX && group.len() < SAVES_MAX {
        let Ok(next) = saves.try_recv() else { break };
        len += next.batch.bytes();
        group.push(next);
    }
    group
}

// A commit waits for the disk, however much is in it: batches that wait share one. If it fails each
// is tried alone, so that none fails for another's sake.
fn save_group(connection: &mut Connection, group: Vec<Save>) {
    let shared =
        group.len() > 1 && commit(connection, group.iter().map(|save| &save.batch)).is_ok();
    for Save { batch, answer } in group {
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
