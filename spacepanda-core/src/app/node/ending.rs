use std::mem::take;

use super::{driver::Driver, machinery::Machinery};
use crate::{app::engine::AppError, base};

impl<M: Machinery> Driver<M> {
    /// Saves what is gathered, answers what is left, and lets go of links, transport and store.
    ///
    /// # Errors
    /// `ended`'s; else why it was not in good order.
    pub(super) async fn finish(mut self, ended: Result<(), AppError>) -> Result<(), AppError> {
        self.requests.close();
        let ended = match ended {
            Ok(()) => self.save_all().await,
            Err(error) => Err(error),
        };
        self.answer_all(ended.as_ref().err());
        self.links.finish().await;
        self.mirroring.finish().await;
        let transport = self.transport.close().await.map_err(AppError::from);
        let store = self.backend.close().await.map_err(AppError::from);
        ended.and(store).and(transport)
    }

    async fn save_all(&mut self) -> Result<(), AppError> {
        while self.saves.in_flight() {
            let outcomes = self.saves.end().await.map_err(|error| not_saved(&error))?;
            self.mirroring.saved(self.saves.saved());
            self.release(outcomes)?;
            self.save()?;
        }
        Ok(())
    }

    fn answer_all(&mut self, error: Option<&AppError>) {
        let error = error.cloned().unwrap_or_else(closed);
        if let Some(started) = self.started.take() {
            // Whoever opens the node may have given up.
            let _ = started.send(Err(error.clone()));
        }
        for (_, answer) in take(&mut self.calls) {
            // Whoever called may have given up.
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// What every call is answered once the node has closed in good order.
pub(super) fn closed() -> AppError {
    AppError::new(
        "node.closed",
        "The node is closed: this was not done. What was saved is kept; open the node again to go on.",
    )
}

/// Why a node was not closed in good order.
pub(super) fn not_saved(error: &base::Error) -> AppError {
    AppError::new(
        "store.failed",
        format!(
            "The store failed while the node closed: {error}. The last changes were neither kept nor \
             sent; everything before them is kept. Look at the store, then open the node again."
        ),
    )
}
