//! Runs the simulated world over many seeds, until something does not hold.

#[path = "spacepanda-sim/heal.rs"]
mod heal;
#[path = "spacepanda-sim/open.rs"]
mod open;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use spacepanda_conformance::sim::{
    Outcome, Plan, Profile, STEPS, Setup, Totals, Violation, World, jobs, run_all, shrink,
};

/// For how long a plan that fails is cut down.
const SHRINK_WITHIN: Duration = Duration::from_secs(90);

/// Runs the simulated world over many seeds. It ends with 1 on the first violation, with the command that
/// shows it again, and a plan cut down to what is needed for it.
#[derive(Parser)]
#[command(name = "spacepanda-sim", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Option<Special>,
    /// Seeds, from the first to before the last: 0..1000.
    #[arg(long, value_parser = seeds, default_value = "0..100")]
    seeds: (u64, u64),
    /// How many nodes there are; 3 to 6, as the seed says, unless said otherwise.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=200))]
    nodes: Option<u64>,
    /// How many steps and faults there are; about three of ten are messages.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// How bad it is: calm, faulty or hostile; as the seed says unless said otherwise, hostile in 30 of
    /// 100.
    #[arg(long)]
    profile: Option<Profile>,
    /// How many runs are made at once; as many as there are cores unless said otherwise.
    #[arg(long)]
    jobs: Option<usize>,
    /// Prints one line of JSON and nothing else; a run that fails is not cut down.
    #[arg(long)]
    json: bool,
    /// Prints the trace of one run: of the plan, or the first seed.
    #[arg(long)]
    trace: bool,
    /// Runs the plan in this file instead of seeds.
    #[arg(long)]
    plan: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Special {
    /// Measures how long a group takes to be one again after a partition.
    Heal(heal::Args),
    /// Measures how long a node of a large group takes to open.
    Open(open::Args),
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let ends = text.split_once("..").and_then(|(from, to)| from.parse().ok().zip(to.parse().ok()));
    let (from, to): (u64, u64) = ends.ok_or("seeds are two numbers: 0..1000")?;
    if from < to { Ok((from, to)) } else { Err("there is no seed from there to there".to_owned()) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ran = match &args.command {
        Some(Special::Heal(heal)) => heal.run(),
        Some(Special::Open(open)) => open.run(),
        None => args.run(),
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

impl Args {
    /// Says whether everything held.
    fn run(&self) -> Result<bool, String> {
        let planned = match &self.plan {
            Some(path) => Some(read_plan(path)?),
            None => None,
        };
        if self.trace {
            return Ok(show(&planned.unwrap_or_else(|| self.draw(self.seeds.0))));
        }
        let (from, to) = self.seeds;
        let runs = if planned.is_some() { 1 } else { to - from };
        let bar = self.bar(runs);
        let begun = Instant::now();
        let (mut totals, mut ran, mut failed) = (Totals::default(), 0_u64, None);
        let plans = planned.into_iter().map(Ok).chain((from..to).map(Err));
        let plans = plans.take(usize::try_from(runs).unwrap_or(usize::MAX));
        let plans = plans.map(|plan| plan.unwrap_or_else(|seed| self.draw(seed)));
        run_all(plans, self.jobs.unwrap_or_else(jobs), |run| {
            ran += 1;
            bar.inc(1);
            match run.outcome {
                Ok(Outcome { totals: of_one, .. }) => totals += of_one,
                Err(violation) => failed = Some((run.plan, violation)),
            }
            failed.is_none()
        });
        bar.finish_and_clear();
        self.report(ran, begun.elapsed(), &totals, failed.as_ref());
        let Some((plan, violation)) = failed else { return Ok(true) };
        if !self.json {
            self.cut_down(&plan, violation);
        }
        Ok(false)
    }

    fn draw(&self, seed: u64) -> Plan {
        let nodes = self.nodes.and_then(|nodes| usize::try_from(nodes).ok());
        let profile = self.profile.unwrap_or_else(|| Profile::of(seed));
        Plan::draw(seed, Setup { profile, nodes, steps: self.steps })
    }

    fn bar(&self, runs: u64) -> ProgressBar {
        if self.json {
            return ProgressBar::hidden();
        }
        let style = "{bar:40} {pos}/{len} runs, {per_sec}, {eta} to go";
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        ProgressBar::new(runs).with_style(style)
    }

    fn report(
        &self,
        ran: u64,
        took: Duration,
        totals: &Totals,
        failed: Option<&(Plan, Violation)>,
    ) {
        let rate = ran as f64 / took.as_secs_f64();
        let virtual_seconds = totals.took.as_secs();
        if self.json {
            let mut line: Map<String, Value> =
                totals.counts().map(|(name, count)| (name.to_owned(), json!(count))).collect();
            line.insert("runs".to_owned(), json!(ran));
            line.insert("runs_per_second".to_owned(), json!(rate));
            line.insert("virtual_seconds".to_owned(), json!(virtual_seconds));
            line.insert("violation".to_owned(), json!(failed.map(|(_, what)| what.to_string())));
            line.insert("again".to_owned(), json!(failed.map(|(plan, _)| self.again(plan))));
            println!("{}", Value::Object(line));
            return;
        }
        println!("{ran} runs in {:.1} s, {rate:.1} per second", took.as_secs_f64());
        for (name, count) in totals.counts() {
            println!("{count:>12} {}", name.replace('_', " "));
        }
        println!("{virtual_seconds:>12} seconds of virtual time");
    }

    /// The command that runs a plan again and shows its trace.
    fn again(&self, plan: &Plan) -> String {
        let which = match &self.plan {
            Some(path) => format!("--plan {}", path.display()),
            None => {
                let (seed, profile, steps) = (plan.seed, plan.profile, self.steps);
                let nodes = self.nodes.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
                let next = seed + 1;
                format!("--seeds {seed}..{next} --profile {profile} --steps {steps}{nodes}")
            }
        };
        format!(
            "cargo run --release -p spacepanda-conformance --features sim --bin spacepanda-sim -- \
             --trace {which}"
        )
    }

    /// Says what failed and how to see it again, and cuts it down.
    fn cut_down(&self, plan: &Plan, violation: Violation) {
        println!("\nVIOLATION {violation}\nagain: {}", self.again(plan));
        let (shrunk, violation) = shrink(plan, violation, SHRINK_WITHIN);
        let (before, after) = (plan.entries.len(), shrunk.entries.len());
        println!("\ncut down from {before} to {after} entries: {violation}\n\n{shrunk}");
    }
}

fn read_plan(path: &PathBuf) -> Result<Plan, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{}: {error}", path.display()))
}

/// Prints the trace of a run, and says whether everything held.
fn show(plan: &Plan) -> bool {
    println!("{plan}");
    match World::builder(plan).watch(&mut |line| println!("{line}")).run() {
        Ok(outcome) => {
            for (name, count) in outcome.totals.counts() {
                println!("{count:>12} {}", name.replace('_', " "));
            }
            true
        }
        Err(violation) => {
            println!("VIOLATION {violation}");
            false
        }
    }
}
