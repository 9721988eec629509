//! How long a node takes to open that is in a large group.

use std::time::{Duration, Instant};

use super::{
    outcome::Violation,
    plan::{Entry, Fault, Plan, Step, What},
    profile::Profile,
    run::caught,
    world::World,
};

/// How many people come in at once.
const BATCH: usize = 32;
/// How long they take until they are in, and say something.
const BATCH_LASTS: Duration = Duration::from_secs(30);
/// When they go, after they began to come.
const BATCH_GOES: Duration = Duration::from_secs(25);
/// When they say something, after they began to come.
const BATCH_SAYS: Duration = Duration::from_secs(20);
/// How long a node is down before it opens again.
const DOWN: Duration = Duration::from_secs(1);

/// What opening a node of a large group took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Members of the group, all let in by the node that opens.
    pub members: usize,
    /// Messages that were written.
    pub messages: usize,
    /// Each opening, from reading the first row until the node takes calls, in processor time as far as
    /// nothing else runs. Nothing here waits for a disk.
    pub took: Vec<Duration>,
}

/// Makes a server of `members` people who talk, and opens its founder's node so many
/// `times`.
///
/// # Errors
/// What does not hold; that not everybody comes in is among it.
pub fn open(seed: u64, members: usize, times: usize) -> Result<Opening, Violation> {
    let plan = draw(seed, members.max(2));
    let mut opening = Opening { members: 0, messages: 0, took: Vec::new() };
    let outcome = caught(seed, || {
        World::new(World::builder(&plan)).finish(|world| {
            world.live_until_it_is_over()?;
            opening.members = world.known.rules.members().len();
            if opening.members < plan.nodes {
                return Err(format!("of {} people {} are in", plan.nodes, opening.members));
            }
            for _ in 0..times {
                opening.took.push(world.opens()?);
            }
            Ok(())
        })
    })?;
    opening.messages = outcome.totals.messages;
    Ok(opening)
}

/// They come in batches, and go for ever: a node of each would cost too much.
fn draw(seed: u64, nodes: usize) -> Plan {
    let mut entries = Vec::new();
    for who in 1..nodes {
        // Of some hundred.
        let begins = BATCH_LASTS * ((who - 1) / BATCH) as u32;
        let mut put = |after, what| entries.push(Entry { at: begins + after, what });
        put(Duration::ZERO, What::Do(Step::Join { who, by: 0 }));
        put(BATCH_SAYS, What::Do(Step::Say { who }));
        put(BATCH_GOES, What::Break(Fault::Gone { who }));
    }
    entries.sort_by_key(|entry| entry.at);
    Plan { seed, profile: Profile::Calm, nodes, entries, idle: Duration::ZERO }
}

impl World<'_> {
    /// Stops the founder's node, and says how long it takes to open again.
    fn opens(&mut self) -> Result<Duration, String> {
        self.stop(0, true, true)?;
        let until = self.now.saturating_add(DOWN);
        while self.now < until {
            self.happen(Some(until))?;
        }
        let begun = Instant::now();
        if let Some(node) = self.start(0)? {
            self.drive(node)?;
        }
        while !self.nodes[0].is_started() {
            self.happen(None)?;
        }
        Ok(begun.elapsed())
    }
}
