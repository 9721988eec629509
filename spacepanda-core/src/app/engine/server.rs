use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    channel::Channel,
    choose::Weighed,
    comeback::Comeback,
    enter::TreeAsk,
    gaps::Gaps,
    handover::HandOver,
    join::Join,
    machine::{Cx, Node},
    published::Packages,
    reads::Reads,
    renew::Renewal,
    rows::{self, MLS, PackageRow, StateRow},
    share::Share,
    sizes::Counts,
    start_over::Roots,
};
use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, IdentityId, PeerId, ServerId, StateId, Timestamp, Tip,
    },
    state::{
        authority::{Authority, PermissionMatrix},
        crdt::{Draft, Reason, Structure, structure},
        envelope::{Verified, Waiting},
        mls::{
            CommitPayload, Group, PackageRef, ScopeKey,
            tree::{Choice, CommitTree},
        },
    },
};

/// Groups held in memory beside the stand's.
const GROUPS_MAX: usize = 4;

/// One server as this node knows it: a member's, or a newcomer's, which is the same without a group.
pub(super) struct Server {
    pub id: ServerId,
    pub control: ChannelId,
    pub number: u32,
    pub loaded: bool,
    pub authority: Authority,
    pub matrix: Arc<PermissionMatrix>,
    /// Everybody's place by seniority.
    places: BTreeMap<IdentityId, u64>,
    pub structure: Structure,
    /// Envelopes of the control channel on structure, in the order in which they were kept.
    pub structure_log: Vec<Verified>,
    /// Per envelope of the control channel, the latest operations on structure in its past, itself
    /// included.
    pub structure_heads: BTreeMap<EnvelopeId, Vec<EnvelopeId>>,
    pub tree: CommitTree,
    pub commits: BTreeMap<EnvelopeId, CommitAt>,
    /// The nearest commit of its own log at or before each control envelope of a device's log.
    pub last_commit: BTreeMap<EnvelopeId, EnvelopeId>,
    /// Bodies of commits that are held.
    pub bodies: BTreeSet<EnvelopeId>,
    /// Who was asked for bodies that are not held.
    pub asked: BTreeMap<EnvelopeId, BTreeSet<PeerId>>,
    pub choice: Option<Choice>,
    pub weighed: Weighed,
    pub head: Option<StateId>,
    pub fork_moved: ForkMoved,
    pub stand: Option<StateId>,
    /// Whether nobody has a leaf in the stand who may not read, as of the last settling.
    pub stand_clear: bool,
    pub kept: BTreeMap<StateId, Kept>,
    pub groups: BTreeMap<StateId, Group>,
    pub channels: BTreeMap<ChannelId, Channel>,
    /// The channels that structure has, as of the last settling.
    known: BTreeSet<ChannelId>,
    pub waiting: Waiting,
    pub drafts: VecDeque<(u64, Draft)>,
    pub unopened: BTreeMap<StateId, BTreeSet<(ChannelId, Tip)>>,
    /// What others are asked to hand over.
    pub handover: HandOver,
    /// States that no replay from what is kept leads to, and why.
    pub unreachable: BTreeMap<StateId, Reason>,
    pub join: Option<Join>,
    /// Everybody's key packages in the control channel.
    pub packages: Packages,
    /// One's own whose private parts are kept, by number.
    pub own_packages: BTreeMap<u32, PackageRow>,
    /// Trees that were asked for, by state.
    pub trees: BTreeMap<StateId, TreeAsk>,
    /// Key packages with which no commit could be built.
    pub useless: BTreeSet<PackageRef>,
    pub renewal: Renewal,
    pub comeback: Comeback,
    pub shares: BTreeMap<PeerId, BTreeMap<ChannelId, Share>>,
    /// What these were derived from: facts, channels, and what their authors named as news.
    pub shared_of: BTreeMap<PeerId, (u64, usize, u64)>,
    pub caught_up: BTreeMap<PeerId, BTreeSet<ChannelId>>,
    pub caught_up_at: Option<Timestamp>,
    /// Whether a member has shown in this run how far they saw this device's logs, or none need to.
    pub compared: bool,
    pub compare_by: Option<Timestamp>,
    /// Devices that this node was, and that it has revoked here in this run.
    pub revoked: BTreeSet<DeviceId>,
    /// When this device commits what is called for, unless somebody did.
    pub reconcile_at: Option<(StateId, Timestamp)>,
    pub window_at: Option<Timestamp>,
    pub roots: Roots,
    /// When this device starts the group over, unless somebody answers before.
    pub start_over_at: Option<Timestamp>,
    /// When to name the branches of a log that has many.
    pub name_branches_at: Option<Timestamp>,
    /// How often that was done in this run.
    pub named_branches: u32,
    pub gaps: Gaps,
    pub counts: Counts,
}

/// When a commit last came that competes with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForkMoved {
    Never,
    /// In this step.
    Now,
    At(Timestamp),
}

/// A commit's header facts, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct CommitAt {
    pub tip: Tip,
    /// When it was made, by its author's clock.
    pub at: Timestamp,
    pub payload: CommitPayload,
}

/// A state whose rows are kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub number: u64,
    pub row: StateRow,
    /// What its rows are wrapped by; known once its group was in memory.
    pub key: Option<ScopeKey>,
}

