use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use spacepanda_core::base::{Error, ErrorKind, Result};
use tokio::sync::watch;

use crate::place::Place;

/// What a thread of the store owns, let go of in this order: who waits for the end of all threads
/// finds every connection closed and the place free.
pub(crate) struct Worker {
    pub(crate) connection: Connection,
    pub(crate) place: Arc<Place>,
    pub(crate) alive: watch::Sender<()>,
}

impl Worker {
    /// Runs `work` on a thread of its own.
    pub(crate) fn spawn(
        self,
        name: &str,
        work: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        spawn(name, move || {
            let Self { mut connection, place, alive } = self;
            work(&mut connection);
            drop(connection);
            drop(place);
            drop(alive);
        })
    }
}

/// Runs `work` on a thread called `name`.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "start a thread of the SQLite store").with_source(error)
    })
}
