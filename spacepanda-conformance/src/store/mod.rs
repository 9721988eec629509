//! The contract of [`ProviderStorageBackend`], one case per sentence of its documentation.
//!
//! A backend's crate runs it as a test with `harness = false`:
//!
//! ```no_run
//! use std::{path::Path, process::ExitCode, sync::Arc};
//!
//! use spacepanda_conformance::store::{StoreFactory, run};
//! use spacepanda_core::{base::Result, store::ProviderStorageBackend};
//! # async fn my_store(_: &Path) -> Result<Arc<dyn ProviderStorageBackend>> { unreachable!() }
//!
//! struct Mine;
//!
//! #[async_trait::async_trait]
//! impl StoreFactory for Mine {
//!     async fn open(&self, place: &Path) -> Result<Arc<dyn ProviderStorageBackend>> {
//!         my_store(&place.join("store")).await
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     run(Mine)
//! }
//! ```

mod atomic;
mod bench;
mod closing;
mod durable;
mod exclusive;
mod limit;
mod load;
mod model;
mod order;
mod runner;
mod save;
mod scan;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use spacepanda_core::{base::Result, store::ProviderStorageBackend};

pub use crate::case::Failure;
pub use runner::{Case, cases, run};

/// Opens the store under test.
#[async_trait]
pub trait StoreFactory: Send + Sync + 'static {
    /// Opens the store that is kept in the folder `place`, or makes it.
    ///
    /// `place` exists, is empty at first, and belongs to one case. A case about durability or
    /// exclusiveness opens the same place more than once; every other case opens it once, so that a
    /// store that keeps nothing there may ignore it.
    ///
    /// # Errors
    /// As the backend has them. A place that is open already is `Locked` if exclusiveness is declared.
    async fn open(&self, place: &Path) -> Result<Arc<dyn ProviderStorageBackend>>;
}
