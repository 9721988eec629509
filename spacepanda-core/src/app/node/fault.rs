use std::mem::take;

use tokio::time::sleep;

use super::{driver::Driver, ending::not_saved, machinery::Machinery, reads::Kept};
use crate::{
    app::{
        engine::{AppError, Event},
        os,
    },
    base::{Error, ErrorKind, Result},
};

/// Failures in a row after which the node closes.
pub(super) const FAILURES_MAX: u32 = 5;

/// Why the machine does not go on.
pub(super) enum Fault {
    /// What it knows may not be what is kept: everything is loaded again.
    Again(Error),
    /// It says itself that it cannot go on.
    Ends(AppError),
}

impl Fault {
    /// A step that asks for more and more.
    pub(super) fn rounds(max: usize) -> Self {
        let sentence = format!("make a step: more is asked for after {max} rounds of loading");
        Self::Again(Error::new(ErrorKind::Conflict, sentence))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Again(error)
    }
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        Self::Ends(error)
    }
}

impl<M: Machinery> Driver<M> {
    /// Drops what was not saved, and the machine; after a pause opens the store again, with a new
    /// machine, and tells that. A call that is made once that is told is answered by the new machine.
    ///
    /// # Errors
    /// Why the node cannot go on; also if it is being closed.
    pub(super) async fn recover(&mut self, fault: Fault) -> Result<(), AppError> {
        let mut error = match fault {
            Fault::Again(error) => error,
            Fault::Ends(error) => return Err(error),
        };
        if self.saves.in_flight() {
            match self.saves.end().await {
                Ok(outcomes) => {
                    self.mirroring.saved(self.saves.saved());
                    self.release(outcomes)?;
                }
                // A read that failed because this save did tells less.
                Err(save) => error = save,
            }
        }
        self.drop_unsaved(&error);
        loop {
            self.failures += 1;
            if self.started.is_some() || self.failures >= FAILURES_MAX {
                return Err(self.gives_up(&error));
            }
            if self.closes_within_pause().await? {
                return Err(not_saved(&error));
            }
            match Kept::open(self.backend.clone()).await {
                Ok(kept) => {
                    self.saves.resume(kept.generation());
                    self.kept = kept;
                    self.machine = (self.make)();
                    self.begin();
                    // Perhaps nobody listens.
                    let _ = self.events.send(Event::Reloaded);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }

    fn drop_unsaved(&mut self, error: &Error) {
        tracing::warn!(kind = ?error.kind(), "the store failed; what was not saved is dropped");
        self.saves.drop_gathered();
        self.links.close_all();
        self.dials.abandon();
        let failed = AppError::retryable(
            "store.failed",
            format!(
                "The store failed before this was done: {error}. Nothing of it was sent. The node \
                 reads again what is kept and goes on; look there, then try again."
            ),
        );
        for (_, answer) in take(&mut self.calls) {
            // Whoever called may have given up.
            let _ = answer.send(Err(failed.clone()));
        }
    }

    fn gives_up(&self, error: &Error) -> AppError {
        if self.started.is_some() {
            let sentence = format!(
                "The store failed while the node opened: {error}. Nothing was sent, and the node is \
                 not open. Look at the store, then open the node again."
            );
            return AppError::retryable("store.failed", sentence);
        }
        let sentence = format!(
            "The store failed {FAILURES_MAX} times in a row, the last time because of this: {error}. \
             What was saved before is kept, and the node has closed. Look at the store, then open \
             the node again."
        );
        AppError::new("store.failed", sentence)
    }

    async fn closes_within_pause(&mut self) -> Result<bool, AppError> {
        let seed = os::seed()?;
        let (random, _) = seed.expose().split_at(8);
        let random = random.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let pause = self.backoff.next(random);
        Ok(tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => true,
            () = sleep(pause) => false,
        })
    }
}
