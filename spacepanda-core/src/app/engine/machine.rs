use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{
    account::{Account, Numbers},
    chance::Chance,
    channel::Channel,
    error::AppError,
    handover,
    input::{Call, Command, Effects, Input, Reply, Step, Tell},
    links::Links,
    reads::{Loaded, Reads},
    server::Server,
    start,
    tenure::Tenure,
};
use crate::{
    base::{
        ChannelId, DeviceId, Floors, Frontier, PeerId, Secret, ServerId, StateId, Timestamp, Tip,
    },
    state::{
        envelope::Verified,
        sync::{Event, FrontierSync, SyncEngine, Ticket},
    },
};

/// One node's decisions: pure, so that the same inputs, times and seeds give the same
/// outputs.
pub struct Machine {
    pub(super) node: Node,
    pub(super) servers: BTreeMap<ServerId, Server>,
}

/// What all servers of a node share.
pub(super) struct Node {
    pub first_name: Option<String>,
    pub account: Option<Account>,
    pub numbers: Numbers,
    pub next_state: u64,
    pub next_draft: u64,
    pub links: Links,
    pub sync: FrontierSync,
    pub channels: BTreeMap<ChannelId, ServerId>,
    pub tenure: Tenure,
    pub work: VecDeque<Work>,
    /// Servers with a [`Work::Settle`] in the queue.
    settling: BTreeSet<ServerId>,
    /// Servers with a [`Work::Flush`] in the queue.
    flushing: BTreeSet<ServerId>,
}

/// One step to be made.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Load or make the identity, and find the servers.
    Start,
    /// Load one server's rows.
    LoadServer(ServerId),
    /// Go on loading its control channel, of which this is loaded.
    LoadControl(ServerId, Frontier),
    /// Load one channel's frontier and heads.
    LoadChannel(ServerId, ChannelId),
    /// Take what reached the machine.
    Input(Input),
    /// Keep an envelope that came, or waited.
    Keep {
        server: ServerId,
        envelope: Verified,
        from: Option<PeerId>,
    },
    /// Take the body of an envelope, or its bare header, that was asked for.
    Body {
        server: ServerId,
        channel: ChannelId,
        tip: Tip,
        envelope: Verified,
        from: PeerId,
    },
    /// Derive what the control channel, as it now is, calls for.
    Settle(ServerId),
    /// Come one commit nearer to a state.
    Reach(ServerId, StateId),
    /// Encrypt at another state.
    StandOn(ServerId, StateId),
    /// Enter the group by a welcome and a tree that came.
    Enter {
        server: ServerId,
        state: StateId,
        tree: Bytes,
    },
    /// Open a message that is kept.
    Open {
        server: ServerId,
        channel: ChannelId,
        tip: Tip,
    },
    /// Answer what a peer asked to be handed over.
    HandOver {
        server: ServerId,
        peer: PeerId,
        asks: handover::Asks,
    },
    /// Take what a peer was asked to hand over.
    HandedOver {
        server: ServerId,
        peer: PeerId,
        channel: ChannelId,
        answer: handover::Answer,
    },
    /// Send what was accepted.
    Flush(ServerId),
    /// Let go of the private part of a key package of one's own.
    ForgetPackage(ServerId, u32),
    /// Tell why nothing is written any more.
    Stopped,
    /// Let go of a state whose window has passed.
    EndState(ServerId, StateId),
    SyncLoad {
        ticket: Ticket,
        reads: super::reads::Missing,
        bare_below: Floors,
    },
    SyncProbe {
        ticket: Ticket,
        channel: ChannelId,
        tips: Vec<Tip>,
    },
    SyncEntry {
        ticket: Ticket,
        peer: PeerId,
        channel: ChannelId,
        tip: Tip,
        bare: bool,
    },
    ServeTree {
        peer: PeerId,
        server: ServerId,
        state: StateId,
    },
}

/// What a step works with.
pub(super) struct Cx<'a> {
    pub now: Timestamp,
    pub chance: Chance,
    pub fx: Effects,
    pub loaded: &'a Loaded,
}

