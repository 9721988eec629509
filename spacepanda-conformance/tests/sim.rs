//! The simulated world, over many seeds and the ones in `seeds.txt`. `SPACEPANDA_SEEDS` says how many;
//! `SPACEPANDA_SEED` runs one of each profile and prints its trace.

use std::{
    env,
    process::{Command, ExitCode},
};

use spacepanda_conformance::sim::{
    Outcome, Plan, Profile, STEPS, Setup, Totals, Violation, World, jobs, run_all, run_caught,
};

/// Seeds unless said otherwise; the seed says which profile.
const SEEDS: u64 = 24;
/// Seeds that are run again, in this process and in another one.
const AGAIN: u64 = 3;
/// Makes this program print the trace hash of one seed and nothing else.
const HASH_OF: &str = "SPACEPANDA_SIM_HASH_OF";
/// Runs that are made always.
const KEPT: &str = include_str!("../seeds.txt");

fn main() -> ExitCode {
    if let Some(seed) = number(HASH_OF) {
        println!("{}", hash(&run_caught(&plan(seed))));
        return ExitCode::SUCCESS;
    }
    if let Some(seed) = number("SPACEPANDA_SEED") {
        return show(seed);
    }
    let held = all(number("SPACEPANDA_SEEDS").unwrap_or(SEEDS));
    let differing: Vec<u64> = (0..AGAIN).filter(differs).collect();
    println!("{} seeds run otherwise the second time: {differing:?}", differing.len());
    if held && differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// The plan of a seed, of the profile that the seed says; `SPACEPANDA_PROFILE` names another.
fn plan(seed: u64) -> Plan {
    let named = env::var("SPACEPANDA_PROFILE").ok();
    let named = named.map(|name| name.parse().unwrap_or_else(|why| panic!("{why}")));
    Plan::draw(seed, Setup { profile: named.unwrap_or(Profile::of(seed)), ..Setup::default() })
}

fn kept() -> impl Iterator<Item = Plan> + Send {
    let lines =
        KEPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("seeds.txt: {line:?}"));
        let profile = word().parse().unwrap_or_else(|why| panic!("seeds.txt: {why}"));
        let mut number = || word().parse().unwrap_or_else(|_| panic!("seeds.txt: {line:?}"));
        let (nodes, steps, seed): (usize, usize, usize) = (number(), number(), number());
        Plan::draw(seed as u64, Setup { profile, nodes: (nodes > 0).then_some(nodes), steps })
    })
}

/// Runs everything on all cores, and says whether all held.
fn all(seeds: u64) -> bool {
    let (mut totals, mut held, mut failed) = (Totals::default(), 0, 0);
    run_all(kept().chain((0..seeds).map(plan)), jobs(), |run| {
        match run.outcome {
            Ok(outcome) => {
                held += 1;
                totals += outcome.totals;
            }
            Err(violation) => {
                failed += 1;
                let (profile, nodes) = (run.plan.profile, run.plan.nodes);
                println!("FAILED {profile}, {nodes} nodes, {violation}");
            }
        }
        true
    });
    println!("{held} of {} runs of {STEPS} steps hold", held + failed);
    totals.counts().for_each(|(name, count)| println!("{count:>12} {}", name.replace('_', " ")));
    if totals.deeds == 0 {
        println!("FAILED: nobody who means harm did any");
    }
    failed == 0 && totals.deeds > 0
}

/// Whether a seed does not make the same run again, here or in another process.
fn differs(seed: &u64) -> bool {
    let once = hash(&run_caught(&plan(*seed)));
    once != hash(&run_caught(&plan(*seed))) || once != elsewhere(*seed)
}

fn elsewhere(seed: u64) -> String {
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    let output = command.env(HASH_OF, seed.to_string()).output().expect("it starts again");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn hash(outcome: &Result<Outcome, Violation>) -> String {
    match outcome {
        Ok(outcome) => outcome.trace_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(why) => why.to_string(),
    }
}

fn show(seed: u64) -> ExitCode {
    match World::builder(&plan(seed)).watch(&mut |line| println!("{line}")).run() {
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
