use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    app::{
        Event,
        engine::{Act, AppError, Call, Command, Effects, Input, Loaded, Reply, Step, Tell},
        node::{Node, machinery::Machinery},
    },
    base::{
        ChannelId, DeviceId, Error, ErrorKind, IdentityId, Result, Secret, ServerId, Timestamp,
    },
    store::{Batch, Capability, Change, Namespace, Page, ProviderStorageBackend},
    transport::{Transport, memory::MemoryNetwork},
};

pub(super) const ROWS: Namespace = Namespace::new("rows");
pub(super) const SERVER: ServerId = ServerId::new([1; 32]);
pub(super) const CHANNEL: ChannelId = ChannelId::new([2; 32]);

/// Longer than anything takes that is not held up: time is paused, so this passes at once.
const LONG: Duration = Duration::from_millis(500);

/// Rows in memory; each save waits for a permit, and may be told to fail.
pub(super) struct GatedStore {
    rows: Mutex<BTreeMap<(Namespace, Bytes), Bytes>>,
    pub(super) gate: Semaphore,
    pub(super) failing: AtomicBool,
    /// How many rows each save changed beside its number, failed ones included.
    pub(super) saves: Mutex<Vec<usize>>,
    pub(super) closed: AtomicBool,
}

impl GatedStore {
    pub(super) fn new() -> Self {
        Self {
            rows: Mutex::default(),
            gate: Semaphore::new(0),
            failing: AtomicBool::new(false),
            saves: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn open_gate(&self) {
        self.gate.add_permits(1_000);
    }

    pub(super) fn holds(&self, key: &str) -> bool {
        self.rows.lock().unwrap().contains_key(&(ROWS, Bytes::copy_from_slice(key.as_bytes())))
    }

    /// The number of the last batch that it holds.
    pub(super) fn generation(&self) -> Option<u64> {
        let place = (Namespace::new("node"), Bytes::from_static(b"generation"));
        let rows = self.rows.lock().unwrap();
        rows.get(&place).map(|row| u64::from_be_bytes(row[..].try_into().unwrap()))
    }

    /// A copy of what it holds now, with an open gate.
    pub(super) fn copy(&self) -> Self {
        let copy = Self { rows: Mutex::new(self.rows.lock().unwrap().clone()), ..Self::new() };
        copy.open_gate();
        copy
    }

    pub(super) fn saved(&self) -> Vec<usize> {
        self.saves.lock().unwrap().clone()
    }
}

#[async_trait]
impl ProviderStorageBackend for GatedStore {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let place = (namespace.clone(), Bytes::copy_from_slice(key));
        Ok(self.rows.lock().unwrap().get(&place).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let rows = self.rows.lock().unwrap();
        let inside = rows.iter().filter(|((at, key), _)| {
            at == namespace
                && key.starts_with(&page.prefix)
                && page.after.as_ref().is_none_or(|after| key > after)
        });
        let found = inside.map(|((_, key), value)| (key.clone(), value.clone()));
        Ok(found.take(page.limit).collect())
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.saves.lock().unwrap().push(batch.changes().len() - 1);
        self.gate.acquire().await.unwrap().forget();
        if self.failing.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "save: the disk is full"));
        }
        let mut rows = self.rows.lock().unwrap();
        for change in batch.into_changes() {
            let place = (change.namespace().clone(), change.key().clone());
            match change {
                Change::Put { value, .. } => rows.insert(place, value),
                Change::Delete { .. } => rows.remove(&place),
            };
        }
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE
    }
}

/// What a script does when an input reaches it.
pub(super) type Rule = Arc<dyn Fn(&Input) -> Vec<Step> + Send + Sync>;

/// A machine that follows a rule.
pub(super) struct Scripted {
    rule: Rule,
    heard: mpsc::UnboundedSender<Input>,
    loaded: Arc<Mutex<Vec<Loaded>>>,
    due: Arc<Mutex<Option<Timestamp>>>,
    steps: VecDeque<Step>,
}

impl Machinery for Scripted {
    fn push(&mut self, input: Input) {
        if matches!(input, Input::Tick) {
            *self.due.lock().unwrap() = None;
        }
        self.steps.extend((self.rule)(&input));
        if matches!(input, Input::Addresses(_)) {
            let ids = (IdentityId::new([3; 32]), DeviceId::new([4; 32]));
            self.steps.push_back(tells(vec![Tell::Started(Ok(ids))]));
        }
        // A test that does not listen is no concern of the machine's.
        let _ = self.heard.send(input);
    }