impl Server {
    /// A server of which nothing is known but its id.
    pub(super) fn new(id: ServerId, number: u32) -> Self {
        let authority = Authority::new(id);
        Self {
            id,
            control: authority.control(),
            number,
            loaded: false,
            matrix: authority.now(),
            places: BTreeMap::new(),
            authority,
            structure: Structure::new(),
            structure_log: Vec::new(),
            structure_heads: BTreeMap::new(),
            tree: CommitTree::new(),
            commits: BTreeMap::new(),
            last_commit: BTreeMap::new(),
            bodies: BTreeSet::new(),
            asked: BTreeMap::new(),
            choice: None,
            weighed: Weighed::default(),
            head: None,
            fork_moved: ForkMoved::Never,
            stand: None,
            stand_clear: false,
            kept: BTreeMap::new(),
            groups: BTreeMap::new(),
            channels: BTreeMap::new(),
            known: BTreeSet::new(),
            waiting: Waiting::new(),
            drafts: VecDeque::new(),
            unopened: BTreeMap::new(),
            handover: HandOver::default(),
            unreachable: BTreeMap::new(),
            join: None,
            packages: Packages::default(),
            own_packages: BTreeMap::new(),
            trees: BTreeMap::new(),
            useless: BTreeSet::new(),
            renewal: Renewal::default(),
            comeback: Comeback::default(),
            shares: BTreeMap::new(),
            shared_of: BTreeMap::new(),
            caught_up: BTreeMap::new(),
            caught_up_at: None,
            compared: false,
            compare_by: None,
            revoked: BTreeSet::new(),
            reconcile_at: None,
            window_at: None,
            roots: Roots::default(),
            start_over_at: None,
            name_branches_at: None,
            named_branches: 0,
            gaps: Gaps::default(),
            counts: Counts::default(),
        }
    }

    /// A server that begins here, with a control channel of which nothing is held: one's own, or one to
    /// be joined.
    pub(super) fn begin(node: &mut Node, id: ServerId, cx: &mut Cx<'_>) -> Self {
        let number = node.numbers.server(id, &mut cx.fx.batch);
        let mut server = Self::new(id, number);
        let channel = node.numbers.channel(server.control, &mut cx.fx.batch);
        server.channels.insert(server.control, Channel::new(server.control, channel));
        server.loaded = true;
        node.channels.insert(server.control, id);
        server.open_for_sync(node, server.control, cx.now);
        server
    }

    /// Whether a channel is one of this server's, as known now.
    pub(super) fn knows(&self, channel: &ChannelId) -> bool {
        *channel == self.control || self.known.contains(channel)
    }

    /// A channel that was met and is not loaded.
    pub(super) fn unloaded(&self, node: &Node) -> Option<ChannelId> {
        let waits =
            |id: &&ChannelId| node.channels.contains_key(*id) && !self.channels.contains_key(*id);
        self.known.iter().find(waits).copied()
    }

    /// Notes which channels structure has now, and returns them.
    pub(super) fn take_channels(&mut self) -> Vec<structure::Channel> {
        let channels = self.structure.channels();
        self.known = channels.iter().map(|channel| channel.id).collect();
        channels
    }

    pub(super) fn control_channel(&self) -> &Channel {
        self.channels.get(&self.control).expect("the control channel is loaded with its server")
    }

    /// Takes what authority resolves to now.
    pub(super) fn take_matrix(&mut self) {
        self.matrix = self.authority.now();
        self.places = self.matrix.places();
    }

    /// Somebody's place by seniority; `u64::MAX` for whoever was never let in.
    pub(super) fn place_of(&self, identity: &IdentityId) -> u64 {
        self.places.get(identity).copied().unwrap_or(u64::MAX)
    }

    /// What somebody is, or was last, called.
    pub(super) fn name_of(&self, identity: &IdentityId) -> String {
        self.authority.name_of(identity)
    }

    /// Whether somebody is a member, as known now.
    pub(super) fn is_member(&self, identity: &IdentityId) -> bool {
        self.matrix.is_member(identity)
    }

    /// The group this device encrypts in.
    pub(super) fn stand_group(&self) -> Option<&Group> {
        self.groups.get(self.stand.as_ref()?)
    }

    /// The rows of a state, unless its group is in memory.
    pub(super) fn group_reads(&self, state: &StateId) -> Reads {
        if self.groups.contains_key(state) {
            return Reads::default();
        }
        let Some(kept) = self.kept.get(state) else { return Reads::default() };
        Reads { prefixes: vec![(MLS, rows::state_key(kept.number))], ..Reads::default() }
    }

    /// Keeps a group in memory; the stand's stays, of the others the latest few.
    pub(super) fn hold_group(&mut self, state: StateId, group: Group) {
        self.groups.insert(state, group);
        while self.groups.len() > GROUPS_MAX {
            let other = self.groups.keys().find(|id| Some(**id) != self.stand && **id != state);
            let Some(other) = other.copied() else { break };
            self.groups.remove(&other);
        }
    }

    /// When time alone calls for something.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let reconcile = self.reconcile_at.map(|(_, at)| at);
        let join = self.join.as_ref().and_then(Join::deadline);
        let compare = self.compare_deadline();
        let trees = self.trees.values().filter_map(TreeAsk::deadline);
        let handover = self.handover.deadline().filter(|_| self.loaded);
        let others = [
            self.window_at,
            self.renewal.deadline(),
            self.comeback.at,
            self.start_over_at,
            self.name_branches_at,
            handover,
            compare,
        ];
        reconcile.into_iter().chain(join).chain(trees).chain(others.into_iter().flatten()).min()
    }

    /// The members one has a proven link with, and oneself, by seniority: one's own place among them.
    pub(super) fn turn(&self, node: &Node) -> u64 {
        let me = node.me().identity();
        let mine = self.place_of(&me);
        let connected: BTreeSet<_> = node
            .links
            .peers()
            .filter_map(|device| self.matrix.device(&device))
            .filter(|identity| *identity != me && self.is_member(identity))
            .collect();
        let before = connected.iter().filter(|other| self.place_of(other) < mine).count();
        before as u64
    }
}
