use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Call, Input, Link},
    base::Timestamp,
};

use super::{
    chance::Chance,
    faults::Faults,
    known::Known,
    network::Network,
    node::Node,
    story::{Action, Asked, Story},
    trace::{Kind, Trace},
};

/// When a world begins: the first of January 2026.
const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// How far a node's clock is ahead at most.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// A world is quiet when nothing but ticks came of this.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// A world that is not quiet this long after all went well will never be.
const RESTLESS_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Happenings of one run; a run of so many goes in circles.
const HAPPENINGS_MAX: usize = 2_000_000;

/// What must hold and did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, {}.{:06} s: {what}", at.as_secs(), at.subsec_micros())]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// When, since the world began.
    pub at: Duration,
    /// What does not hold, for people.
    pub what: String,
}

/// What a run was like. Two runs of one seed have equal outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The hash of commands, envelopes, what was told and states, in order.
    pub trace_hash: [u8; 32],
    /// How many nodes there were.
    pub nodes: usize,
    /// How many were in good standing in the end.
    pub members: usize,
    /// Messages accepted.
    pub messages: usize,
    /// Crashes.
    pub crashes: usize,
    /// Links lost, partitions and altered frames.
    pub losses: usize,
    /// People removed, or who left.
    pub removals: usize,
    /// States of the group that several commits were made on.
    pub forks: usize,
    /// How long it went on, in virtual time.
    pub took: Duration,
}

/// Several nodes, what lies between them, and what happens to them: a run from one seed.
pub struct World<'a> {
    seed: u64,
    pub(super) now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    queued: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) story: Story,
    pub(super) faults: Faults,
    pub(super) known: Known,
    pub(super) asked: BTreeMap<(usize, Call), Asked>,
    pub(super) trace: Trace<'a>,
    pub(super) outcome: Outcome,
    /// When anything was appended or told last.
    pub(super) changed: Timestamp,
    happenings: usize,
    pub(super) entropy: Chance,
    pub(super) delays: Chance,
}

/// What happens at some time.
pub(super) enum Happening {
    /// A node starts.
    Start(usize),
    /// A node's save ends, if that life of it still goes on.
    Saved(usize, u32),
    /// A frame arrives at an end of a link.
    Frame(Link, Bytes),
    /// A dial reaches the node that it is for.
    Dialled { from: (usize, u32), dial: u64, to: usize },
    /// A dial of a node has failed.
    DialFailed { from: (usize, u32), dial: u64 },
    /// A dialler's end of a link opens.
    Opened { link: Link, from: (usize, u32), dial: u64 },
    /// A node notices that a link has ended.
    Ended(Link),
    /// Somebody does something.
    Act(Action),
    /// Something breaks.
    Break,
    /// The partition ends.
    Heal,
}

