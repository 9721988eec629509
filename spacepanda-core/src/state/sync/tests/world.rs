//! A simulated world: devices with stores of their own, links that delay and break, from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::base::{
    ChannelId, DeviceId, EnvelopeId, Floors, Frontier, LogEntry, PeerId, Timestamp, Tip,
};
use crate::state::sync::{Action, Event, FRAME_LEN_MAX, FrontierSync, Start, SyncEngine};

/// Deadlines that may pass before a world must be quiet.
const TICKS_MAX: usize = 1_000;

pub(super) fn channel(n: u8) -> ChannelId {
    ChannelId::new([n; 32])
}

pub(super) fn device(n: usize) -> DeviceId {
    DeviceId::new([u8::try_from(n).unwrap() + 1; 32])
}

/// An entry whose bytes say all about it: device, number, branch, the branch of the one before.
pub(super) fn entry(device: DeviceId, number: u64, branch: u8, before: u8) -> LogEntry {
    let id = |number: u64, branch: u8| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(device.as_bytes()).update(&number.to_be_bytes()).update(&[branch]);
        EnvelopeId::new(hasher.finalize().into())
    };
    let mut bytes = device.as_bytes().to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend([branch, before]);
    LogEntry {
        device,
        number,
        id: id(number, branch),
        previous: (number > 1).then(|| id(number - 1, before)),
        body_held: true,
        bytes: Bytes::from(bytes),
    }
}

/// The same entry without its body: it says so.
fn bare(mut entry: LogEntry) -> LogEntry {
    entry.bytes = [&entry.bytes[..42], &[0]].concat().into();
    LogEntry { body_held: false, ..entry }
}

fn parse(bytes: &[u8]) -> LogEntry {
    let device = DeviceId::from_slice(&bytes[..32]).unwrap();
    let number = u64::from_be_bytes(bytes[32..40].try_into().unwrap());
    let whole = entry(device, number, bytes[40], bytes[41]);
    if bytes.len() > 42 { bare(whole) } else { whole }
}

/// The logs of one channel in the order in which they were appended.
#[derive(Debug, Default, Clone)]
pub(super) struct Log {
    pub(super) entries: Vec<LogEntry>,
    by_id: BTreeMap<EnvelopeId, usize>,
    pub(super) frontier: Frontier,
}

impl Log {
    pub(super) fn append(&mut self, entry: LogEntry) {
        self.frontier.advance(entry.tip(), entry.previous.as_ref());
        self.by_id.insert(entry.id, self.entries.len());
        self.entries.push(entry);
    }

    pub(super) fn holds(&self, id: &EnvelopeId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The ids that `tips` cover of what is held.
    pub(super) fn past(&self, tips: &Frontier) -> BTreeSet<EnvelopeId> {
        let mut past = BTreeSet::new();
        for tip in tips.tips() {
            let mut next = Some(tip.id);
            while let Some(index) = next.and_then(|id| self.by_id.get(&id)) {
                let entry = &self.entries[*index];
                if !past.insert(entry.id) {
                    break;
                }
                next = entry.previous;
            }
        }
        past
    }

    pub(super) fn missing(
        &self,
        floors: &Floors,
        have: &Frontier,
        limit: usize,
        bytes_max: usize,
    ) -> Vec<LogEntry> {
        let past = self.past(have);
        let mut bytes = 0;
        let is_for = |entry: &&LogEntry| {
            floors.get(&entry.device).is_some_and(|floor| entry.number >= *floor)
                && !past.contains(&entry.id)
        };
        let fits = |entry: &&LogEntry| {
            bytes += entry.bytes.len();
            bytes <= bytes_max || bytes == entry.bytes.len()
        };
        self.entries.iter().filter(is_for).take(limit).take_while(fits).cloned().collect()
    }
}

#[derive(Debug)]
enum Task {
    Read(Action),
    /// From whom it came, if it did.
    Save(ChannelId, LogEntry, Option<PeerId>),
}

/// One device: its engine, its store, and what the store has still to do.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) engine: FrontierSync,
    pub(super) logs: BTreeMap<ChannelId, Log>,
    /// Where each channel begins for this device; from the beginning if absent.
    pub(super) floors: BTreeMap<ChannelId, Floors>,
    /// What of a channel this device may have at most.
    pub(super) limits: BTreeMap<ChannelId, Frontier>,
    tasks: VecDeque<Task>,
    pub(super) drops: usize,
    /// Envelopes that came from others.
    pub(super) delivered: usize,
    pub(super) caught_up: BTreeSet<(PeerId, ChannelId)>,
    pub(super) covered: BTreeSet<(PeerId, ChannelId, Tip)>,
}

