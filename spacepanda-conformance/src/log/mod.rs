//! The contract of [`CrdtStore`], one case per sentence of its documentation.
//!
//! An implementation's crate runs it as a test with `harness = false`, whose `main` is
//! `run(factory)`. A log store that reads through something that answers before it saves should be run
//! twice: once where [`LogPlace::save`] saves, once where it only makes the batch visible.

mod append;
mod bench;
mod body;
mod entries;
mod frontier;
mod missing;
mod model;
mod placement;
mod runner;

use std::sync::Arc;

use async_trait::async_trait;
use spacepanda_core::{
    base::Result,
    store::{Batch, CrdtStore},
};

pub use crate::case::Failure;
pub use runner::{Case, cases, run};

/// Makes the places in which the log store under test keeps its logs.
#[async_trait]
pub trait LogFactory: Send + Sync + 'static {
    /// Makes an empty place, which belongs to one case.
    ///
    /// # Errors
    /// As the store below has them; the case fails.
    async fn place(&self) -> Result<Arc<dyn LogPlace>>;
}

/// Where logs are kept.
#[async_trait]
pub trait LogPlace: Send + Sync + 'static {
    /// Opens the log store over what was saved here. One is open at a time; before the next call the
    /// one before is dropped.
    ///
    /// # Errors
    /// As the log store has them; the case fails.
    async fn open(&self) -> Result<Arc<dyn CrdtStore>>;

    /// Saves a batch; when it returns, the open log store sees it.
    ///
    /// # Errors
    /// As the store below has them; the case fails.
    async fn save(&self, batch: Batch) -> Result<()>;
}
