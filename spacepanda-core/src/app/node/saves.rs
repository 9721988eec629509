use std::{future::pending, mem::take};

use tokio::task::JoinHandle;

use super::reads::Kept;
use crate::{
    app::engine::{Act, Effects, Tell},
    base::{Error, ErrorKind, Result},
};

/// Steps gathered for one save, after which no further step is made until it began.
const GATHERED_STEPS_MAX: usize = 1_024;
/// Bytes gathered for one save, its frames included.
const GATHERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What one step does once it is durable: first the acts, then the tells.
pub(super) struct Outcome {
    pub(super) acts: Vec<Act>,
    pub(super) tells: Vec<Tell>,
}

/// One save in flight, and what is gathered for the next one.
///
/// An outcome comes out once everything staged up to its step is saved, in the order of the steps.
pub(super) struct Saves {
    /// Which batch was saved last, counted over all runs.
    saved: u64,
    saving: Option<Saving>,
    next: Gathered,
}

struct Saving {
    task: JoinHandle<Result<()>>,
    then: Vec<Outcome>,
}

#[derive(Default)]
struct Gathered {
    outcomes: Vec<Outcome>,
    bytes: usize,
    saves: bool,
}

impl Saves {
    /// Nothing gathered; the store holds batches up to `generation`.
    pub(super) fn new(generation: u64) -> Self {
        Self { saved: generation, saving: None, next: Gathered::default() }
    }

    /// The number of the batch that was saved last.
    pub(super) fn saved(&self) -> u64 {
        self.saved
    }

    /// Counts on from what the store holds, after it was opened again.
    pub(super) fn resume(&mut self, generation: u64) {
        self.saved = generation;
    }

    /// Whether another step may be made now.
    pub(super) fn has_room(&self) -> bool {
        self.next.outcomes.len() < GATHERED_STEPS_MAX && self.next.bytes < GATHERED_BYTES_MAX
    }

    /// Whether a save is in flight.
    pub(super) fn in_flight(&self) -> bool {
        self.saving.is_some()
    }

    /// Whether the save in flight has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.saving.as_ref().is_some_and(|saving| saving.task.is_finished())
    }

    /// Gathers a step that staged `staged` bytes, if it staged anything.
    pub(super) fn gather(&mut self, effects: Effects, staged: Option<usize>) {
        let Effects { acts, tells, .. } = effects;
        let frames = acts.iter().map(|act| match act {
            Act::Send(_, frame) => frame.len(),
            Act::Dial(..) | Act::Close(_) => 0,
        });
        self.next.bytes += frames.sum::<usize>() + staged.unwrap_or(0);
        self.next.saves |= staged.is_some();
        self.next.outcomes.push(Outcome { acts, tells });
    }

    /// Begins the next save if none is in flight; what needs none comes out at once.
    pub(super) fn begin(&mut self, kept: &Kept) -> Vec<Outcome> {
        if self.in_flight() {
            return Vec::new();
        }
        let gathered = take(&mut self.next);
        if !gathered.saves {
            return gathered.outcomes;
        }
        kept.number(self.saved + 1);
        let kept = kept.clone();
        // A task of its own: the save goes on while further steps load, and if the node is dropped.
        let task = tokio::spawn(async move { kept.flush().await });
        self.saving = Some(Saving { task, then: gathered.outcomes });
        Vec::new()
    }

    /// Waits for the save in flight, for ever if there is none, and returns what was saved. Cancel
    /// safe.
    ///
    /// # Errors
    /// The store's; then nothing of it may come out.
    pub(super) async fn end(&mut self) -> Result<Vec<Outcome>> {
        let Some(saving) = &mut self.saving else { return pending().await };
        let saved = (&mut saving.task).await;
        let then = self.saving.take().map(|saving| saving.then).unwrap_or_default();
        match saved {
            Ok(Ok(())) => {
                self.saved += 1;
                Ok(then)
            }
            Ok(Err(error)) => Err(error),
            Err(error) => {
                Err(Error::new(ErrorKind::Unavailable, "save: it was cut off").with_source(error))
            }
        }
    }

    /// Drops what is gathered.
    pub(super) fn drop_gathered(&mut self) {
        self.next = Gathered::default();
    }
}
