//! What happens in a run, as data: drawn from a seed, cut down where it fails, written down and read
//! again.

mod deed;
mod draw;
mod fault;
mod step;
mod text;

use std::{collections::BTreeSet, time::Duration};

use super::Profile;

pub use deed::{Deed, Malice};
pub use fault::{CrashAt, Fault};
pub use step::Step;
pub use text::PlanError;

/// Steps and faults of a run, unless said otherwise; about three of ten are messages.
pub const STEPS: usize = 200;
/// The fewest nodes of a run unless said otherwise.
pub(super) const NODES_MIN: usize = 3;
/// The most nodes of a run unless said otherwise.
pub(super) const NODES_MAX: usize = 6;

/// Everything that a run follows from: two runs of one plan are the same.
///
/// Entries can be taken out at will. What people do, they do when they can: somebody who is asleep or
/// not in yet does it later, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Decides keys, delays and whatever else is left to chance while it runs.
    pub seed: u64,
    /// How bad it is.
    pub profile: Profile,
    /// How many nodes there are; the first of them makes the server.
    pub nodes: usize,
    /// What happens, in order.
    pub entries: Vec<Entry>,
    /// How long everybody idles, after all of it, before the last newcomer comes; in whole seconds.
    pub idle: Duration,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in whole milliseconds since there is a first invite.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Somebody does something.
    Do(Step),
    /// Something breaks.
    Break(Fault),
    /// Somebody means harm.
    Harm(Deed),
}

/// What a plan is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// How bad it is.
    pub profile: Profile,
    /// How many nodes there are; `None` for 3 to 6.
    pub nodes: Option<usize>,
    /// How many steps and faults there are.
    pub steps: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { profile: Profile::default(), nodes: None, steps: STEPS }
    }
}

impl Plan {
    /// Draws the plan of `seed`. There are two nodes at least.
    pub fn draw(seed: u64, setup: Setup) -> Self {
        draw::draw(seed, setup)
    }

    /// Who means harm.
    pub(super) fn hostile(&self) -> BTreeSet<usize> {
        let deeds = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Harm(deed) => Some(deed.who),
            _ => None,
        });
        deeds.collect()
    }

    /// Whether people do what they do, and nothing else happens.
    pub(super) fn breaks_nothing(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.what, What::Do(_)))
    }

    /// Whether somebody forks their log more often than is kept as it comes.
    pub(super) fn crowds(&self) -> bool {
        let crowds = |malice| matches!(malice, Malice::Crowd | Malice::Snare);
        let mut whats = self.entries.iter().map(|entry| &entry.what);
        whats.any(|what| matches!(what, What::Harm(deed) if crowds(deed.malice)))
    }

    /// When the last of its entries is over.
    pub(super) fn lasts(&self) -> Duration {
        let over = |entry: &Entry| match &entry.what {
            What::Do(_) | What::Harm(_) => entry.at,
            What::Break(fault) => entry.at + fault.lasts(),
        };
        self.entries.iter().map(over).max().unwrap_or_default()
    }
}
