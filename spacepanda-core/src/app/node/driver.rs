use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::{
    dials::{Dialled, Dials},
    fault::Fault,
    links::Links,
    machinery::Machinery,
    mirroring::{Heard, Mirroring},
    reads::Kept,
    saves::{Outcome, Saves},
};
use crate::{
    app::{
        engine::{
            AppError, Call, Command, Effects, Event, Input, LOAD_ROUNDS_MAX, Loaded, Reply, Step,
        },
        os,
    },
    base::{DeviceId, IdentityId, Result},
    store::ProviderStorageBackend,
    transport::{Transport, TransportEvent, paths::Backoff},
};

/// Calls that wait for the driver.
pub(super) const REQUESTS_MAX: usize = 256;
/// Calls that wait for their answers; while there are as many, no further one is taken.
const CALLS_MAX: usize = 4_096;
/// How often the node looks whether its addresses have changed.
const ADDRESSES_PERIOD: Duration = Duration::from_secs(30);
/// The longest sleep: a machine that was suspended reads the clock again after it.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// The shortest sleep.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// A call, and where its answer goes.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Reply, AppError>>,
}

/// Where the identity goes, once the machine has it.
pub(super) type Started = oneshot::Sender<Result<(IdentityId, DeviceId), AppError>>;

/// What a driver is made of.
pub(super) struct Parts<M> {
    pub(super) machine: Box<dyn Fn() -> M + Send>,
    pub(super) backend: Arc<dyn ProviderStorageBackend>,
    pub(super) kept: Kept,
    pub(super) mirroring: Mirroring,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) started: Started,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) device: watch::Sender<Option<DeviceId>>,
}

/// Carries out what the machine decides: one task owns it, its store and its links.
///
/// What a step keeps is staged at once and saved with whatever was gathered meanwhile; its acts and
/// tells wait for that save. While a save is in flight further steps are made.
pub(super) struct Driver<M> {
    pub(super) make: Box<dyn Fn() -> M + Send>,
    pub(super) machine: M,
    pub(super) backend: Arc<dyn ProviderStorageBackend>,
    pub(super) kept: Kept,
    pub(super) saves: Saves,
    pub(super) mirroring: Mirroring,
    pub(super) transport: Arc<dyn Transport>,
    hears: bool,
    pub(super) links: Links,
    pub(super) dials: Dials,
    addresses: Vec<String>,
    look: Interval,
    pub(super) requests: mpsc::Receiver<Request>,
    last_call: u64,
    pub(super) calls: BTreeMap<Call, oneshot::Sender<Result<Reply, AppError>>>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) started: Option<Started>,
    /// Which device the node is, for its handles.
    pub(super) device: watch::Sender<Option<DeviceId>>,
    pub(super) closing: watch::Receiver<bool>,
    is_closing: bool,
    /// Whether the machine may have a step to make.
    busy: bool,
    /// Failures since the last save that did not fail.
    pub(super) failures: u32,
    pub(super) backoff: Backoff,
}

/// Why the driver looks up.
enum Wake {
    Saved(Result<Vec<Outcome>>),
    Closing,
    Dialled(Dialled),
    Due,
    Look,
    Event(Result<TransportEvent>),
    Request(Option<Request>),
    Mirror(Heard),
}

/// Whether the driver goes on.
enum Flow {
    On,
    Stop,
}

