use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rayon::ThreadPoolBuilder;

use super::{Outcome, Plan, Violation, World};

/// What came of a plan.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The plan.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Result<Outcome, Violation>,
}

/// How many runs this machine makes at once.
pub fn jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs a plan with disks in memory; a panic is a violation like any other.
///
/// # Errors
/// What does not hold.
pub fn run_caught(plan: &Plan) -> Result<Outcome, Violation> {
    caught(plan.seed, || World::run(plan))
}

/// Makes a panic of `run` a violation.
pub(super) fn caught(
    seed: u64,
    run: impl FnOnce() -> Result<Outcome, Violation>,
) -> Result<Outcome, Violation> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|why| {
        let text = why.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("of no words");
        let what = format!("a panic: {text}");
        Err(Violation { seed, at: Duration::ZERO, what })
    })
}

/// Runs plans on `jobs` threads, and shows `each` what came of them, in no particular order. It stops when
/// `each` says `false`.
pub fn run_all(
    plans: impl Iterator<Item = Plan> + Send,
    jobs: usize,
    each: impl FnMut(Ran) -> bool,
) {
    let run = |plan| {
        let outcome = run_caught(&plan);
        Ran { plan, outcome }
    };
    spread(plans, jobs, run, each);
}

/// Does `work` for every item on `jobs` threads, and shows `each` what came of it, in no particular
/// order. It stops when `each` says `false`.
pub fn spread<T: Send, R: Send>(
    items: impl Iterator<Item = T> + Send,
    jobs: usize,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> bool,
) {
    let items = Mutex::new(items);
    let stop = AtomicBool::new(false);
    let (results, ran) = mpsc::channel();
    let work = |results: mpsc::Sender<R>| {
        // MLS spreads its work over rayon's threads; here each thread has enough of its own.
        let _alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        while !stop.load(Ordering::Relaxed) {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = next else { return };
            if results.send(work(item)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let results = results.clone();
            scope.spawn(|| work(results));
        }
        drop(results);
        for ran in ran {
            if !each(ran) {
                stop.store(true, Ordering::Relaxed);
                break;
            }
        }
    });
}
