use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    event::Event,
    machine::{Cx, Node, Work},
    server::{CommitAt, ForkMoved, Server},
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, IdentityId, StateId},
    state::{
        authority::{CommitHeader, InsertError, Inserted, authorize},
        crdt::{Structure, StructureOp},
        envelope::{PayloadType, Verified, plain},
        mls::{
            CommitPayload, VotePayload,
            tree::{Addition, Choice, Commit, Root, View, Vote},
        },
    },
};

impl Server {
    /// Takes in an envelope of the control channel: authority, structure, and the group's tree.
    pub(super) fn take_in_control(&mut self, envelope: &Verified) {
        if self.insert(envelope).is_err() {
            return;
        }
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
        let last = match header.payload_type {
            PayloadType::Commit => Some(envelope.id()),
            _ => inherited,
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
        let Some(identity) = self.authority.certified(&header.sender) else { return };
        let adds: Option<Vec<_>> = payload
            .adds
            .iter()
            .map(|added| {
                let (device, package) = (added.device, added.package);
                Some(Addition { device, identity: self.authority.certified(&device)?, package })
            })
            .collect();
        // Whoever is added without a certificate in the past is added by a commit that no policy
        // allows: the commit is no child of anything.
        let Some(adds) = adds else { return };
        self.tree.add_commit(Commit {
            envelope: envelope.id(),
            device: header.sender,
            identity,
            parent: payload.parent,
            child: payload.child,
            adds,
            removes: payload.removes.clone(),
            own_previous,
        });
        if self.tree.children(&payload.parent).len() > 1 {
            self.fork_moved = ForkMoved::Now;
        }
        self.judge_headers(envelope.id(), &payload.parent);
        let (tip, at) = (envelope.tip(), header.timestamp);
        self.commits.insert(envelope.id(), CommitAt { tip, at, payload });
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
        let Some(identity) = self.authority.certified(&header.sender) else { return };
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
        let _ = self.authority.settle();
        self.take_matrix();
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
        self.recount(node, cx);
        self.look_at_revocation(node, cx);
        self.share(node, cx);
        self.compare(node, cx);
        self.lapse_trees(cx.now);
        self.choose(node, cx);
        self.look_at_stand();
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
        if !recount.cut_changed.is_empty() {
            self.structure = Structure::new();
            for envelope in self.structure_log.clone() {
                self.apply_structure(&envelope);
            }
        }
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

    /// Walks the tree again: the head, a vote where it is due, and the stand.
    fn choose(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.fork_moved == ForkMoved::Now {
            self.fork_moved = ForkMoved::At(cx.now);
        }
        if Bug::VotesAfterJudging.is_planted() {
            self.choice = self.tree.choose(&self.view());
        }
        self.vote(node, cx);
        let choice = self.tree.choose(&self.view());
        if choice.as_ref().is_none_or(|choice| self.may_choose(choice)) {
            self.choice = choice;
        }
        let head = self.choice.as_ref().map(|choice| choice.head);
        if head != self.head {
            self.head = head;
            self.reconcile_at = None;
        }
        let Some(head) = head else { return };
        let kept = |state: &StateId| self.may_stand_on(state);
        let stand = self.tree.stand(&self.view(), &kept).map(|choice| choice.head);
        if let Some(stand) = stand.filter(|stand| Some(*stand) != self.stand) {
            node.queue(Work::StandOn(self.id, stand));
        }
        if !self.kept.contains_key(&head) {
            self.go_after(node, head);
        }
    }

    /// Any choice: how far back this device can go decides nothing.
    fn may_choose(&self, choice: &Choice) -> bool {
        let oldest = self.kept.values().min_by_key(|kept| kept.number);
        !Bug::WalksFromTheOldestKept.is_planted()
            || oldest.is_none_or(|oldest| choice.path.contains(&oldest.row.state))
    }

    /// Goes after the states that messages wait for.
    fn chase(&self, node: &mut Node) {
        for state in self.unopened.keys() {
            if self.kept.contains_key(state) {
                self.open_waiting(node, state);
            } else if self.unreachable.contains_key(state) {
                continue;
            } else if self.tree.path_to(&self.view(), state).is_some() {
                self.go_after(node, *state);
            }
        }
    }

    /// Votes for the head that was chosen last, before choosing anew, where that is due.
    fn vote(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let me = node.me().identity();
        let Some((stand, chosen)) = self.stand.zip(self.choice.as_ref()) else { return };
        let due = self.tree.vote_due(&self.view(), &me, &stand, chosen);
        let due = due.filter(|_| !Bug::NeverVotes.is_planted());
        if let Some(state) = due.filter(|_| self.is_member(&me)) {
            let payload = VotePayload { state }.encode();
            self.write_control(node, PayloadType::Vote, payload, cx);
        }
    }

    pub(super) fn view(&self) -> TreeView<'_> {
        TreeView { server: self }
    }

    /// The leaves of a state, by its headers.
    pub(super) fn roster(&self, state: &StateId) -> BTreeMap<DeviceId, IdentityId> {
        match &self.choice {
            Some(choice) if choice.head == *state => choice.roster.clone(),
            _ => self.tree.roster(&self.view(), state).unwrap_or_default(),
        }
    }
}

/// What the tree asks of authority and holdings.
pub(super) struct TreeView<'a> {
    server: &'a Server,
}

impl View for TreeView<'_> {
    fn counts(&self, envelope: &EnvelopeId) -> bool {
        self.server.authority.supports(envelope) || Bug::CountsTheRemoved.is_planted()
    }

    fn seniority(&self, identity: &IdentityId) -> u64 {
        self.server.place_of(identity)
    }

    /// Roots that nobody was entitled to are not added; a removal can take the weight of later ones.
    fn standing(&self, root: &Root) -> Option<u64> {
        let counts = root.generation == 0 || self.counts(&root.envelope);
        self.server.roots.standing(&root.envelope).filter(|_| counts)
    }

    fn is_out(&self, identity: &IdentityId) -> bool {
        !self.server.is_member(identity)
    }

    fn body_held(&self, commit: &EnvelopeId) -> bool {
        self.server.bodies.contains(commit)
    }

    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool {
        let dag = self.server.authority.dag();
        dag.index(earlier)
            .zip(dag.index(envelope))
            .is_some_and(|(earlier, envelope)| dag.is_before(earlier, envelope))
    }

    fn pleaded(&self, commit: &EnvelopeId, addition: &Addition) -> bool {
        let mut pleas = self.server.packages.all_pleas(&addition.device);
        pleas.any(|plea| plea.package == addition.package && self.knows(commit, &plea.envelope))
    }
}
