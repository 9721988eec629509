//! Is the simulated world strong? Each bug that can be planted in the core is, and seeds are run until one
//! finds it by what is checked in every run, or by what a story must come to. The same runs hold with none
//! planted.
//!
//! Arguments are the names of bugs to plant, all of them unless said otherwise; `SPACEPANDA_PLANTED_SEEDS` says
//! how many seeds are tried at most.

use std::{
    env,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use spacepanda_conformance::sim::{Plan, Profile, STEPS, Setup, Totals, jobs, run_caught};
use spacepanda_core::base::{Bug, planted::plant};

/// Seeds that are tried for one bug at most.
const SEEDS: u64 = 2_000;
/// Nodes of a small world.
const NODES: usize = 5;
/// Steps of a small world.
const FEW: usize = 80;

/// What came of a bug.
struct Found {
    bug: Bug,
    profile: Profile,
    /// The seed that found it and what was violated; none did if `None`.
    by: Option<(u64, String)>,
    /// Seeds that found something without the bug as well, which ought to be none.
    without: Vec<(u64, String)>,
}

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |bug: &Bug| wanted.is_empty() || wanted.iter().any(|name| name == bug.name());
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(is_wanted).collect();
    let begun = Instant::now();
    let (seeds, found) = (seeds(), find_all(&bugs));
    let missed = found.iter().filter(|found| !found.is_sound()).count();
    let took = begun.elapsed().as_secs();
    println!(
        "{} of {} bugs found within {seeds} seeds, {took} s",
        found.len() - missed,
        found.len()
    );
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds() -> u64 {
    let text = env::var("SPACEPANDA_PLANTED_SEEDS").ok();
    text.map_or(SEEDS, |text| text.parse().expect("SPACEPANDA_PLANTED_SEEDS is a number"))
}

/// Looks for all bugs on all cores, each on one.
fn find_all(bugs: &[Bug]) -> Vec<Found> {
    let left = Mutex::new(bugs.iter());
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(bug) = next else { return };
                    let one = find(*bug);
                    one.print();
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs seeds until one finds a bug, and nothing without it.
fn find(bug: Bug) -> Found {
    let run = |plan: &Plan, planted| {
        plant(planted);
        let ran = run_caught(plan);
        plant(None);
        ran.map_or_else(|why| Some(why.what), |outcome| amiss(bug, &outcome.totals))
    };
    let profile = plan(bug, 0).profile;
    let mut found = Found { bug, profile, by: None, without: Vec::new() };
    for seed in 0..seeds() {
        let plan = plan(bug, seed);
        let Some(what) = run(&plan, Some(bug)) else { continue };
        match run(&plan, None) {
            Some(what) => found.without.push((seed, what)),
            None => {
                found.by = Some((seed, what));
                break;
            }
        }
    }
    found
}

/// What is to happen that a seed decides the rest of: everything is drawn, but for what hardly ever happens
/// by chance.
fn plan(bug: Bug, seed: u64) -> Plan {
    let story = match bug {
        Bug::CountsTheRemoved => include_str!("../stories/removed_on_the_far_side.txt"),
        Bug::BurnsThePackage => include_str!("../stories/lost_race.txt"),
        Bug::OverusesInvites => include_str!("../stories/used_twice.txt"),
        _ => return Plan::draw(seed, setup(bug)),
    };
    Plan { seed, ..story.parse().expect("the story is a plan") }
}

/// What a story came to that it must not, though nobody is left behind in the end: whoever cannot enter by
/// a package that was used pleads with another.
fn amiss(bug: Bug, totals: &Totals) -> Option<String> {
    let burnt = bug == Bug::BurnsThePackage && totals.pleas > 0;
    burnt.then(|| "somebody pleads whose key package was used for them a second time".to_owned())
}

/// The world that finds a bug soonest: a small one mostly, since seeds are run in order and each is the
/// cheaper.
fn setup(bug: Bug) -> Setup {
    let (profile, nodes, steps) = match bug {
        Bug::MergesAnyCommit
        | Bug::HandsOverToAnybody
        | Bug::TakesAnyHandOver
        | Bug::DropsTheUnnamed => (Profile::Hostile, None, STEPS),
        Bug::NeverVotes | Bug::VotesAfterJudging | Bug::BreaksTiesById | Bug::ForgetsLeftStates => {
            (Profile::Calm, Some(NODES), FEW)
        }
        // It takes people who are out for long, come back, or are removed while much else happens.
        Bug::NeverPleads | Bug::AnswersNoPlea | Bug::RemovalsTakeNothing => {
            (Profile::Faulty, None, STEPS)
        }
        _ => (Profile::Faulty, Some(NODES), FEW),
    };
    Setup { profile, nodes, steps }
}

impl Found {
    fn is_sound(&self) -> bool {
        self.by.is_some() && self.without.is_empty()
    }

    fn print(&self) {
        let (name, profile) = (self.bug.name(), self.profile);
        let (runs, what) = match &self.by {
            Some((seed, what)) => (seed + 1, what.as_str()),
            None => (seeds(), "NOT FOUND"),
        };
        let seed = self.by.as_ref().map_or("-".to_owned(), |(seed, _)| seed.to_string());
        println!("{name:<28} {profile:<8} seed {seed:>4} {runs:>4} runs  {}", shortened(what));
        for (seed, what) in &self.without {
            println!("{name:<28} {profile:<8} seed {seed:>4} WITHOUT IT: {}", shortened(what));
        }
    }
}

/// The beginning of what was violated.
fn shortened(what: &str) -> String {
    const CHARS_MAX: usize = 100;
    let line = what.replace('\n', " ");
    line.chars().take(CHARS_MAX).collect()
}
