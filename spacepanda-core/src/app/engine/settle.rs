use std::{collections::BTreeSet, sync::Arc};

use super::{
    event::Event,
    machine::{Cx, Node, Work},
    server::{CommitAt, ForkMoved, Server},
};
use crate::{
    base::{DeviceId, EnvelopeId, StateId},
    state::{
        authority::{CommitHeader, InsertError, Inserted, Recount, authorize},
        crdt::{Structure, StructureOp},
        envelope::{PayloadType, Verified, plain},
        mls::{
            CommitPayload, VotePayload,
            tree::{Addition, Commit, Vote},
        },
    },
};

impl Server {
    /// Takes in an envelope of the control channel: authority, structure, and the group's tree.
    pub(super) fn take_in_control(&mut self, envelope: &Verified) {
        if self.insert(envelope).is_err() {
            return;
        }
        self.weighed.note_fact();
        self.roots.note(envelope);
        if envelope.body().is_some() {
            self.bodies.insert(envelope.id());
        }
        let header = envelope.header();
        let inherited = header.previous.and_then(|id| self.last_commit.get(&id).copied());
        match header.payload_type {
            PayloadType::Root => self.take_in_root(envelope),
            PayloadType::Commit => self.take_in_commit(envelope, inherited),
            PayloadType::Vote => self.take_in_vote(envelope),
            PayloadType::KeyPackage => self.packages.take_in(envelope),
            PayloadType::Structure => {
                self.structure_log.push(envelope.clone());
                self.apply_structure(envelope);
            }
            _ => {}
        }
        let latest = match header.payload_type {
            PayloadType::Structure => vec![envelope.id()],
            _ => self.structure_before(envelope),
        };
        self.structure_heads.insert(envelope.id(), latest);
        // What cannot be read as a commit stands between two that can, and hides neither from the other.
        let last = match self.commits.contains_key(&envelope.id()) {
            true => Some(envelope.id()),
            false => inherited,
        };
        if let Some(last) = last {
            self.last_commit.insert(envelope.id(), last);
        }
    }

    /// Takes an envelope into authority: of structure it reads which channels are made.
    pub(super) fn insert(&mut self, envelope: &Verified) -> Result<Inserted, InsertError> {
        let header = envelope.header();
        let makes_channel = header.payload_type == PayloadType::Structure
            && matches!(
                StructureOp::decode(&header.payload),
                Ok(StructureOp::CreateChannel { .. })
            );
        if makes_channel {
            self.authority.insert_channel(envelope, false)
        } else {
            self.authority.insert(envelope)
        }
    }

    fn take_in_commit(&mut self, envelope: &Verified, own_previous: Option<EnvelopeId>) {
        let header = envelope.header();
        let Ok(payload) = CommitPayload::decode(&header.payload) else { return };
        let id = envelope.id();
        let Some(identity) = self.authority.author_of(&id) else { return };
        let vouched = payload.adds.iter().filter_map(|added| {
            let (device, package) = (added.device, added.package);
            let identity = self.authority.certified_at(&id, &device)?;
            Some(Addition { device, identity, package })
        });
        let adds: Vec<_> = vouched.collect();
        // Whoever is added without a certificate in the commit's past is added by what no policy allows. Not
        // by what is known now: whoever learns of the certificate first must come to the same.
        if adds.len() < payload.adds.len() {
            self.tree.forbid(id);
        }
        self.tree.add_commit(Commit {
            envelope: id,
            device: header.sender,
            identity,
            parent: payload.parent,
            child: payload.child,
            adds,
            removes: payload.removes.clone(),
            own_previous,
        });
        self.judge_headers(id, &payload.parent);
        let is_rival = self.tree.children(&payload.parent).len() > 1;
        if is_rival && self.may_matter(&id, &payload.parent) {
            self.fork_moved = ForkMoved::Now;
        }
        let (tip, at) = (envelope.tip(), header.timestamp);
        self.commits.insert(id, CommitAt { tip, at, payload });
    }

    /// Whether a commit may be on the way: one that is void, or beside the way, holds up nothing.
    fn may_matter(&self, commit: &EnvelopeId, parent: &StateId) -> bool {
        let on_the_way = self.choice.as_ref().is_none_or(|choice| choice.path.contains(parent));
        on_the_way && !self.tree.is_void(&self.view(), commit)
    }

    /// Notes whether a commit that has just arrived is forbidden, and the first on its parent with the
    /// second: whoever cannot check them for lack of that state must choose as those do who can.
    fn judge_headers(&mut self, arrived: EnvelopeId, parent: &StateId) {
        let mut commits = self.tree.commits_on(parent);
        match commits.len() {
            0 | 1 => return,
            2 => {}
            _ => commits.retain(|commit| commit.envelope == arrived),
        }
        let is_forbidden = |commit: &&&Commit| {
            let adds: Vec<DeviceId> = commit.adds.iter().map(|added| added.device).collect();
            let (device, removes) = (commit.device, commit.removes.as_slice());
            let header = CommitHeader { device, adds: &adds, removes };
            self.authority.forbids(&commit.envelope, &header)
        };
        let forbidden: Vec<EnvelopeId> =
            commits.iter().filter(is_forbidden).map(|commit| commit.envelope).collect();
        forbidden.into_iter().for_each(|commit| self.tree.forbid(commit));
    }

