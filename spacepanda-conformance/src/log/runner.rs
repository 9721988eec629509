use std::{fmt, process::ExitCode, sync::Arc};

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use spacepanda_core::base::Result;

use crate::case::{self, Failure};

use super::{LogFactory, append, bench::Bench, body, frontier, missing, model, placement};

/// What is under test.
const PORT: &str = "log store";
/// Threads on which a case's tasks run.
const WORKERS: usize = 2;

/// One sentence of the contract, and the test of it.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    body: Body,
}

type Body = fn(Bench) -> BoxFuture<'static, Result<()>>;

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
        let runtime = case::runtime(WORKERS)?;
        case::run(PORT, runtime, async { (self.body)(Bench::new(&*factory).await?).await })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish()
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
