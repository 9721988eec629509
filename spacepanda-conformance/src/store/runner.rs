use std::{fmt, process::ExitCode, sync::Arc};

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use spacepanda_core::{
    base::{Error, Result},
    store::Capability,
};

use crate::case::{self, Failure};

use super::{
    StoreFactory, atomic, bench::Bench, closing, durable, exclusive, limit, load, model, order,
    save, scan,
};

/// What is under test.
const PORT: &str = "store";
/// Threads on which a case's tasks run.
const WORKERS: usize = 4;

/// One sentence of the contract, and the test of it.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    needs: Capability,
    body: Body,
}

type Body = fn(Bench) -> BoxFuture<'static, Result<()>>;

impl Case {
    /// Names a case of the contract proper, which every backend must pass.
    pub(super) fn new(name: &'static str, body: Body) -> Self {
        Self { name, needs: Capability::NONE, body }
    }

    /// Names a case of what `needs` promises.
    pub(super) fn needing(needs: Capability, name: &'static str, body: Body) -> Self {
        Self { name, needs, body }
    }

    /// The sentence it tests.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What a backend must have declared for the case to be asked of it.
    pub fn needs(&self) -> Capability {
        self.needs
    }

    /// Whether it is asked of a backend that declares `declared`.
    pub fn applies(&self, declared: Capability) -> bool {
        (declared.durable || !self.needs.durable) && (declared.exclusive || !self.needs.exclusive)
    }

    /// Runs the case on a runtime and in a folder of its own, and waits for it.
    ///
    /// It must not be called from within an async runtime.
    ///
    /// # Errors
    /// What the backend did that the sentence forbids; also if it took longer than two minutes.
    pub fn run(&self, factory: Arc<dyn StoreFactory>) -> Result<(), Failure> {
        let runtime = case::runtime(WORKERS)?;
        let bench = Bench::new(factory).map_err(of_store)?;
        case::run(PORT, runtime, async { (self.body)(bench).await })
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish()
    }
}

/// Returns every case, in the order of the contract. No two have the same name.
pub fn cases() -> Vec<Case> {
    let groups = [
        load::cases(),
        order::cases(),
        scan::cases(),
        save::cases(),
        atomic::cases(),
        limit::cases(),
        closing::cases(),
        durable::cases(),
        exclusive::cases(),
        model::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// Runs every case that applies to what `factory` opens, as a test binary does: the command line is
/// read, results are printed, and the exit code says whether all passed.
pub fn run(factory: impl StoreFactory) -> ExitCode {
    let arguments = Arguments::from_args();
    let factory: Arc<dyn StoreFactory> = Arc::new(factory);
    match declared(&factory) {
        Ok(declared) => libtest_mimic::run(&arguments, trials(&factory, declared)).exit_code(),
        Err(failure) => {
            eprintln!("the store cannot be opened in an empty folder: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn trials(factory: &Arc<dyn StoreFactory>, declared: Capability) -> Vec<Trial> {
    let asked = cases().into_iter().filter(|case| case.applies(declared));
    asked
        .map(|case| {
            let factory = Arc::clone(factory);
            Trial::test(case.name, move || case.run(factory).map_err(Failed::from))
        })
        .collect()
}

fn declared(factory: &Arc<dyn StoreFactory>) -> Result<Capability, Failure> {
    let bench = Bench::new(Arc::clone(factory)).map_err(of_store)?;
    let asked = async {
        let store = bench.open().await?;
        let declared = store.capability();
        store.close().await.map(|()| declared)
    };
    case::runtime(WORKERS)?.block_on(asked).map_err(of_store)
}

fn of_store(error: Error) -> Failure {
    Failure::of_port(PORT, &error)
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

    #[test]
    fn a_case_applies_exactly_where_its_promise_is_declared() {
        let durable = Capability::NONE.durable();
        let case = Case::needing(durable, "case", |_| Box::pin(async { Ok(()) }));
        assert!(case.applies(durable.exclusive()));
        assert!(!case.applies(Capability::NONE.exclusive()));
        assert!(Case::new("case", |_| Box::pin(async { Ok(()) })).applies(Capability::NONE));
    }
}
