//! The simulated world, over many seeds. `SPACEPANDA_SEEDS` says how many; `SPACEPANDA_SEED` runs one
//! and prints its trace.

use std::{
    collections::BTreeSet,
    env,
    panic::{self, AssertUnwindSafe},
    process::{Command, ExitCode},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use spacepanda_conformance::sim::{Outcome, World};

/// Seeds unless said otherwise.
const SEEDS: u64 = 200;
/// Threads that run seeds.
const THREADS: usize = 2;
/// Seeds that are run again, in this process and in another one.
const AGAIN: u64 = 4;
/// Makes this program print the trace hash of one seed and nothing else.
const HASH_OF: &str = "SPACEPANDA_SIM_HASH_OF";

fn main() -> ExitCode {
    if let Some(seed) = number(HASH_OF) {
        println!("{}", hash(&run(seed)));
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = number("SPACEPANDA_SEED") {
        return show(seed);
    }
    let failed = all(number("SPACEPANDA_SEEDS").unwrap_or(SEEDS));
    let differing = differing();
    if failed.is_empty() && differing.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} seeds fail: {failed:?}", failed.len());
    println!("{} seeds run otherwise the second time: {differing:?}", differing.len());
    println!("run one again, with its trace, by SPACEPANDA_SEED=N");
    ExitCode::FAILURE
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// Runs seeds on several threads, and returns those that fail.
fn all(seeds: u64) -> BTreeSet<u64> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return outcomes;
            }
            let outcome = run(seed);
            if let Err(why) = &outcome {
                println!("FAILED {why}");
            }
            outcomes.push((seed, outcome));
        }
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run is caught")).collect()
    });
    let ran: Vec<Outcome> = outcomes.iter().filter_map(|(_, ran)| ran.clone().ok()).collect();
    let sum = |of: fn(&Outcome) -> usize| ran.iter().map(of).sum::<usize>();
    println!(
        "{} of {seeds} seeds hold: {} nodes, {} members in the end, {} messages, {} crashes, {} links \
         lost or parted, {} removals, {} forks",
        ran.len(),
        sum(|ran| ran.nodes),
        sum(|ran| ran.members),
        sum(|ran| ran.messages),
        sum(|ran| ran.crashes),
        sum(|ran| ran.losses),
        sum(|ran| ran.removals),
        sum(|ran| ran.forks),
    );
    outcomes.iter().filter(|(_, ran)| ran.is_err()).map(|(seed, _)| *seed).collect()
}

/// The seeds among the first few that do not make the same run again, here and in another process.
fn differing() -> Vec<u64> {
    let differs = |seed: &u64| {
        let once = hash(&run(*seed));
        once != hash(&run(*seed)) || once != elsewhere(*seed)
    };
    (0..AGAIN).filter(differs).collect()
}

fn elsewhere(seed: u64) -> String {
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    let output = command.env(HASH_OF, seed.to_string()).output().expect("it starts again");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn hash(outcome: &Result<Outcome, String>) -> String {
    match outcome {
        Ok(outcome) => outcome.trace_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(why) => why.clone(),
    }
}

fn run(seed: u64) -> Result<Outcome, String> {
    match panic::catch_unwind(AssertUnwindSafe(|| World::run(seed))) {
        Ok(ran) => ran.map_err(|violation| violation.to_string()),
        Err(_) => Err(format!("seed {seed}: a panic, printed above")),
    }
}

fn show(seed: u64) -> ExitCode {
    match World::watch(seed, &mut |line| println!("{line}")) {
        Ok(outcome) => {
            println!("{outcome:?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("FAILED {violation}");
            ExitCode::FAILURE
        }
    }
}
