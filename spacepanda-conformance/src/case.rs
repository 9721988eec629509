//! What the cases of every port share: a runtime, a time limit, and words for a failure.

use std::{
    any::Any,
    fmt::{self, Debug},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use spacepanda_core::base::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Runtime};

/// How long a case may take; one that hangs is a case that failed.
const CASE_DURATION_MAX: Duration = Duration::from_secs(120);

/// Why a case failed, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// The failure of a case in which `port` answered with an error that nobody expected.
    pub(crate) fn of_port(port: &str, error: &Error) -> Self {
        Self(format!("the {port} failed with {:?}: {error}", error.kind()))
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self(text.unwrap_or("it panicked").to_owned())
    }
}

/// Makes the runtime of one case, with `workers` threads for its tasks.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|error| Failure(format!("no runtime: {error}")))
}

/// Runs the `body` of a case of `port` to its end, at most two minutes, and ends `runtime`.
///
/// # Errors
/// If the body returns an error, panics or takes longer.
pub(crate) fn run(
    port: &str,
    runtime: Runtime,
    body: impl Future<Output = Result<()>>,
) -> Result<(), Failure> {
    let body = async { tokio::time::timeout(CASE_DURATION_MAX, body).await };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body)));
    // What still hangs must not hang the test as well.
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(Failure::of_port(port, &error)),
        Ok(Err(_)) => Err(Failure(format!("it took longer than {CASE_DURATION_MAX:?}"))),
        Err(panic) => Err(Failure::of_panic(panic.as_ref())),
    }
}

/// Fails unless `result` is an error of `kind`.
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T>, kind: ErrorKind) {
    match result {
        Ok(answer) => panic!("{what}: expected {kind:?}, got {answer:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{what}: {error}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failure(body: impl Future<Output = Result<()>>) -> String {
        run("port", runtime(1).unwrap(), body).unwrap_err().to_string()
    }

    #[test]
    fn an_error_fails_a_case_with_its_kind_and_words() {
        let text = failure(async { Err(Error::new(ErrorKind::Conflict, "save batch")) });
        assert!(text.starts_with("the port failed with Conflict: save batch"), "{text}");
    }

    #[test]
    fn a_panic_fails_a_case_with_its_words() {
        let number = 1;
        assert_eq!(failure(async { panic!("in words") }), "in words");
        assert_eq!(failure(async move { panic!("number {number}") }), "number 1");
        assert_eq!(failure(async { std::panic::panic_any(1_u8) }), "it panicked");
    }
}
