use std::thread::{Builder, JoinHandle};

use spacepanda_core::base::{Error, ErrorKind, Result};

/// Runs `work` on a thread called `name`.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "start a thread of the SQLite store").with_source(error)
    })
}

/// Waits until `thread` has ended. One that panicked has let go of everything too.
pub(crate) fn end(thread: JoinHandle<()>) {
    let _ = thread.join();
}
