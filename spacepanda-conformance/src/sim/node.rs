use std::{mem::take, sync::Arc, time::Duration};

use spacepanda_core::{
    app::engine::{Act, Call, Effects, Input, Loaded, Machine, Step, Tell},
    base::{ChannelId, DeviceId, IdentityId, LogEntry, Timestamp},
};

use super::{chance::Chance, disk::Disk, kept::Kept, network::Network};

/// Rounds of loading for one step.
const ROUNDS_MAX: usize = 4;
/// Steps that one happening may cause.
const STEPS_MAX: usize = 50_000;
/// The shortest sleep of a node.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// One person's node: what it keeps for ever, and what runs until the next crash.
pub(super) struct Node {
    name: String,
    /// How far its clock is ahead.
    ahead: Duration,
    disk: Arc<Disk>,
    /// How often it was started.
    pub(super) life: u32,
    last_call: u64,
    /// Who it is, once that was told.
    pub(super) ids: Option<(IdentityId, DeviceId)>,
    running: Option<Running>,
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
pub(super) struct Done {
    pub(super) appended: Vec<(ChannelId, LogEntry)>,
    pub(super) acts: Vec<Act>,
    pub(super) tells: Vec<Tell>,
}

/// What came of making steps.
#[derive(Default)]
pub(super) struct Progress {
    /// Envelopes that were appended, perhaps not durable yet.
    pub(super) appended: Vec<(ChannelId, LogEntry)>,
    pub(super) done: Vec<Done>,
    pub(super) save_began: bool,
}

impl Node {
    pub(super) fn new(index: usize, ahead: Duration) -> Self {
        Self {
            name: format!("p{index}"),
            ahead,
            disk: Arc::default(),
            life: 0,
            last_call: 0,
            ids: None,
            running: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether calls are answered.
    pub(super) fn is_started(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.started)
    }

    /// Starts the node from its disk; the first time it is told its name.
    pub(super) fn start(&mut self, index: usize) -> Result<(), String> {
        let kept = Kept::open(&self.disk).map_err(|error| format!("open the store: {error}"))?;
        let name = (self.life == 0 || self.ids.is_none()).then(|| self.name.clone());
        self.life += 1;
        self.running = Some(Running {
            machine: Machine::new(name),
            kept,
            saving: None,
            gathered: Vec::new(),
            saves: false,
            busy: true,
            started: false,
            ticked: Timestamp::ZERO,
        });
        self.push(Input::Addresses(vec![Network::address(index)]));
        Ok(())
    }

    /// Stops the node at once. What was being saved is `kept` or never happened; what of it is
    /// durable is returned.
    pub(super) fn crash(&mut self, kept: bool) -> Vec<Done> {
        let Some(running) = self.running.take() else { return Vec::new() };
        if !kept {
            self.disk.take_back();
            return Vec::new();
        }
        self.disk.settle();
        running.saving.unwrap_or_default()
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

    pub(super) fn started(&mut self, ids: (IdentityId, DeviceId)) {
        self.ids = Some(ids);
        if let Some(running) = &mut self.running {
            running.started = true;
        }
    }

    /// When a tick is due, in the world's time.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let running = self.running.as_ref()?;
        let due = running.machine.deadline()?.since(Timestamp::ZERO).saturating_sub(self.ahead);
        let due = Timestamp::ZERO.saturating_add(due);
        Some(due.max(running.ticked.saturating_add(SLEEP_MIN)))
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
        let clock = now.saturating_add(self.ahead);
        let Some(running) = &mut self.running else { return Ok(progress) };
        for _ in 0..STEPS_MAX {
            match running.step(clock, chance)? {
                None => {
                    running.busy = false;
                    return Ok(progress);
                }
                Some(effects) => running.keep(effects, &mut progress)?,
            }
        }
        Err(format!("{STEPS_MAX} steps are made and more are to be made"))
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.busy)
    }

    /// The save under way has ended.
    pub(super) fn saved(&mut self) -> Result<Progress, String> {
        let mut progress = Progress::default();
        let Some(running) = &mut self.running else { return Ok(progress) };
        self.disk.settle();
        progress.done = running.saving.take().unwrap_or_default();
        running.save(&mut progress)?;
        Ok(progress)
    }
}

impl Running {
    fn step(&mut self, now: Timestamp, chance: &mut Chance) -> Result<Option<Effects>, String> {
        let mut loaded = Loaded::default();
        for _ in 0..=ROUNDS_MAX {
            match self.machine.step(&loaded, now, chance.secret()) {
                Step::Idle => return Ok(None),
                Step::Load(reads) => {
                    loaded.extend(self.kept.load(reads).map_err(|error| format!("load: {error}"))?);
                }
                Step::Done(effects) => return Ok(Some(effects)),
            }
        }
        Err(format!("a step asks for more after {ROUNDS_MAX} rounds of loading"))
    }

    fn keep(&mut self, mut effects: Effects, progress: &mut Progress) -> Result<(), String> {
        if !effects.saves_nothing() {
            self.kept.stage(&mut effects).map_err(|error| format!("stage: {error}"))?;
            self.saves = true;
        }
        progress.appended.extend(effects.log.iter().cloned());
        let Effects { log, acts, tells, .. } = effects;
        self.gathered.push(Done { appended: log, acts, tells });
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
        self.kept.flush().map_err(|error| format!("save: {error}"))?;
        self.saving = Some(gathered);
        progress.save_began = true;
        Ok(())
    }
}