impl<'a> World<'a> {
    /// Runs the world of `seed` to its end and checks what must hold then.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(seed: u64) -> Result<Outcome, Violation> {
        World::new(seed, None).finish()
    }

    /// Runs as [`run`](Self::run) does, and shows `watch` the trace, line by line.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn watch(seed: u64, watch: &'a mut dyn FnMut(&str)) -> Result<Outcome, Violation> {
        Self::new(seed, Some(watch)).finish()
    }

    fn new(seed: u64, watch: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut chance = Chance::new(seed, "world");
        let count = 3 + chance.index(3);
        let node = |index| Node::new(index, chance.within(AHEAD_MAX));
        let nodes = (0..count).map(node).collect();
        Self {
            seed,
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            nodes,
            network: Network::default(),
            story: Story::new(seed, count),
            faults: Faults::new(seed),
            known: Known::default(),
            asked: BTreeMap::new(),
            trace: Trace::new(watch),
            outcome: Outcome { nodes: count, ..Outcome::default() },
            changed: BEGIN,
            happenings: 0,
            entropy: Chance::new(seed, "entropy"),
            delays: Chance::new(seed, "delays"),
        }
    }

    fn finish(mut self) -> Result<Outcome, Violation> {
        let seed = self.seed;
        match self.live() {
            Ok(()) => Ok(Outcome {
                trace_hash: self.trace.hash(),
                forks: self.known.forks(),
                took: self.now.since(BEGIN),
                ..self.outcome
            }),
            Err(what) => Err(Violation { seed, at: self.now.since(BEGIN), what }),
        }
    }

    fn live(&mut self) -> Result<(), String> {
        for index in 0..self.nodes.len() {
            self.after(Duration::ZERO, Happening::Start(index));
        }
        while !self.story.is_over() {
            self.happen(None)?;
        }
        self.end_faults();
        self.until_quiet()?;
        self.check()?;
        self.last_words();
        self.until_quiet()?;
        self.check()?;
        self.restart_all()?;
        self.until_quiet()?;
        self.check()
    }

    /// Runs until nothing but ticks has come of anything for a while.
    pub(super) fn until_quiet(&mut self) -> Result<(), String> {
        let begun = self.now;
        self.changed = self.now;
        while self.now.since(self.changed) < QUIET {
            if self.now.since(begun) > RESTLESS_MAX {
                return Err("there is no quiet".to_owned());
            }
            self.happen(Some(self.changed.saturating_add(QUIET)))?;
        }
        Ok(())
    }

    /// Lets the next thing happen, unless it is later than `until`.
    pub(super) fn happen(&mut self, until: Option<Timestamp>) -> Result<(), String> {
        self.happenings += 1;
        if self.happenings > HAPPENINGS_MAX {
            return Err(format!("it goes in circles: {HAPPENINGS_MAX} things have happened"));
        }
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let due = self.nodes.iter().enumerate().filter_map(|(at, node)| Some((node.due()?, at)));
        let tick = due.min().filter(|(at, _)| queued.is_none_or(|queued| *at < queued));
        let Some(at) = tick.map(|(at, _)| at).or(queued).or(until) else {
            return Err("nothing will ever happen again".to_owned());
        };
        if let Some(until) = until.filter(|until| *until < at) {
            self.now = until;
            return Ok(());
        }
        self.now = self.now.max(at);
        let node = match tick {
            Some((_, node)) => {
                self.nodes[node].tick(self.now);
                Some(node)
            }
            None => match self.queue.pop_first() {
                Some((_, happening)) => self.handle(happening)?,
                None => None,
            },
        };
        node.map_or(Ok(()), |node| self.drive(node))
    }

    /// Does what happens, and says which node has steps to make because of it.
    fn handle(&mut self, happening: Happening) -> Result<Option<usize>, String> {
        match happening {
            Happening::Start(node) => {
                self.note(Kind::World, node, format_args!("starts"));
                self.nodes[node].start(node)?;
                return Ok(Some(node));
            }
            Happening::Saved(node, life) => return self.save_ends(node, life),
            Happening::Frame(link, bytes) => return Ok(self.frame(link, bytes)),
            Happening::Dialled { from, dial, to } => return Ok(self.dialled(from, dial, to)),
            Happening::DialFailed { from: (node, life), dial } => {
                if self.nodes[node].life == life {
                    self.nodes[node].push(Input::DialFailed { dial });
                    return Ok(Some(node));
                }
            }
            Happening::Opened { link, from: (node, life), dial } => {
                if self.nodes[node].life != life {
                    return Ok(None);
                }
                let opened = self.network.end(link).map(|end| end.open = true).is_some();
                self.nodes[node].push(match opened {
                    true => Input::Connected { link, dial: Some(dial) },
                    false => Input::DialFailed { dial },
                });
                return Ok(Some(node));
            }
            Happening::Ended(link) => {
                let Some(end) = self.network.forget(link) else { return Ok(None) };
                if end.open {
                    self.nodes[end.node].push(Input::Disconnected { link });
                    return Ok(Some(end.node));
                }
            }
            Happening::Act(action) => return Ok(self.act_out(action)),
            Happening::Break => self.break_something()?,
            Happening::Heal => self.heal(),
        }
        Ok(None)
    }

    /// Lets something happen after a while.
    pub(super) fn after(&mut self, wait: Duration, happening: Happening) {
        self.at(self.now.saturating_add(wait), happening);
    }

    pub(super) fn at(&mut self, at: Timestamp, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at, self.queued), happening);
    }

    pub(super) fn note(&mut self, kind: Kind, node: usize, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now.since(BEGIN), kind, node, what);
    }
}
