//! Every save of three stories as a point at which its node crashes before or after it, or the save fails,
//! with nodes that keep things in memory and in SQLite: all recover.
//!
//! `SPACEPANDA_POINTS=all` takes every point where a store is too slow for that; `SPACEPANDA_POINT` with
//! the name of one runs it alone and prints its trace.

#[path = "points/stores.rs"]
mod stores;

use std::{env, fmt, process::ExitCode, str::FromStr, time::Instant};

use spacepanda_conformance::sim::{Befalls, Plan, Point, Violation, World, jobs, spread};

use stores::{Store, StoreDisks};

/// The stories, each with its name.
const STORIES: [(&str, &str); 3] = [
    ("in_and_out", include_str!("../stories/in_and_out.txt")),
    ("fork", include_str!("../stories/fork.txt")),
    ("come_back", include_str!("../stories/come_back.txt")),
];
/// Of the points in SQLite one of so many is taken, unless all are asked for.
const SQLITE_EVERY: usize = 5;

/// A point of a story with nodes that keep things in a store.
#[derive(Clone, Copy)]
struct Case {
    store: Store,
    story: &'static str,
    point: Point,
}

fn main() -> ExitCode {
    if let Ok(name) = env::var("SPACEPANDA_POINT") {
        return show(&name);
    }
    let held = Store::ALL.into_iter().filter(|store| all_recover(*store)).count();
    if held == Store::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes the points of every story, and says whether all recover.
fn all_recover(store: Store) -> bool {
    let begun = Instant::now();
    let all = env::var("SPACEPANDA_POINTS").is_ok_and(|which| which == "all");
    let every = if store == Store::Sqlite && !all { SQLITE_EVERY } else { 1 };
    let points: Vec<Case> =
        STORIES.into_iter().flat_map(|(story, _)| cases(store, story)).collect();
    let taken: Vec<Case> = points.iter().copied().step_by(every).collect();
    let mut failed = 0;
    let run = |case: Case| (case, case.run(None));
    spread(taken.iter().copied(), jobs(), run, |(case, violation)| {
        if let Err(violation) = violation {
            failed += 1;
            println!("FAILED {case}: {violation}\nagain: {}", case.command());
        }
        true
    });
    let (of, store) = (points.len(), store.name());
    let which = if every == 1 { String::new() } else { format!(" (one in {every} of {of})") };
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = if failed == 0 { "all recover".to_owned() } else { format!("{failed} do not") };
    println!(
        "{store}: {} points{which}, {outcome}: {}; {seconds:.0} s",
        taken.len(),
        sorts(&taken)
    );
    failed == 0
}

/// The points of one story.
fn cases(store: Store, story: &'static str) -> Vec<Case> {
    let points = World::builder(&plan(story)).disks(StoreDisks::new(store)).points();
    let points = points.unwrap_or_else(|why| panic!("{story} fails with nothing wrong: {why}"));
    points.into_iter().map(|point| Case { store, story, point }).collect()
}

/// How many points of each sort there are.
fn sorts(cases: &[Case]) -> String {
    let sorts = Befalls::ALL.map(|befalls| {
        let of_it = cases.iter().filter(|case| case.point.befalls == befalls).count();
        let what = match befalls {
            Befalls::CrashBefore => "crashes before a save",
            Befalls::CrashAfter => "after one",
            Befalls::Failure => "saves that fail",
        };
        format!("{of_it} {what}")
    });
    sorts.join(", ")
}

/// Runs one case and prints its trace.
fn show(name: &str) -> ExitCode {
    let case: Case = name.parse().unwrap_or_else(|why| panic!("SPACEPANDA_POINT: {why}"));
    match case.run(Some(&mut |line| println!("{line}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            println!("FAILED {violation}");
            ExitCode::FAILURE
        }
    }
}

fn plan(story: &str) -> Plan {
    let text = STORIES.into_iter().find(|(name, _)| *name == story);
    let (_, text) = text.unwrap_or_else(|| panic!("there is no story {story:?}"));
    text.parse().unwrap_or_else(|why| panic!("{story}: {why}"))
}

impl Case {
    fn run(&self, watch: Option<&mut dyn FnMut(&str)>) -> Result<(), Violation> {
        let plan = plan(self.story);
        let world = World::builder(&plan).disks(StoreDisks::new(self.store));
        let world = match watch {
            Some(watch) => world.watch(watch),
            None => world,
        };
        world.run_at(self.point).map(drop)
    }

    /// Shows it again.
    fn command(&self) -> String {
        format!(
            "SPACEPANDA_POINT={self} cargo test -p spacepanda-conformance --features sim --test points"
        )
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.store.name(), self.story, self.point)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (store, story, point) = (part(), part(), part());
        let store = Store::ALL.into_iter().find(|known| known.name() == store);
        let story = STORIES.into_iter().find(|(known, _)| *known == story);
        let (Some(store), Some((story, _))) = (store, story) else {
            return Err(format!("{text:?} is no case: memory:fork:2:17:before"));
        };
        Ok(Self { store, story, point: point.parse()? })
    }
}