    fn step(&mut self, loaded: &Loaded, _: Timestamp, _: Secret<32>) -> Step {
        self.loaded.lock().unwrap().push(loaded.clone());
        self.steps.pop_front().unwrap_or(Step::Idle)
    }

    fn deadline(&self) -> Option<Timestamp> {
        *self.due.lock().unwrap()
    }
}

/// A node whose machine is scripted, and all that a test holds of it.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) store: Arc<GatedStore>,
    pub(super) heard: mpsc::UnboundedReceiver<Input>,
    pub(super) loaded: Arc<Mutex<Vec<Loaded>>>,
    pub(super) machines: Arc<AtomicUsize>,
    pub(super) due: Arc<Mutex<Option<Timestamp>>>,
    pub(super) network: MemoryNetwork,
}

impl World {
    /// Opens the node; it is reached at `memory://node`, and saves wait at the gate.
    pub(super) async fn open(rule: Rule) -> Self {
        Self::open_on(Arc::new(GatedStore::new()), rule).await.unwrap()
    }

    pub(super) async fn open_on(store: Arc<GatedStore>, rule: Rule) -> Result<Self, AppError> {
        Self::open_in(store, rule, None).await
    }

    /// As [`open_on`](Self::open_on), with a folder for the mirror.
    pub(super) async fn open_in(
        store: Arc<GatedStore>,
        rule: Rule,
        state_folder: Option<PathBuf>,
    ) -> Result<Self, AppError> {
        let network = MemoryNetwork::new();
        let transport: Arc<dyn Transport> = Arc::new(network.transport("node"));
        let (tell, heard) = mpsc::unbounded_channel();
        let loaded = Arc::new(Mutex::new(Vec::new()));
        let machines = Arc::new(AtomicUsize::new(0));
        let due = Arc::new(Mutex::new(None));
        let (count, keep, set) = (Arc::clone(&machines), Arc::clone(&loaded), Arc::clone(&due));
        let machine = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let (rule, heard, loaded) = (Arc::clone(&rule), tell.clone(), Arc::clone(&keep));
            Scripted { rule, heard, loaded, due: Arc::clone(&set), steps: VecDeque::new() }
        };
        let backend = Arc::clone(&store) as Arc<dyn ProviderStorageBackend>;
        let node = Node::open_with(Box::new(machine), backend, transport, state_folder).await?;
        Ok(Self { node, store, heard, loaded, machines, due, network })
    }

    /// Begins a call whose rule sees `name`.
    pub(super) fn call(&self, name: &str) -> JoinHandle<Result<ChannelId, AppError>> {
        let (node, name) = (self.node.clone(), name.to_owned());
        tokio::spawn(async move { node.create_channel(SERVER, name).await })
    }

    /// Waits for an input that `wanted` picks.
    pub(super) async fn hear<T>(&mut self, wanted: impl Fn(&Input) -> Option<T>) -> T {
        loop {
            let input = self.heard.recv().await.unwrap();
            if let Some(found) = wanted(&input) {
                return found;
            }
        }
    }
}

/// Whether `future` is held up.
pub(super) async fn waits<T>(future: impl Future<Output = T>) -> bool {
    timeout(LONG, future).await.is_err()
}

/// A rule for the calls of [`World::call`], which sees their names.
pub(super) fn on_call(rule: impl Fn(Call, &str) -> Vec<Step> + Send + Sync + 'static) -> Rule {
    Arc::new(move |input| match input {
        Input::Command(call, Command::CreateChannel { name, .. }) => rule(*call, name),
        _ => Vec::new(),
    })
}

/// A step that keeps a row, acts, tells of it, and answers a call.
pub(super) fn saves(key: &str, acts: Vec<Act>, call: Call) -> Step {
    let mut batch = Batch::new();
    batch.put(ROWS, key.to_owned(), "value");
    let tells = vec![Tell::Event(event(key)), done(call)];
    Step::Done(Effects { batch, acts, tells, ..Effects::default() })
}

/// The event of a step that kept a row.
pub(super) fn event(key: &str) -> Event {
    Event::ChannelCreated { server: SERVER, channel: CHANNEL, name: key.to_owned() }
}

/// A step that keeps nothing.
pub(super) fn tells(tells: Vec<Tell>) -> Step {
    Step::Done(Effects { tells, ..Effects::default() })
}

/// The answer that a call of [`World::call`] expects.
pub(super) fn done(call: Call) -> Tell {
    Tell::Reply(call, Ok(Reply::Channel(CHANNEL)))
}
