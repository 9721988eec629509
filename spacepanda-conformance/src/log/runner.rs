use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use spacepanda_core::base::{Error, Result};
use tokio::runtime::Builder;

use super::{LogFactory, append, bench::Bench, body, frontier, missing, model, placement};

/// How long a case may take; one that hangs is a case that failed.
const CASE_DURATION_MAX: Duration = Duration::from_secs(120);

/// One sentence of the contract, and the test of it.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    body: Body,
}

type Body = fn(Bench) -> BoxFuture<'static, Result<()>>;

/// Why a case failed, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Case {
    pub(super) fn new(name: &'static str, body: Body) -> Self {
        Self { name, body }
    }

    /// The sentence it tests.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the case on a runtime and in a place of its own, and waits for it.
    ///
    /// It must not be called from within an async runtime.
    ///
    /// # Errors
    /// What the log store did that the sentence forbids; also if it took longer than two minutes.
    pub fn run(&self, factory: Arc<dyn LogFactory>) -> Result<(), Failure> {
        let built = Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let runtime = built.map_err(|error| Failure(format!("no runtime: {error}")))?;
        let case = async { (self.body)(Bench::new(&*factory).await?).await };
        let body = async { tokio::time::timeout(CASE_DURATION_MAX, case).await };
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body)));
        // What still hangs must not hang the test as well.
        runtime.shutdown_background();
        match outcome {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Failure::of_port(error)),
            Ok(Err(_)) => Err(Failure(format!("it took longer than {CASE_DURATION_MAX:?}"))),
            Err(panic) => Err(Failure::of_panic(panic.as_ref())),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish()
    }
}

impl Failure {
    fn of_port(error: Error) -> Self {
        Self(format!("the log store failed with {:?}: {error}", error.kind()))
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Self(text.unwrap_or("it panicked").to_owned())
    }
}

/// Returns every case, in the order of the contract. No two have the same name.
pub fn cases() -> Vec<Case> {
    let groups = [
        frontier::cases(),
        placement::cases(),
        missing::cases(),
        append::cases(),
        body::cases(),
        model::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// Runs every case on each of `factories`, as a test binary does: the command line is read, results are
/// printed, and the exit code says whether all passed. The label of a factory begins its names.
pub fn run(factories: Vec<(&'static str, Arc<dyn LogFactory>)>) -> ExitCode {
    let trials = factories.into_iter().flat_map(|(label, factory)| {
        cases().into_iter().map(move |case| {
            let factory = Arc::clone(&factory);
            let name = format!("{label}: {}", case.name);
            Trial::test(name, move || case.run(factory).map_err(Failed::from))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_cases_have_the_same_name() {
        let names: BTreeSet<_> = cases().iter().map(Case::name).collect();
        assert_eq!(names.len(), cases().len());
    }
}
