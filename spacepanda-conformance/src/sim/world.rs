use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Call, Input, Link},
    base::{StateId, Timestamp},
};

use super::{
    chance::Chance,
    clock::Clock,
    clones::Clones,
    disks::{Disks, MemoryDisks},
    faults::{Faults, Over},
    guest::Guest,
    known::Known,
    network::Network,
    node::Node,
    outcome::{Outcome, Totals, Violation},
    plan::{Deed, Fault, Plan, Step, What},
    points::Point,
    story::{Asked, Story},
    trace::{Kind, Trace},
};

/// When a world begins: the first of January 2026.
pub(super) const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// How far a node's clock is ahead at most.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How long people go on once the last of the plan is over.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// A world is quiet when nothing but ticks came of this.
const QUIET: Duration = Duration::from_secs(50 * 60);
/// A world that is not quiet this long after all went well will never be.
const RESTLESS_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Happenings of one run; a run of so many goes in circles.
const HAPPENINGS_MAX: usize = 2_000_000;
/// People who join once all is quiet: at once, and after all have idled.
const NEWCOMERS: usize = 2;

/// What a world is made of.
///
/// ```
/// use spacepanda_conformance::sim::{Plan, Setup, World};
///
/// let plan = Plan::draw(7, Setup { nodes: Some(3), steps: 20, ..Setup::default() });
/// let once = World::builder(&plan).run().unwrap();
/// let again = World::builder(&plan).run().unwrap();
/// assert_eq!(once, again);
/// ```
pub struct WorldBuilder<'a> {
    plan: &'a Plan,
    disks: Box<dyn Disks + 'a>,
    guests: Vec<Box<dyn Guest>>,
    watch: Option<&'a mut dyn FnMut(&str)>,
}

impl<'a> WorldBuilder<'a> {
    /// Nodes keep things there, instead of in memory.
    #[must_use]
    pub fn disks(mut self, disks: impl Disks + 'a) -> Self {
        self.disks = Box::new(disks);
        self
    }

    /// One more node, which is not one of ours.
    #[must_use]
    pub fn guest(mut self, guest: Box<dyn Guest>) -> Self {
        self.guests.push(guest);
        self
    }

    /// Shows the trace, line by line.
    #[must_use]
    pub fn watch(mut self, watch: &'a mut dyn FnMut(&str)) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Runs the world to its end, and checks all along and at the end what must hold.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(self) -> Result<Outcome, Violation> {
        World::new(self).finish(World::live)
    }
}

/// Several nodes, what lies between them, and what happens to them: a run of one plan.
pub struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    queued: u64,
    pub(super) nodes: Vec<Node>,
    /// Who means harm, each with the node that speaks for them.
    pub(super) puppets: BTreeMap<usize, usize>,
    pub(super) clones: Clones,
    pub(super) disks: Box<dyn Disks + 'a>,
    pub(super) network: Network,
    pub(super) story: Story,
    pub(super) faults: Faults,
    pub(super) known: Known,
    pub(super) stands: Vec<Option<StateId>>,
    /// On which state each node stood last, if that was its head.
    settled: Vec<Option<StateId>>,
    pub(super) asked: BTreeMap<(usize, Call), Asked>,
    pub(super) trace: Trace<'a>,
    pub(super) outcome: Totals,
    /// The save that is yet to go wrong.
    pub(super) point: Option<Point>,
    /// When anything was appended or told last.
    pub(super) changed: Timestamp,
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
    Do(Step),
    /// Something breaks.
    Break(Fault),
    /// Somebody means harm.
    Misbehave(Deed),
    /// Something is whole again.
    Over(Over),
    /// All of the plan is over.
    PlanEnds,
}

impl<'a> World<'a> {
    /// A world for `plan`, with disks in memory.
    pub fn builder(plan: &'a Plan) -> WorldBuilder<'a> {
        let disks = Box::<MemoryDisks>::default();
        WorldBuilder { plan, disks, guests: Vec::new(), watch: None }
    }

    /// Runs `plan` with disks in memory.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(plan: &Plan) -> Result<Outcome, Violation> {
        World::builder(plan).run()
    }