impl<M: Machinery> Driver<M> {
    /// Makes a driver; call it within a tokio runtime.
    pub(super) fn new(parts: Parts<M>) -> Self {
        let mut look = interval(ADDRESSES_PERIOD);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            machine: (parts.machine)(),
            make: parts.machine,
            backend: parts.backend,
            saves: Saves::new(parts.kept.generation()),
            kept: parts.kept,
            mirroring: parts.mirroring,
            links: Links::new(Arc::clone(&parts.transport)),
            dials: Dials::new(Arc::clone(&parts.transport)),
            transport: parts.transport,
            hears: true,
            addresses: Vec::new(),
            look,
            requests: parts.requests,
            last_call: 0,
            calls: BTreeMap::new(),
            events: parts.events,
            started: Some(parts.started),
            device: parts.device,
            closing: parts.closing,
            is_closing: false,
            busy: false,
            failures: 0,
            backoff: Backoff::new(),
        }
    }

    /// Runs until the node is closed, or cannot go on.
    ///
    /// # Errors
    /// Why it could not go on, or not close in good order.
    pub(super) async fn run(mut self) -> Result<(), AppError> {
        self.begin();
        let ended = loop {
            match self.turn().await {
                Ok(Flow::On) => {}
                Ok(Flow::Stop) => break Ok(()),
                Err(fault) => match self.recover(fault).await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        self.finish(ended).await
    }

    /// Gives a new machine what it starts from.
    pub(super) fn begin(&mut self) {
        self.addresses = self.transport.addresses();
        self.push(Input::Addresses(self.addresses.clone()));
    }

    /// Makes the steps there are, then waits for one thing to happen.
    async fn turn(&mut self) -> Result<Flow, Fault> {
        while self.busy && self.saves.has_room() {
            self.step().await?;
            if self.saves.has_ended() {
                let saved = self.saves.end().await;
                self.saved(saved)?;
            }
            // So that links and saves go on while many steps are made.
            tokio::task::consume_budget().await;
        }
        let wake = self.wait().await;
        self.handle(wake)
    }

    async fn step(&mut self) -> Result<(), Fault> {
        let mut loaded = Loaded::default();
        let (now, seed) = (os::now(), os::seed()?);
        for _ in 0..=LOAD_ROUNDS_MAX {
            match self.machine.step(&loaded, now, seed.clone()) {
                Step::Idle => {
                    self.busy = false;
                    return Ok(());
                }
                Step::Load(reads) => loaded.extend(self.kept.load(reads).await?),
                Step::Done(effects) => return self.keep(effects).await,
            }
        }
        Err(Fault::rounds(LOAD_ROUNDS_MAX))
    }

    async fn keep(&mut self, mut effects: Effects) -> Result<(), Fault> {
        let staged =
            if effects.saves_nothing() { None } else { Some(self.kept.stage(&mut effects).await?) };
        self.saves.gather(effects, staged);
        Ok(self.save()?)
    }

    /// Begins a save if one can begin.
    pub(super) fn save(&mut self) -> Result<(), AppError> {
        let outcomes = self.saves.begin(&self.kept);
        self.release(outcomes)
    }

    fn saved(&mut self, saved: Result<Vec<Outcome>>) -> Result<(), Fault> {
        let outcomes = saved?;
        self.mirroring.saved(self.saves.saved());
        self.failures = 0;
        self.backoff.reset();
        self.release(outcomes)?;
        Ok(self.save()?)
    }

    async fn wait(&mut self) -> Wake {
        let room = self.saves.has_room();
        let until_due = self
            .machine
            .deadline()
            .map_or(SLEEP_MAX, |due| due.since(os::now()).clamp(SLEEP_MIN, SLEEP_MAX));
        let in_flight = self.saves.in_flight();
        tokio::select! {
            saved = self.saves.end(), if in_flight => Wake::Saved(saved),
            _ = self.closing.wait_for(|closing| *closing), if !self.is_closing => Wake::Closing,
            heard = self.mirroring.next(), if room => Wake::Mirror(heard),
            dialled = self.dials.next(), if room => Wake::Dialled(dialled),
            () = sleep(until_due), if room => Wake::Due,
            _ = self.look.tick(), if room => Wake::Look,
            event = self.transport.recv(), if room && self.hears => Wake::Event(event),
            request = self.requests.recv(), if room && (self.is_closing || self.calls.len() < CALLS_MAX) => {
                Wake::Request(request)
            }
        }
    }

    fn handle(&mut self, wake: Wake) -> Result<Flow, Fault> {
        match wake {
            Wake::Saved(saved) => self.saved(saved)?,
            Wake::Closing => {
                self.is_closing = true;
                self.requests.close();
            }
            Wake::Dialled(Dialled { dial, made, asked }) => {
                let inputs = self.links.dialled(dial, made, asked);
                self.push_all(inputs);
            }
            Wake::Due => {
                if self.machine.deadline().is_some_and(|due| due <= os::now()) {
                    self.push(Input::Tick);
                }
            }
            Wake::Look => self.look_at_addresses(),
            Wake::Event(Ok(event)) => self.hear(event),
            // Every transport has ended; dials and calls are answered still.
            Wake::Event(Err(_)) => self.hears = false,
            Wake::Request(Some(Request { command, answer })) => {
                self.last_call += 1;
                self.calls.insert(Call(self.last_call), answer);
                self.push(Input::Command(Call(self.last_call), command));
            }
            Wake::Request(None) => return Ok(Flow::Stop),
            Wake::Mirror(heard) => self.hear_mirror(heard),
        }
        Ok(Flow::On)
    }

    fn hear(&mut self, event: TransportEvent) {
        let inputs = match event {
            TransportEvent::Connected(link) => self.links.announced(link, self.dials.under_way()),
            TransportEvent::Frame(link, bytes) => self.links.frame(link, bytes),
            TransportEvent::Disconnected(link, _) => self.links.ended(link),
        };
        self.push_all(inputs);
    }

    fn look_at_addresses(&mut self) {
        let addresses = self.transport.addresses();
        if addresses != self.addresses {
            self.addresses.clone_from(&addresses);
            self.push(Input::Addresses(addresses));
        }
    }

    pub(super) fn push_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.push(input);
        }
    }

    pub(super) fn push(&mut self, input: Input) {
        self.machine.push(input);
        self.busy = true;
    }
}
