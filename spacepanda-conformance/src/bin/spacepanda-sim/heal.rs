use std::time::{Duration, Instant};

use serde_json::json;
use spacepanda_conformance::sim::{Healing, Violation, heal, jobs, spread};

/// What at most half of the partitions may take to heal.
const MEDIAN_MAX: Duration = Duration::from_secs(5);
/// What any may take.
const MAX: Duration = Duration::from_secs(30);

/// Parts the nodes into two or three sides for minutes to hours while all sides talk, let people in and
/// put people out, and measures the virtual time from when the network is whole until all members are
/// in one state. It ends with 1 if half of the partitions take longer than 5 seconds, any longer than 30,
/// or anything does not hold.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many nodes there are.
    #[arg(long, value_parser = clap::value_parser!(u64).range(12..=200), default_value_t = 20)]
    nodes: u64,
    /// Seeds, from the first to before the last: 0..100.
    #[arg(long, value_parser = super::seeds, default_value = "0..20")]
    seeds: (u64, u64),
    /// How many runs are made at once; as many as there are cores unless said otherwise.
    #[arg(long)]
    jobs: Option<usize>,
    /// Prints one line of JSON and nothing else.
    #[arg(long)]
    json: bool,
    /// Prints the trace of the first seed.
    #[arg(long)]
    trace: bool,
}

impl Args {
    /// Says whether everything held.
    pub(crate) fn run(&self) -> Result<bool, String> {
        let nodes = usize::try_from(self.nodes).map_err(|error| error.to_string())?;
        let (begun, mut healings, mut failed) = (Instant::now(), Vec::new(), Vec::new());
        if self.trace {
            let ran = heal(self.seeds.0, nodes, Some(&mut |line| println!("{line}")));
            self.show(&ran);
            return Ok(ran.is_ok());
        }
        let run = |seed| heal(seed, nodes, None);
        spread(self.seeds.0..self.seeds.1, self.jobs.unwrap_or_else(jobs), run, |ran| {
            self.show(&ran);
            match ran {
                Ok(healing) => healings.push(healing),
                Err(violation) => failed.push(violation),
            }
            true
        });
        healings.sort_by_key(|healing| (healing.took, healing.seed));
        self.report(&healings, &failed, begun.elapsed());
        let is_short = part(&healings, 50) <= MEDIAN_MAX && part(&healings, 100) <= MAX;
        Ok(failed.is_empty() && is_short)
    }

    fn show(&self, ran: &Result<Healing, Violation>) {
        match ran {
            _ if self.json => {}
            Ok(Healing { seed, sides, parted, took }) => {
                let (minutes, took) = (parted.as_secs_f64() / 60.0, took.as_secs_f64());
                println!(
                    "seed {seed}: {sides} sides, parted {minutes:.0} min, healed in {took:.1} s"
                );
            }
            Err(violation) => println!("VIOLATION {violation}"),
        }
    }

    fn report(&self, healings: &[Healing], failed: &[Violation], took: Duration) {
        let parts = [50, 90, 100].map(|percent| part(healings, percent).as_secs_f64());
        let [median, ninetieth, most] = parts;
        let (nodes, healed, failures) = (self.nodes, healings.len(), failed.len());
        if self.json {
            let violations: Vec<String> = failed.iter().map(ToString::to_string).collect();
            println!(
                "{}",
                json!({
                    "nodes": nodes, "healed": healed, "median_s": median, "p90_s": ninetieth,
                    "max_s": most, "violations": violations,
                })
            );
            return;
        }
        println!(
            "{healed} partitions of {nodes} nodes heal in {median:.1} s in the median, {ninetieth:.1} s at \
             the 90th percentile, {most:.1} s at most; {failures} do not; {:.0} s",
            took.as_secs_f64()
        );
    }
}

/// What so many percent take at most; the sorted list may be empty.
fn part(sorted: &[Healing], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map(|healing| healing.took).unwrap_or_default()
}