    pub(super) fn new(of: WorldBuilder<'a>) -> Self {
        let seed = of.plan.seed;
        let mut chance = Chance::new(seed, "world");
        let ours = of.plan.nodes + NEWCOMERS;
        let node = |index| Node::new(index, Clock::ahead(chance.within(AHEAD_MAX)));
        let mut nodes: Vec<Node> = (0..ours).map(node).collect();
        nodes.extend(of.guests.into_iter().enumerate().map(|(at, it)| Node::guest(ours + at, it)));
        let hostile = of.plan.hostile().into_iter().filter(|who| *who < of.plan.nodes);
        let puppets: BTreeMap<usize, usize> = hostile.zip(nodes.len()..).collect();
        nodes.extend(puppets.values().map(|index| Node::puppet(*index)));
        let clones = Clones::new(of.plan, nodes.len());
        let first = nodes.len();
        nodes.extend((first..first + clones.len()).map(|index| Node::new(index, Clock::default())));
        Self {
            plan: of.plan,
            puppets,
            clones,
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            stands: vec![None; nodes.len()],
            settled: vec![None; nodes.len()],
            story: Story::new(seed, nodes.len()),
            nodes,
            disks: of.disks,
            network: Network::default(),
            faults: Faults::new(seed),
            known: Known::default(),
            asked: BTreeMap::new(),
            trace: Trace::new(of.watch),
            outcome: Totals { nodes: of.plan.nodes, ..Totals::default() },
            point: None,
            changed: BEGIN,
            entropy: Chance::new(seed, "entropy"),
            delays: Chance::new(seed, "delays"),
        }
    }

