use std::time::Duration;

use serde_json::json;
use spacepanda_conformance::sim::{Opening, open};

/// What opening a node of the largest group may take, at most half of the times.
const MEDIAN_MAX: Duration = Duration::from_millis(500);

/// Lets people into a server, who talk, and measures how long the founder's node takes
/// to open: from reading the first row until it takes calls. Everything is in memory, so that no disk is
/// measured. It ends with 1 if that takes longer than 500 ms in the median, or anything does not hold.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members there are.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=2_000), default_value_t = 1_000)]
    members: u64,
    /// How often the node is opened.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100), default_value_t = 11)]
    times: u64,
    /// The seed that all of it follows from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Prints one line of JSON and nothing else.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Says whether it held, and was quick.
    pub(crate) fn run(&self) -> Result<bool, String> {
        let [members, times] = [self.members, self.times].map(usize::try_from);
        let members = members.map_err(|error| error.to_string())?;
        let times = times.map_err(|error| error.to_string())?;
        if !self.json {
            eprintln!("letting {members} people in, some dozen at a time ...");
        }
        let Opening { members, messages, mut took } = match open(self.seed, members, times) {
            Ok(opening) => opening,
            Err(violation) => {
                println!("VIOLATION {violation}");
                return Ok(false);
            }
        };
        took.sort();
        let [median, most] = [took.len() / 2, took.len() - 1].map(|at| took[at]);
        let [median_ms, max_ms] = [median, most].map(|took| took.as_secs_f64() * 1_000.0);
        if self.json {
            let line = json!({
                "members": members, "messages": messages, "median_ms": median_ms, "max_ms": max_ms,
            });
            println!("{line}");
        } else {
            println!(
                "a node with {members} members and {messages} messages opens in {median_ms:.1} ms in the \
                 median of {times} times, {max_ms:.1} ms at most"
            );
        }
        Ok(median <= MEDIAN_MAX)
    }
}
