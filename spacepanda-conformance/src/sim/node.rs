use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
    sync::Arc,
};

use spacepanda_core::{
    app::engine::{
        Act, Call, Effects, Finding, Input, LOAD_ROUNDS_MAX, Loaded, Machine, Sizes, Step, Tell,
    },
    base::{
        Bug, ChannelId, DeviceId, EnvelopeId, IdentityId, LogEntry, ServerId, StateId, Timestamp,
    },
    store::ProviderStorageBackend,
};

use super::{
    chance::Chance, clock::Clock, gate::Fate, guest::Guest, hostile::Puppet, kept::Kept,
    known::Name, network::Network, plan::CrashAt,
};

/// Steps that one happening may cause.
const STEPS_MAX: usize = 50_000;
/// The shortest sleep of a node.
const SLEEP_MIN: std::time::Duration = std::time::Duration::from_millis(1);

/// One person's node: what lasts, and what runs until the next crash.
pub(super) struct Node {
    name: String,
    pub(super) clock: Clock,
    /// How often it was started.
    pub(super) life: u32,
    last_call: u64,
    /// Who it is, once that was told.
    pub(super) ids: Option<(IdentityId, DeviceId)>,
    /// Every device that it was.
    pub(super) devices: BTreeSet<DeviceId>,
    /// When a copy of what it keeps was put aside.
    pub(super) copied: Option<Timestamp>,
    /// When the copy was made that it went on from, and when it did.
    pub(super) restored: Option<(Timestamp, Timestamp)>,
    /// What its next start finds outside its store, if anybody is to look: until what follows from that is
    /// kept.
    pub(super) finding: Option<Finding>,
    running: Option<Running>,
    guest: Option<Box<dyn Guest>>,
    /// Who speaks for a hostile member.
    puppet: Option<Puppet>,
    /// Until when it stands still.
    pub(super) asleep: Option<Timestamp>,
    /// Whether it never starts again.
    pub(super) gone: bool,
    /// Whether its next read fails.
    pub(super) misreads: bool,
    /// What its next save is to meet.
    pub(super) harm: Option<Harm>,
    /// Until when its disk is full.
    pub(super) full: Option<Timestamp>,
    /// Until when no save of it ends.
    pub(super) stalled: Option<Timestamp>,
    /// Saves that failed in a row.
    pub(super) failures: u32,
    /// Saves that came to an end, well or not.
    pub(super) saves: u32,
    /// Whether it said last that it waits to come back.
    pub(super) heals: bool,
    /// Whether it said last that it was let in and waits to be in the group.
    pub(super) is_let_in: bool,
    /// What it showed of each message last.
    pub(super) shown: BTreeMap<Name, Shown>,
    /// Messages handed over to it in this life, as far as they were counted.
    pub(super) handed_over: usize,
    due: Option<Timestamp>,
}

/// What a person saw of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) text: bool,
    pub(super) delivered: bool,
}

impl Shown {
    /// Whether it was shown more before.
    pub(super) fn is_less_than(self, before: Self) -> bool {
        before.text && !self.text || before.delivered && !self.delivered
    }
}

/// What happens to a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    Fails,
    /// The node crashes, and is down for so long.
    Crash(CrashAt, std::time::Duration),
}

struct Running {
    machine: Machine,
    kept: Kept,
    saving: Option<Vec<Done>>,
    gathered: Vec<Done>,
    /// Whether anything gathered must be saved.
    saves: bool,
    /// Whether the machine may have a step to make.
    busy: bool,
    started: bool,
    ticked: Timestamp,
}

/// What one step did: it is durable, and its acts and tells are due.
#[derive(Default)]
pub(super) struct Done {
    pub(super) appended: Vec<(ChannelId, LogEntry)>,
    /// What was kept without its body before, and has it now.
    pub(super) filled: Vec<EnvelopeId>,
    pub(super) acts: Vec<Act>,
    pub(super) tells: Vec<Tell>,
}

/// What came of one step.
enum Stepped {
    Idle,
    Misread,
    Done(Effects),
}

/// What came of making steps.
#[derive(Default)]
pub(super) struct Progress {
    /// Envelopes that were appended, perhaps not durable yet.
    pub(super) appended: Vec<(ChannelId, LogEntry)>,
    pub(super) done: Vec<Done>,
    pub(super) save_began: bool,
    /// Whether a read failed, and with it the step that asked for it.
    pub(super) misread: bool,
}