    /// Lives as `live` says, and sums up what came of it.
    pub(super) fn finish(
        mut self,
        live: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<Outcome, Violation> {
        let seed = self.plan.seed;
        match live(&mut self) {
            Ok(()) => {
                self.known.count(&mut self.outcome);
                self.outcome.took = self.now.since(BEGIN);
                Ok(Outcome { trace_hash: self.trace.hash(), totals: self.outcome })
            }
            Err(what) => Err(Violation { seed, at: self.now.since(BEGIN), what }),
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.plan.seed
    }

    fn live(&mut self) -> Result<(), String> {
        self.live_the_plan()?;
        self.last_words();
        self.newcomer(self.plan.nodes)?;
        self.until_quiet()?;
        self.check()?;
        self.restart_all()?;
        self.until_quiet()?;
        self.check()?;
        self.idle()?;
        self.newcomer(self.plan.nodes + 1)?;
        self.last_words();
        self.until_quiet()?;
        self.check()
    }

    /// Everything that the plan says, until all is well and quiet again.
    pub(super) fn live_the_plan(&mut self) -> Result<(), String> {
        self.live_until_it_is_over()?;
        self.end_faults();
        self.end_clones()?;
        self.until_quiet()?;
        self.check()
    }

    /// Everything that the plan says, and no longer.
    pub(super) fn live_until_it_is_over(&mut self) -> Result<(), String> {
        self.begin();
        while !self.story.over {
            self.happen(None)?;
        }
        Ok(())
    }

    /// Everybody is about to start.
    pub(super) fn begin(&mut self) {
        for node in 0..self.plan.nodes {
            self.after(Duration::ZERO, Happening::Start(node));
        }
        for node in self.plan.nodes + NEWCOMERS..self.nodes.len() {
            self.push(node, Input::Addresses(vec![Network::address(node)]));
        }
    }

    /// There is a first invite: from now on people do what the plan says, and things break.
    pub(super) fn begin_plan(&mut self) {
        let plan = self.plan;
        for entry in &plan.entries {
            let happening = match &entry.what {
                What::Do(step) => Happening::Do(*step),
                What::Break(fault) => Happening::Break(fault.clone()),
                What::Harm(deed) => Happening::Misbehave(*deed),
            };
            self.after(entry.at, happening);
        }
        self.after(plan.lasts() + AFTERWARDS, Happening::PlanEnds);
        let link = self.story.invites.first().map(|invite| invite.link.clone()).unwrap_or_default();
        for node in 0..self.nodes.len() {
            let seed = self.entropy.secret();
            let Some(guest) = self.nodes[node].guest_mut() else { continue };
            let acts = guest.invited(&link, self.now, seed);
            acts.into_iter().for_each(|act| self.act(node, act));
        }
    }

    /// Somebody who was not there comes in, invited by a member.
    fn newcomer(&mut self, node: usize) -> Result<(), String> {
        let Some(host) = self.host() else { return Ok(()) };
        self.invite(host, 0, None, true);
        self.drive(host)?;
        self.after(Duration::from_secs(1), Happening::Start(node));
        self.after(Duration::from_secs(2), Happening::Do(Step::Join { who: node, by: host }));
        Ok(())
    }

    /// How many people there are from the beginning.
    pub(super) fn plan_nodes(&self) -> usize {
        self.plan.nodes
    }

    /// A member who is there, the founder if they are.
    fn host(&self) -> Option<usize> {
        (0..self.plan.nodes).find(|node| {
            let joined = *node == 0 || self.story.people[*node].joined;
            joined
                && !self.is_hostile(*node)
                && self.story.is_sure(*node)
                && self.nodes[*node].is_started()
        })
    }

    /// Notes where a node encrypts now.
    pub(super) fn watch_stand(&mut self, node: usize) {
        let Some(server) = self.story.server else { return };
        let (stand, head) = (self.nodes[node].stand(&server), self.nodes[node].head(&server));
        let settled = std::mem::replace(&mut self.settled[node], stand.filter(|_| stand == head));
        let moved = settled.zip(stand).filter(|(left, to)| left != to);
        if let Some(((left, to), ids)) = moved.zip(self.nodes[node].ids) {
            self.known.note_move(node, ids, &left, &to);
        }
        if let Some(stand) = stand.filter(|stand| self.stands[node] != Some(*stand))
            && let Some(left) = self.stands[node].replace(stand)
        {
            self.known.moves.push((left, stand));
        }
    }

    /// Every node stops and starts again from what it keeps.
    pub(super) fn restart_all(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_running() && !self.nodes[node].is_guest() {
                self.stop(node, true, true)?;
                self.after(Duration::from_secs(1), Happening::Start(node));
            }
        }
        Ok(())
    }

    /// Lets a long time pass.
    fn idle(&mut self) -> Result<(), String> {
        let until = self.now.saturating_add(self.plan.idle);
        while self.now < until {
            self.happen(Some(until))?;
        }
        Ok(())
    }

    /// Runs until nothing but ticks has come of anything for a while. Where somebody means harm, or a copy ran,
    /// also until nobody waits to come back, or in: two of them can win with a commit that nobody holds or may
    /// follow, and then pleas are hours apart. Among others nobody has to wait as long.
    pub(super) fn until_quiet(&mut self) -> Result<(), String> {
        let begun = self.now;
        self.changed = self.now;
        loop {
            let quiet = self.now.since(self.changed) >= QUIET;
            let over = self.now.since(begun) > RESTLESS_MAX;
            if quiet && (over || !self.somebody_heals()) {
                return Ok(());
            }
            if over {
                return Err("there is no quiet".to_owned());
            }
            let from = if quiet { self.now } else { self.changed };
            self.happen(Some(from.saturating_add(QUIET)))?;
        }
    }

    fn somebody_heals(&self) -> bool {
        let honest = (0..self.nodes.len()).filter(|node| !self.is_hostile(*node));
        let mut honest = honest.map(|node| &self.nodes[node]);
        !self.each_speaks_alone() && honest.any(|node| (node.heals || node.is_let_in) && !node.gone)
    }

    /// Lets the next thing happen, unless it is later than `until`.
    pub(super) fn happen(&mut self, until: Option<Timestamp>) -> Result<(), String> {
        self.outcome.happenings += 1;
        if self.outcome.happenings > HAPPENINGS_MAX {
            return Err(format!("it goes in circles: {HAPPENINGS_MAX} things have happened"));
        }
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let due = self.nodes.iter().enumerate().filter_map(|(at, node)| Some((node.due()?, at)));
        let tick = due.min().filter(|(at, _)| queued.is_none_or(|queued| *at < queued));
        let Some(at) = tick.map(|(at, _)| at).or(queued).or(until) else {
            return Err("nothing will ever happen again".to_owned());
        };
        if let Some(until) = until.filter(|until| *until <= at) {
            self.now = self.now.max(until);
            return Ok(());
        }
        self.now = self.now.max(at);
        let node = match tick {
            Some((_, node)) => {
                self.tick(node);
                Some(node)
            }
            None => match self.queue.pop_first() {
                Some((_, happening)) => self.handle(happening)?,
                None => None,
            },
        };
        node.map_or(Ok(()), |node| self.drive(node))
    }

    fn tick(&mut self, node: usize) {
        if self.nodes[node].is_guest() {
            self.push(node, Input::Tick);
        } else {
            self.nodes[node].tick(self.now);
        }
    }

    /// Does what happens, and says which node has steps to make because of it.
    fn handle(&mut self, happening: Happening) -> Result<Option<usize>, String> {
        let Some(happening) = self.unless_asleep(happening) else { return Ok(None) };
        match happening {
            Happening::Start(node) => return self.start(node),
            Happening::Saved(node, life) => return self.save_ends(node, life),
            Happening::Frame(link, bytes) => return Ok(self.frame(link, bytes)),
            Happening::Dialled { from, dial, to } => return Ok(self.dialled(from, dial, to)),
            Happening::DialFailed { from: (node, life), dial } => {
                if self.nodes[node].life == life {
                    self.push(node, Input::DialFailed { dial });
                    return Ok(Some(node));
                }
            }
            Happening::Opened { link, from: (node, life), dial } => {
                if self.nodes[node].life != life {
                    return Ok(None);
                }
                let opened = self.network.end(link).map(|end| end.open = true).is_some();
                let input = match opened {
                    true => Input::Connected { link, dial: Some(dial) },
                    false => Input::DialFailed { dial },
                };
                self.push(node, input);
                return Ok(Some(node));
            }
            Happening::Ended(link) => {
                let Some(end) = self.network.forget(link) else { return Ok(None) };
                if end.open {
                    self.push(end.node, Input::Disconnected { link });
                    return Ok(Some(end.node));
                }
            }
            Happening::Do(step) => return Ok(self.act_out(step)),
            Happening::Break(fault) => self.break_something(fault)?,
            Happening::Misbehave(deed) => self.misbehave(deed)?,
            Happening::Over(over) => return self.mend(over),
            Happening::PlanEnds => self.story.over = true,
        }
        Ok(None)
    }

    pub(super) fn start(&mut self, node: usize) -> Result<Option<usize>, String> {
        if self.nodes[node].gone || self.nodes[node].is_running() {
            return Ok(None);
        }
        self.note(Kind::World, node, format_args!("starts"));
        let backend = self.disks.open(node).map_err(|error| format!("open the store: {error}"))?;
        self.nodes[node].start(node, backend)?;
        Ok(Some(node))
    }

    /// What happens to a node that is asleep happens when it wakes.
    fn unless_asleep(&mut self, happening: Happening) -> Option<Happening> {
        let node = match &happening {
            Happening::Saved(node, _)
            | Happening::DialFailed { from: (node, _), .. }
            | Happening::Opened { from: (node, _), .. } => Some(*node),
            Happening::Ended(link) => self.network.end(*link).map(|end| end.node),
            _ => None,
        };
        match node.and_then(|node| self.nodes[node].asleep) {
            Some(until) if until >= self.now => {
                self.at(until.saturating_add(Duration::from_micros(1)), happening);
                None
            }
            _ => Some(happening),
        }
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