impl Node {
    pub(super) fn start(&self, channel: &ChannelId) -> Start {
        self.floors.get(channel).map_or(Start::Beginning, |floors| Start::Floors(floors.clone()))
    }

    fn appends(&self, channel: &ChannelId, entry: &LogEntry) -> bool {
        let log = &self.logs[channel];
        let floor = self.floors.get(channel).map(|floors| floors.get(&entry.device).copied());
        let floor = floor.unwrap_or(Some(1));
        let of_log = || log.frontier.of(&entry.device);
        let begins = floor == Some(entry.number) && of_log().all(|tip| tip.number >= entry.number);
        let follows = entry.previous.is_some_and(|id| log.holds(&id));
        // Below the floor only a header that continues what was held from before.
        let is_for = |floor| entry.number >= floor || (follows && !entry.body_held);
        !log.holds(&entry.id) && floor.is_some_and(is_for) && (begins || follows)
    }

    /// Whether the beginning of an entry's log is held, and not what it follows.
    fn has_gap(&self, channel: &ChannelId, entry: &LogEntry) -> bool {
        let log = &self.logs[channel];
        let held = log.frontier.number(&entry.device);
        held > 0 && entry.previous.is_some_and(|id| !log.holds(&id))
    }
}

/// Devices, and the links between them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) channels: Vec<ChannelId>,
    links: BTreeMap<(usize, usize), VecDeque<Bytes>>,
    pub(super) now: Timestamp,
    pub(super) rng: ChaCha8Rng,
    pub(super) actions: usize,
    pub(super) sent: usize,
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize, channels: u8) -> Self {
        let mut world = Self {
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            channels: (0..channels).map(channel).collect(),
            links: BTreeMap::new(),
            now: Timestamp::from_micros(1),
            rng: ChaCha8Rng::seed_from_u64(seed),
            actions: 0,
            sent: 0,
        };
        for node in &mut world.nodes {
            node.logs = world.channels.iter().map(|c| (*c, Log::default())).collect();
        }
        world
    }

    pub(super) fn pick(&mut self, below: usize) -> usize {
        self.rng.next_u32() as usize % below
    }

    /// Lets the engines know what their stores hold.
    pub(super) fn open(&mut self) {
        for node in 0..self.nodes.len() {
            for channel in self.channels.clone() {
                let frontier = self.nodes[node].logs[&channel].frontier.clone();
                self.tell(node, Event::Open { channel, frontier });
            }
        }
    }

    pub(super) fn tell(&mut self, node: usize, event: Event) {
        self.nodes[node].engine.handle(event, self.now);
        while let Some(action) = self.nodes[node].engine.poll() {
            self.actions += 1;
            self.carry_out(node, action);
        }
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        let state = &mut self.nodes[node];
        match action {
            Action::Send { peer, bytes } => {
                assert!(bytes.len() <= FRAME_LEN_MAX);
                self.sent += bytes.len();
                let peer = usize::from(peer.as_bytes()[0]) - 1;
                if let Some(link) = self.links.get_mut(&(node, peer)) {
                    link.push_back(bytes);
                }
            }
            Action::Deliver { peer, channel, bytes } => {
                state.delivered += 1;
                if state.drops > 0 && self.rng.next_u32().is_multiple_of(8) {
                    state.drops -= 1;
                } else {
                    state.tasks.push_back(Task::Save(channel, parse(&bytes), Some(peer)));
                }
            }
            Action::CaughtUp { peer, channel } => {
                state.caught_up.insert((peer, channel));
            }
            Action::Covered { peer, channel, tips } => {
                state.covered.extend(tips.into_iter().map(|tip| (peer, channel, tip)));
            }
            Action::Fault { why, .. } => panic!("no peer breaks the protocol here: {why}"),
            Action::NotHeld { .. } | Action::DeliverBody { .. } => {}
            read => state.tasks.push_back(Task::Read(read)),
        }
    }

    fn work(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let event = match state.tasks.pop_front() {
            Some(Task::Save(channel, entry, _)) if state.appends(&channel, &entry) => {
                state.logs.get_mut(&channel).unwrap().append(entry.clone());
                Event::Advanced { channel, entry, after_gap: false }
            }
            Some(Task::Save(channel, entry, Some(ask))) if state.has_gap(&channel, &entry) => {
                Event::Gap { channel, device: entry.device, ask }
            }
            Some(Task::Read(Action::Load {
                ticket,
                channel,
                floors,
                bare_below,
                have,
                limit,
                bytes_max,
            })) => {
                let log = &state.logs[&channel];
                let mut entries = log.missing(&floors, &have, limit.min(7), bytes_max);
                for entry in &mut entries {
                    if bare_below.get(&entry.device).is_some_and(|floor| entry.number < *floor) {
                        *entry = bare(entry.clone());
                    }
                }
                Event::Loaded { ticket, entries }
            }
            Some(Task::Read(Action::Probe { ticket, channel, mut tips })) => {
                tips.retain(|tip| state.logs[&channel].holds(&tip.id));
                Event::Probed { ticket, held: tips }
            }
            Some(Task::Read(Action::LoadEntry { ticket, channel, tip, .. })) => {
                let log = &state.logs[&channel];
                let entry = log.by_id.get(&tip.id).map(|index| log.entries[*index].clone());
                Event::LoadedEntry { ticket, entry }
            }
            _ => return,
        };
        self.tell(node, event);
    }

    /// Writes the next entry of `node`'s own log.
    pub(super) fn author(&mut self, node: usize, channel: ChannelId) {
        let device = device(node);
        let number = self.nodes[node].logs[&channel].frontier.number(&device) + 1;
        let queued = self.nodes[node].tasks.iter().filter(|task| {
            matches!(task, Task::Save(of, entry, _) if *of == channel && entry.device == device)
        });
        let number = number + queued.count() as u64;
        self.nodes[node].tasks.push_back(Task::Save(channel, entry(device, number, 0, 0), None));
    }

    pub(super) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains_key(&(a, b))
    }

    /// Makes a link; each side shares all channels with the other as far as they are for it.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.links.insert((from, to), VecDeque::new());
        }
        for (from, to) in [(a, b), (b, a)] {
            self.tell(from, Event::Connected { peer: device(to) });
            for channel in self.channels.clone() {
                let (reader, control) = (&self.nodes[to], channel == self.channels[0]);
                let up_to = reader.limits.get(&channel).cloned();
                let (peer, from_) = (device(to), reader.start(&channel));
                self.tell(from, Event::Share { peer, channel, control, from: from_, up_to });
            }
        }
    }

    /// Lets a device begin anew with what it saved; its links are gone.
    pub(super) fn restart(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.is_linked(node, other) {
                self.disconnect(node, other);
            }
        }
        self.nodes[node].engine = FrontierSync::new();
        self.nodes[node].tasks.clear();
        for channel in self.channels.clone() {
            let frontier = self.nodes[node].logs[&channel].frontier.clone();
            self.tell(node, Event::Open { channel, frontier });
        }
    }

    pub(super) fn disconnect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.links.remove(&(from, to));
            self.tell(from, Event::Disconnected { peer: device(to) });
        }
    }

    /// Does one thing that waits, chosen by chance; false if nothing does.
    pub(super) fn step(&mut self) -> bool {
        let links: Vec<_> = self.links.iter().filter(|(_, q)| !q.is_empty()).collect();
        let links: Vec<_> = links.into_iter().map(|(ends, _)| *ends).collect();
        let busy = (0..self.nodes.len()).filter(|n| !self.nodes[*n].tasks.is_empty());
        let busy: Vec<_> = busy.collect();
        if links.is_empty() && busy.is_empty() {
            return false;
        }
        let chosen = self.pick(links.len() + busy.len());
        if let Some((from, to)) = links.get(chosen) {
            let bytes = self.links.get_mut(&(*from, *to)).and_then(VecDeque::pop_front).unwrap();
            self.tell(*to, Event::Received { peer: device(*from), bytes });
        } else {
            self.work(busy[chosen - links.len()]);
        }
        true
    }

    /// Runs until nothing waits, not even for time.
    pub(super) fn run_until_quiet(&mut self) {
        for _ in 0..TICKS_MAX {
            while self.step() {
                assert!(self.actions < 2_000_000, "it never becomes quiet");
            }
            let deadlines = self.nodes.iter().filter_map(|node| node.engine.deadline());
            let Some(at) = deadlines.min() else { return };
            self.now = self.now.max(at);
            for node in 0..self.nodes.len() {
                self.tell(node, Event::Tick);
            }
        }
        panic!("something always waits for time");
    }
}