impl Cx<'_> {
    pub(super) fn reply(&mut self, call: Call, reply: Result<Reply, AppError>) {
        self.fx.tells.push(Tell::Reply(call, reply));
    }

    pub(super) fn tell(&mut self, event: super::event::Event) {
        self.fx.tells.push(Tell::Event(event));
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine before its first step, which loads or makes the identity. `name` is what its person
    /// is called at first; it is needed only where no identity is kept yet.
    pub fn new(name: Option<String>) -> Self {
        Self::begin(name, Tenure::new(true))
    }

    /// As [`new`](Self::new), for a driver that says by [`Input::Found`] what it found outside the
    /// store about how far its device had come. Nothing is written before.
    pub fn to_be_judged(name: Option<String>) -> Self {
        Self::begin(name, Tenure::new(false))
    }

    fn begin(name: Option<String>, tenure: Tenure) -> Self {
        Self {
            node: Node {
                first_name: name,
                account: None,
                numbers: Numbers::default(),
                next_state: 1,
                next_draft: 1,
                links: Links::default(),
                sync: FrontierSync::new(),
                channels: BTreeMap::new(),
                tenure,
                work: VecDeque::from([Work::Start]),
                settling: BTreeSet::new(),
                flushing: BTreeSet::new(),
            },
            servers: BTreeMap::new(),
        }
    }

    /// Queues an input.
    pub fn push(&mut self, input: Input) {
        self.node.work.push_back(Work::Input(input));
    }

    /// Makes the next step. `loaded` answers the [`Step::Load`] before, all rounds together; else it
    /// is empty.
    pub fn step(&mut self, loaded: &Loaded, now: Timestamp, seed: Secret<32>) -> Step {
        let Some(work) = self.node.work.pop_front() else { return Step::Idle };
        if let Some(first) = self.needs_first(&work) {
            self.node.work.push_front(work);
            self.node.work.push_front(first);
            return self.step(loaded, now, seed);
        }
        let lacks = loaded.lacks(self.reads(&work, loaded));
        if !lacks.is_empty() {
            self.node.work.push_front(work);
            return Step::Load(lacks);
        }
        let mut cx = Cx { now, chance: Chance::new(seed), fx: Effects::default(), loaded };
        self.apply(work, &mut cx);
        self.pump_sync(&mut cx);
        Step::Done(cx.fx)
    }

    /// When [`Input::Tick`] is due next.
    pub fn deadline(&self) -> Option<Timestamp> {
        let servers = self.servers.values().filter_map(Server::deadline);
        let gaps = self.servers.values().filter_map(|server| server.gaps.at);
        let servers = servers.chain(gaps);
        servers.chain(self.node.links.deadline()).chain(self.node.sync.deadline()).min()
    }

    /// A channel that must be loaded before `work`.
    fn needs_first(&self, work: &Work) -> Option<Work> {
        let (server, channel) = match work {
            Work::Keep { server, envelope, .. } => (*server, envelope.header().channel),
            Work::Body { server, channel, .. } | Work::Open { server, channel, .. } => {
                (*server, *channel)
            }
            Work::HandOver { server, asks, .. } => (*server, asks.channel),
            Work::HandedOver { server, channel, .. } => (*server, *channel),
            Work::Input(Input::Command(
                _,
                Command::SendMessage { server, channel, .. }
                | Command::ListMessages { server, channel, .. },
            )) => (*server, *channel),
            Work::Settle(_) if !self.node.links.has_peers() => return None,
            Work::Settle(server)
            | Work::Flush(server)
            | Work::Input(Input::Command(
                _,
                Command::RemoveMember { server, .. } | Command::Status { server: Some(server) },
            )) => {
                let channel = self.servers.get(server)?.unloaded(&self.node)?;
                return Some(Work::LoadChannel(*server, channel));
            }
            _ => return None,
        };
        let of = self.servers.get(&server)?;
        let met = of.knows(&channel) && self.node.channels.contains_key(&channel);
        (met && !of.channels.contains_key(&channel)).then_some(Work::LoadChannel(server, channel))
    }

    /// What `work` must know, given what is loaded already.
    fn reads(&self, work: &Work, loaded: &Loaded) -> Reads {
        let server = |id: &ServerId| self.servers.get(id);
        match work {
            Work::Start => start::reads(),
            Work::LoadServer(id) => {
                let load = |s: &Server| {
                    let control = self.node.numbers.known_channel(&s.control)?;
                    Some(s.load_reads(control))
                };
                server(id).and_then(load).unwrap_or_default()
            }
            Work::LoadControl(id, have) => {
                server(id).map(|s| s.control_reads(have, loaded)).unwrap_or_default()
            }
            Work::LoadChannel(_, channel) => self
                .node
                .numbers
                .known_channel(channel)
                .map(|number| Channel::reads(*channel, number))
                .unwrap_or_default(),
            Work::Keep { server: id, envelope, .. } => {
                server(id).map(|s| s.keep_reads(envelope)).unwrap_or_default()
            }
            Work::Body { server: id, channel, tip, envelope, .. } => {
                server(id).map(|s| s.body_reads(channel, tip, envelope)).unwrap_or_default()
            }
            Work::Reach(id, state) => {
                server(id).map(|s| s.reach_reads(&self.node, state)).unwrap_or_default()
            }
            Work::StandOn(id, state) => {
                server(id).map(|s| s.group_reads(state)).unwrap_or_default()
            }
            Work::Enter { server: id, state, .. } => {
                server(id).map(|s| s.enter_reads(&self.node, state)).unwrap_or_default()
            }
            Work::Open { server: id, channel, tip } => server(id)
                .map(|s| s.open_reads(&self.node, channel, tip, loaded))
                .unwrap_or_default(),
            Work::HandOver { server: id, peer, asks } => server(id)
                .map(|s| s.hand_over_reads(&self.node, peer, asks, loaded))
                .unwrap_or_default(),
            Work::HandedOver { server: id, channel, answer, .. } => server(id)
                .map(|s| s.message_reads(&self.node, channel, &answer.tip, loaded))
                .unwrap_or_default(),
            Work::ForgetPackage(id, number) => {
                server(id).map(|s| s.package_reads(*number)).unwrap_or_default()
            }
            Work::EndState(id, state) => server(id).map(|s| s.end_reads(state)).unwrap_or_default(),
            Work::Input(Input::Command(_, command)) => self.command_reads(command, loaded),
            Work::SyncLoad { reads, .. } => {
                Reads { missing: vec![reads.clone()], ..Reads::default() }
            }
            Work::SyncProbe { channel, tips, .. } => Reads {
                entries: tips.iter().map(|tip| (*channel, *tip)).collect(),
                ..Reads::default()
            },
            Work::SyncEntry { channel, tip, .. } => {
                Reads { entries: vec![(*channel, *tip)], ..Reads::default() }
            }
            Work::ServeTree { server: id, state, .. } => {
                server(id).map(|s| s.group_reads(state)).unwrap_or_default()
            }
            Work::Input(_) | Work::Settle(_) | Work::Flush(_) | Work::Stopped => Reads::default(),
        }
    }

    fn apply(&mut self, work: Work, cx: &mut Cx<'_>) {
        match work {
            Work::Start => self.start(cx),
            Work::LoadServer(id) => self.load_server(id, cx),
            Work::LoadControl(id, have) => self.load_control(id, have, cx),
            Work::LoadChannel(id, channel) => self.load_channel(id, channel, cx),
            Work::Input(input) => self.input(input, cx),
            Work::Keep { server, envelope, from } => {
                self.on(server, |s, node| s.keep(node, envelope, from, cx));
            }
            Work::Body { server, channel, tip, envelope, from } => {
                self.on(server, |s, node| s.body(node, channel, tip, envelope, from, cx));
            }
            Work::Settle(server) => {
                self.node.settling.remove(&server);
                self.on(server, |s, node| s.settle(node, cx));
                self.meet_strangers(cx);
            }
            Work::Reach(server, state) => self.on(server, |s, node| s.reach(node, state, cx)),
            Work::StandOn(server, state) => self.on(server, |s, node| s.stand_on(node, state, cx)),
            Work::Enter { server, state, tree } => {
                self.on(server, |s, node| s.enter(node, state, &tree, cx));
            }
            Work::Open { server, channel, tip } => {
                self.on(server, |s, node| s.open(node, channel, tip, cx));
            }
            Work::HandOver { server, peer, asks } => {
                self.on(server, |s, node| s.hand_over(node, peer, asks, cx));
            }
            Work::HandedOver { server, peer, channel, answer } => {
                self.on(server, |s, node| s.take_over(node, peer, channel, answer, cx));
            }
            Work::Flush(server) => {
                self.node.flushing.remove(&server);
                self.on(server, |s, node| s.flush(node, cx));
            }
            Work::ForgetPackage(server, number) => {
                self.on(server, |s, _| s.forget_package(number, cx));
            }
            Work::Stopped => self.stopped(cx),
            Work::EndState(server, state) => self.on(server, |s, _| s.end_state(state, cx)),
            Work::SyncLoad { ticket, reads, bare_below } => {
                self.sync_loaded(ticket, &reads, &bare_below, cx);
            }
            Work::SyncProbe { ticket, channel, tips } => {
                self.sync_probed(ticket, channel, tips, cx);
            }
            Work::SyncEntry { ticket, peer, channel, tip, bare } => {
                self.sync_entry(ticket, peer, channel, tip, bare, cx);
            }
            Work::ServeTree { peer, server, state } => {
                self.on(server, |s, node| s.serve_tree(node, peer, state, cx));
            }
        }
    }

    fn input(&mut self, input: Input, cx: &mut Cx<'_>) {
        match input {
            Input::Command(call, command) => self.command(call, command, cx),
            Input::Connected { link, dial } => self.connected(link, dial, cx),
            Input::DialFailed { dial } => self.dial_failed(dial, cx),
            Input::Frame { link, bytes } => self.frame(link, &bytes, cx),
            Input::Disconnected { link } => self.disconnected(link, cx),
            Input::Addresses(addresses) => self.addresses(addresses, cx),
            Input::Found(finding) => self.take_finding(finding, cx),
            Input::Tick => self.tick(cx),
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        self.node.sync.handle(Event::Tick, cx.now);
        self.end_unproven(cx);
        self.dial_members(cx);
        let ids: Vec<_> = self.servers.keys().copied().collect();
        for id in ids {
            let Some(server) = self.servers.get_mut(&id) else { continue };
            let due = server.deadline().is_some_and(|at| at <= cx.now);
            server.tell_gaps(cx);
            if server.tick_join(&mut self.node, cx) {
                self.dial_for_join(&id, cx);
            }
            if due {
                self.node.settle(id);
            }
        }
    }

    fn on(&mut self, server: ServerId, act: impl FnOnce(&mut Server, &mut Node)) {
        if let Some(server) = self.servers.get_mut(&server) {
            act(server, &mut self.node);
        }
    }
}

impl Node {
    /// The account; there is one from the first step on.
    pub(super) fn me(&self) -> &Account {
        self.account.as_ref().expect("the first step makes the account")
    }

    pub(super) fn device(&self) -> DeviceId {
        self.me().device()
    }

    /// Queues work.
    pub(super) fn queue(&mut self, work: Work) {
        self.work.push_back(work);
    }

    /// Queues to settle a server, once.
    pub(super) fn settle(&mut self, server: ServerId) {
        if self.settling.insert(server) {
            self.work.push_back(Work::Settle(server));
        }
    }

    /// Whether something of a server has arrived of which the consequences were not drawn yet.
    pub(super) fn is_settling(&self, server: &ServerId) -> bool {
        self.settling.contains(server)
    }

    /// Leaves undone what is queued.
    #[cfg(test)]
    pub(super) fn forget_work(&mut self) {
        self.work.clear();
        self.settling.clear();
        self.flushing.clear();
    }

    /// Queues to send a server's drafts, once.
    pub(super) fn flush(&mut self, server: ServerId) {
        if self.flushing.insert(server) {
            self.work.push_back(Work::Flush(server));
        }
    }
}