    fn take_in_vote(&mut self, envelope: &Verified) {
        let header = envelope.header();
        let Ok(payload) = VotePayload::decode(&header.payload) else { return };
        let Some(identity) = self.authority.author_of(&envelope.id()) else { return };
        self.tree.add_vote(Vote { envelope: envelope.id(), identity, state: payload.state });
    }

    /// Executes an operation on structure if its author was entitled to it and no removal cuts it off;
    /// else notes it, so that others can name it.
    fn apply_structure(&mut self, envelope: &Verified) {
        let header = envelope.header();
        let (id, device, order) = (envelope.id(), header.sender, header.order);
        let past = self.structure_before(envelope);
        let authorized = plain(envelope)
            .and_then(|opened| opened.decode(|bytes| StructureOp::decode(&bytes)).ok())
            .filter(|opened| !self.authority.is_cut_off(opened.origin(), envelope.tip()))
            .and_then(|opened| authorize(&self.authority, opened).ok());
        // Where the document cannot go on it stops, and says so at each later operation; the log stays.
        let _ = match authorized {
            Some(operation) => {
                self.structure.apply(id, device, order, &past, operation).map(|_| ())
            }
            None => self.structure.pass_over(id, device, order, &past),
        };
    }

    /// The latest operations on structure in the past of an envelope.
    fn structure_before(&self, envelope: &Verified) -> Vec<EnvelopeId> {
        let named = envelope.header().named();
        let latest: BTreeSet<_> =
            named.filter_map(|id| self.structure_heads.get(&id)).flatten().copied().collect();
        let dag = self.authority.dag();
        let is_behind = |id: &EnvelopeId| {
            latest.iter().any(|other| {
                let pair = dag.index(id).zip(dag.index(other));
                pair.is_some_and(|(id, other)| dag.is_before(id, other))
            })
        };
        latest.iter().filter(|id| !is_behind(id)).copied().collect()
    }

    /// Resolves what was loaded, without telling: it was told when it happened.
    pub(super) fn resettle_quietly(&mut self, node: &mut Node) {
        let recount = self.authority.settle();
        self.take_matrix();
        self.recut_structure(&recount);
        for channel in self.take_channels() {
            node.channels.insert(channel.id, self.id);
        }
    }

    /// Derives what the control channel, as it now is, calls for: who is in, what is shared with whom,
    /// where the group's head is, what to vote for and to commit, how far a join has come.
    pub(super) fn settle(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if !self.loaded {
            return;
        }
        if self.weighed.is_recount_due() {
            self.recount(node, cx);
        }
        self.look_at_revocation(node, cx);
        self.share(node, cx);
        self.compare(node, cx);
        self.introduce_late(node, cx);
        self.revoke_former(node, cx);
        self.lapse_trees(cx.now);
        self.choose(node, cx);
        self.look_at_stand();
        self.name_branches(node, cx);
        self.chase(node);
        self.reconcile(node, cx);
        self.renew_leaf(node, cx);
        self.publish_last_resort(node, cx);
        self.come_back(node, cx);
        self.start_over(node, cx);
        self.go_on_joining(node, cx);
        self.window(node, cx);
        self.ask_around(node, cx);
        node.flush(self.id);
    }

    fn recount(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let recount = self.authority.settle();
        let before = Arc::clone(&self.matrix);
        self.take_matrix();
        self.recut_structure(&recount);
        self.try_all_unnamed(node);
        self.meet_channels(node, cx);
        if self.join.as_ref().is_some_and(|join| !join.is_complete()) {
            return;
        }
        for identity in self.matrix.by_seniority() {
            if before.is_member(&identity) {
                continue;
            }
            let (server, name) = (self.id, self.name_of(&identity));
            cx.tell(Event::MemberJoined { server, identity, name });
        }
        for identity in before.by_seniority() {
            if self.is_member(&identity) {
                continue;
            }
            let (server, name) = (self.id, self.name_of(&identity));
            cx.tell(Event::MemberRemoved { server, identity, name });
        }
    }

    /// Executes structure anew where a removal cuts off other words than before.
    fn recut_structure(&mut self, recount: &Recount) {
        if recount.cut_changed.is_empty() {
            return;
        }
        self.structure = Structure::new();
        for envelope in self.structure_log.clone() {
            self.apply_structure(&envelope);
        }
    }

    /// Opens channels that were just made.
    pub(super) fn meet_channels(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        for met in self.take_channels() {
            if node.channels.contains_key(&met.id) {
                continue;
            }
            node.channels.insert(met.id, self.id);
            let number = node.numbers.channel(met.id, &mut cx.fx.batch);
            self.channels.insert(met.id, super::channel::Channel::new(met.id, number));
            self.open_for_sync(node, met.id, cx.now);
            let (server, channel) = (self.id, met.id);
            cx.tell(Event::ChannelCreated { server, channel, name: met.name.clone() });
            for waited in self.waiting.release(&EnvelopeId::new(*met.id.as_bytes())) {
                node.queue(Work::Keep { server, envelope: waited, from: None });
            }
        }
    }
}