impl Node {
    pub(super) fn new(index: usize, clock: Clock) -> Self {
        Self {
            name: Self::name_of(index),
            clock,
            life: 0,
            last_call: 0,
            ids: None,
            devices: BTreeSet::new(),
            copied: None,
            restored: None,
            finding: None,
            running: None,
            guest: None,
            puppet: None,
            asleep: None,
            gone: false,
            misreads: false,
            harm: None,
            full: None,
            stalled: None,
            failures: 0,
            saves: 0,
            heals: false,
            is_let_in: false,
            shown: BTreeMap::new(),
            handed_over: 0,
            due: None,
        }
    }

    /// What the person is called.
    pub(super) fn name_of(index: usize) -> String {
        format!("p{index}")
    }

    pub(super) fn guest(index: usize, guest: Box<dyn Guest>) -> Self {
        Self { guest: Some(guest), ..Self::new(index, Clock::default()) }
    }

    pub(super) fn puppet(index: usize) -> Self {
        Self { puppet: Some(Puppet::default()), ..Self::new(index, Clock::default()) }
    }

    pub(super) fn puppet_mut(&mut self) -> Option<&mut Puppet> {
        self.puppet.as_mut()
    }

    /// What a node of ours keeps, while it runs.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.running.as_ref().map(|running| &running.kept)
    }

    pub(super) fn is_guest(&self) -> bool {
        self.guest.is_some() || self.puppet.is_some()
    }

    pub(super) fn guest_mut(&mut self) -> Option<&mut (dyn Guest + 'static)> {
        let puppet = self.puppet.as_mut().map(|puppet| puppet as &mut (dyn Guest + 'static));
        self.guest.as_deref_mut().or(puppet)
    }

    /// Whether there is a process, asleep or not.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some() || self.is_guest()
    }

    /// Whether something reaches it.
    pub(super) fn is_up(&self) -> bool {
        self.is_running() && self.asleep.is_none()
    }

    /// Whether calls are answered.
    pub(super) fn is_started(&self) -> bool {
        self.asleep.is_none() && self.running.as_ref().is_some_and(|running| running.started)
    }

    /// Starts the node from what it keeps; the first time it is told its name.
    pub(super) fn start(
        &mut self,
        index: usize,
        backend: Arc<dyn ProviderStorageBackend>,
    ) -> Result<(), String> {
        let kept = Kept::open(backend).map_err(|error| format!("open the store: {error}"))?;
        let name = self.ids.is_none().then(|| self.name.clone());
        self.life += 1;
        (self.heals, self.is_let_in, self.handed_over) = (false, false, 0);
        self.running = Some(Running {
            machine: match self.finding {
                None => Machine::new(name),
                Some(_) => Machine::to_be_judged(name),
            },
            kept,
            saving: None,
            gathered: Vec::new(),
            saves: false,
            busy: true,
            started: false,
            ticked: Timestamp::ZERO,
        });
        self.push(Input::Addresses(vec![Network::address(index)]));
        if let Some(finding) = self.finding {
            self.push(Input::Found(finding));
        }
        Ok(())
    }

    /// Stops the node at once. What was being saved is `kept` or never happened; what of it is
    /// durable is returned.
    pub(super) fn stop(&mut self, kept: bool) -> Result<Vec<Done>, String> {
        self.due = None;
        self.asleep = None;
        let Some(mut running) = self.running.take() else { return Ok(Vec::new()) };
        if !kept {
            return Ok(Vec::new());
        }
        running.kept.end_save(Fate::Made).map_err(|error| format!("save: {error}"))?;
        Ok(running.saving.unwrap_or_default())
    }

    pub(super) fn push(&mut self, input: Input) {
        if let Some(running) = &mut self.running {
            running.machine.push(input);
            running.busy = true;
        }
    }

    pub(super) fn next_call(&mut self) -> Call {
        self.last_call += 1;
        Call(self.last_call)
    }

    /// Notes who it is, perhaps with another device than before.
    pub(super) fn is_now(&mut self, ids: (IdentityId, DeviceId)) {
        self.ids = Some(ids);
        self.devices.insert(ids.1);
    }

    /// Whether what it accepted at a time can be gone with what it kept after a copy was made.
    pub(super) fn may_have_lost(&self, at: Timestamp) -> bool {
        self.restored.is_some_and(|(copied, restored)| (copied..=restored).contains(&at))
    }

    pub(super) fn started(&mut self, ids: (IdentityId, DeviceId)) {
        self.is_now(ids);
        if let Some(running) = &mut self.running {
            running.started = true;
        }
    }

    /// When a tick is due, in the world's time.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if let Some(guest) = &self.guest {
            return guest.deadline();
        }
        if let Some(puppet) = &self.puppet {
            return puppet.deadline();
        }
        self.due.filter(|_| self.asleep.is_none())
    }

    /// Reads the clock again: it has jumped, or the machine has made steps.
    pub(super) fn plan_tick(&mut self) {
        let due = |running: &Running| {
            let due = self.clock.when(running.machine.deadline()?);
            Some(due.max(running.ticked.saturating_add(SLEEP_MIN)))
        };
        self.due = self.running.as_ref().and_then(due);
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        if let Some(running) = &mut self.running {
            running.ticked = now;
        }
        self.push(Input::Tick);
    }

    /// Makes steps until there are none to make.
    pub(super) fn steps(
        &mut self,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Result<Progress, String> {
        let mut progress = Progress::default();
        let clock = self.clock.shows(now);
        let Some(running) = &mut self.running else { return Ok(progress) };
        for _ in 0..STEPS_MAX {
            match running.step(clock, chance, &mut self.misreads)? {
                Stepped::Idle => {
                    running.busy = false;
                    return Ok(progress);
                }
                Stepped::Misread => {
                    progress.misread = true;
                    return Ok(progress);
                }
                Stepped::Done(effects) => running.keep(effects, &mut progress)?,
            }
        }
        Err(format!("{STEPS_MAX} steps are made and more are to be made"))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.busy)
    }

    /// The save under way ends; `None` if it failed.
    pub(super) fn saved(&mut self, fate: Fate) -> Result<Option<Progress>, String> {
        let mut progress = Progress::default();
        let Some(running) = &mut self.running else { return Ok(Some(progress)) };
        match (running.kept.end_save(fate), fate) {
            (Err(_), Fate::Failed) if Bug::IgnoresFailedSaves.is_planted() => {}
            (Err(_), Fate::Failed) => return Ok(None),
            (Err(error), Fate::Made) => return Err(format!("save: {error}")),
            (Ok(()), _) => {}
        }
        self.failures = 0;
        progress.done = running.saving.take().unwrap_or_default();
        running.save(&mut progress)?;
        Ok(Some(progress))
    }

    /// What this node holds alike with others, as long as it runs.
    pub(super) fn control_hash(&self, server: &ServerId) -> Option<[u8; 32]> {
        self.running.as_ref()?.machine.control_hash(server)
    }

    pub(super) fn sizes(&self) -> Option<Sizes> {
        self.running.as_ref().map(|running| running.machine.sizes())
    }

    pub(super) fn stand(&self, server: &ServerId) -> Option<StateId> {
        self.running.as_ref()?.machine.stand(server)
    }

    pub(super) fn head(&self, server: &ServerId) -> Option<StateId> {
        self.running.as_ref()?.machine.head(server)
    }
}

