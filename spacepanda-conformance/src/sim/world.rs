use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Act, Call, Event, Input, Link, Tell},
    base::Timestamp,
};

use super::{
    chance::Chance,
    faults::Faults,
    known::Known,
    network::Network,
    node::{Done, Node, Progress},
    story::{Action, Asked, Story},
    trace::{Kind, Trace},
};

/// When a world begins: the first of January 2026.
const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// How far a node's clock is ahead at most.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How long a save takes at most.
const SAVE_MAX: Duration = Duration::from_millis(8);
/// How long a frame is on its way at most, on one link at least, and beyond that by chance.
const DELAY_MAX: Duration = Duration::from_millis(120);
/// How much later than others of its link a frame arrives at most.
const LATE_MAX: Duration = Duration::from_millis(15);
/// How long a dial that reaches nobody takes at most.
const PATIENCE_MAX: Duration = Duration::from_secs(3);
/// How long a lost link goes unnoticed at most.
const UNNOTICED_MAX: Duration = Duration::from_secs(5);
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
    changed: Timestamp,
    happenings: usize,
    entropy: Chance,
    delays: Chance,
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

    fn save_ends(&mut self, node: usize, life: u32) -> Result<Option<usize>, String> {
        if self.nodes[node].life != life || !self.nodes[node].is_running() {
            return Ok(None);
        }
        if let Some(kept) = self.faults.crashes_at_save() {
            self.crash(node, kept)?;
            return Ok(None);
        }
        let progress = self.nodes[node].saved()?;
        self.progress(node, progress)?;
        Ok(Some(node))
    }

    fn frame(&mut self, link: Link, bytes: Bytes) -> Option<usize> {
        let node = self.network.whole(link).filter(|end| end.open)?.node;
        let (bytes, twice) = self.faults.frame(bytes);
        if twice {
            self.nodes[node].push(Input::Frame { link, bytes: bytes.clone() });
        }
        self.nodes[node].push(Input::Frame { link, bytes });
        Some(node)
    }

    fn dialled(&mut self, from: (usize, u32), dial: u64, to: usize) -> Option<usize> {
        let (node, life) = from;
        if self.nodes[node].life != life || !self.nodes[node].is_running() {
            return None;
        }
        if !self.nodes[to].is_running() || !self.network.reaches(node, to) {
            let late = self.delays.within(PATIENCE_MAX);
            self.after(late, Happening::DialFailed { from, dial });
            return None;
        }
        let delay = self.delays.within(DELAY_MAX);
        let (link, other) = self.network.join((node, to), self.now, delay);
        self.after(delay, Happening::Opened { link, from, dial });
        self.nodes[to].push(Input::Connected { link: other, dial: None });
        Some(to)
    }

    /// Makes a node's steps, and carries out what comes of them, until it is idle.
    pub(super) fn drive(&mut self, node: usize) -> Result<(), String> {
        while self.nodes[node].is_busy() {
            let progress = self.nodes[node].steps(self.now, &mut self.entropy)?;
            self.progress(node, progress)?;
        }
        Ok(())
    }

    fn progress(&mut self, node: usize, progress: Progress) -> Result<(), String> {
        for (channel, entry) in &progress.appended {
            self.changed = self.now;
            let (device, number, id) = (entry.device, entry.number, entry.id);
            self.note(Kind::Append, node, format_args!("{channel:?} {device:?} {number} {id}"));
        }
        if progress.save_began {
            let takes = self.delays.within(SAVE_MAX);
            self.after(takes, Happening::Saved(node, self.nodes[node].life));
        }
        for Done { appended, acts, tells } in progress.done {
            self.durable(appended)?;
            for act in acts {
                self.act(node, act);
            }
            for tell in tells {
                self.tell(node, tell)?;
            }
        }
        Ok(())
    }

    /// Notes what is durable somewhere now.
    pub(super) fn durable(
        &mut self,
        appended: Vec<(spacepanda_core::base::ChannelId, spacepanda_core::base::LogEntry)>,
    ) -> Result<(), String> {
        appended.iter().try_for_each(|(channel, entry)| self.known.note(channel, entry))
    }

    fn act(&mut self, node: usize, act: Act) {
        match act {
            Act::Send(link, frame) => {
                let late = self.delays.within(LATE_MAX);
                if let Some((to, at)) = self.network.send(link, self.now, late) {
                    self.at(at, Happening::Frame(to, frame));
                }
            }
            Act::Dial(dial, addresses) => self.dial(node, dial, &addresses),
            Act::Close(link) => {
                if let Some((peer, at)) = self.network.close(link, self.now) {
                    self.at(at, Happening::Ended(peer));
                }
                self.nodes[node].push(Input::Disconnected { link });
            }
        }
    }

    fn dial(&mut self, node: usize, dial: u64, addresses: &[String]) {
        let from = (node, self.nodes[node].life);
        let targets: BTreeSet<usize> = addresses.iter().filter_map(|at| Network::at(at)).collect();
        let up = |to: &usize| {
            self.nodes.get(*to).is_some_and(Node::is_running) && self.network.reaches(node, *to)
        };
        let reachable: Vec<usize> = targets.into_iter().filter(up).collect();
        if reachable.is_empty() {
            let late = self.delays.within(PATIENCE_MAX);
            self.after(late, Happening::DialFailed { from, dial });
            return;
        }
        let to = reachable[self.delays.index(reachable.len())];
        let delay = self.delays.within(DELAY_MAX);
        self.after(delay, Happening::Dialled { from, dial, to });
    }

    fn tell(&mut self, node: usize, tell: Tell) -> Result<(), String> {
        // A join that nobody lets in says for ever that it waits.
        if !matches!(tell, Tell::Event(Event::JoinProgress { .. })) {
            self.changed = self.now;
        }
        self.note(Kind::Tell, node, format_args!("{tell:?}"));
        match tell {
            Tell::Started(Ok(ids)) => {
                self.nodes[node].started(ids);
                self.story_begins(node);
                Ok(())
            }
            Tell::Started(Err(error)) => Err(format!("node {node} cannot start: {error}")),
            Tell::Reply(call, reply) => match self.asked.remove(&(node, call)) {
                Some(asked) => self.answered(node, asked, reply),
                None => Err(format!("node {node} answers {call:?}, which nobody made")),
            },
            Tell::Event(event) => self.told(node, event),
        }
    }

    /// Loses a link; both ends notice in a while.
    pub(super) fn cut(&mut self, link: Link) {
        for end in self.network.cut(link) {
            let unnoticed = self.delays.within(UNNOTICED_MAX);
            self.after(unnoticed, Happening::Ended(end));
        }
    }

    /// Lets something happen after a while.
    pub(super) fn after(&mut self, wait: Duration, happening: Happening) {
        self.at(self.now.saturating_add(wait), happening);
    }

    fn at(&mut self, at: Timestamp, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at, self.queued), happening);
    }

    pub(super) fn note(&mut self, kind: Kind, node: usize, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now.since(BEGIN), kind, node, what);
    }
}