impl Running {
    fn step(
        &mut self,
        now: Timestamp,
        chance: &mut Chance,
        misreads: &mut bool,
    ) -> Result<Stepped, String> {
        let mut loaded = Loaded::default();
        for _ in 0..=LOAD_ROUNDS_MAX {
            match self.machine.step(&loaded, now, chance.secret()) {
                Step::Idle => return Ok(Stepped::Idle),
                Step::Load(_) if take(misreads) => return Ok(Stepped::Misread),
                Step::Load(reads) => {
                    loaded.extend(self.kept.load(reads).map_err(|error| format!("load: {error}"))?);
                }
                Step::Done(effects) => return Ok(Stepped::Done(effects)),
            }
        }
        Err(format!("a step asks for more after {LOAD_ROUNDS_MAX} rounds of loading"))
    }

    fn keep(&mut self, mut effects: Effects, progress: &mut Progress) -> Result<(), String> {
        let filled = effects.bodies.iter().map(|(_, tip, _)| tip.id).collect();
        if !effects.saves_nothing() {
            self.kept.stage(&mut effects).map_err(|error| format!("stage: {error}"))?;
            self.saves = true;
        }
        progress.appended.extend(effects.log.iter().cloned());
        let Effects { log, mut acts, mut tells, .. } = effects;
        if Bug::SendsBeforeSaving.is_planted() {
            let (acts, tells) = (take(&mut acts), take(&mut tells));
            progress.done.push(Done { acts, tells, ..Done::default() });
        }
        self.gathered.push(Done { appended: log, filled, acts, tells });
        self.save(progress)
    }

    /// Begins the next save if none is under way; what needs none comes out at once.
    fn save(&mut self, progress: &mut Progress) -> Result<(), String> {
        if self.saving.is_some() {
            return Ok(());
        }
        let gathered = take(&mut self.gathered);
        if !take(&mut self.saves) {
            progress.done.extend(gathered);
            return Ok(());
        }
        self.kept.begin_save().map_err(|error| format!("save: {error}"))?;
        self.saving = Some(gathered);
        progress.save_began = true;
        Ok(())
    }
}
