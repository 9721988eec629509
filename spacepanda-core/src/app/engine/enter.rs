use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;

use super::{
    frames::TreeRequest,
    join::next_try,
    machine::{Cx, Node, Work},
    reads::Reads,
    server::{CommitAt, Server},
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, PeerId, StateId, Timestamp, Tip, cbor},
    state::{
        link::Kind,
        mls::{self, CommitBody, Group, group_id},
    },
};

/// How long a peer has to answer for a tree.
const TREE_PATIENCE: Duration = Duration::from_secs(5);

/// How a state that is not kept is come nearer to.
pub(super) enum Route {
    /// By processing the next commit on the way.
    Replay(NextCommit),
    /// By the welcome of a commit on the way: what lies before it cannot be, or need not be, replayed.
    Enter(Entry),
}

/// The next commit on the way to a state, and the kept state it was made on.
pub(super) struct NextCommit {
    pub parent: StateId,
    pub commit: EnvelopeId,
    pub at: CommitAt,
}

/// A commit that adds this device by a package of its own.
pub(super) struct Entry {
    /// The state that it leads to.
    pub state: StateId,
    committer: DeviceId,
    tip: Tip,
    /// The number of the package.
    package: u32,
}

/// A tree that was asked for.
#[derive(Debug)]
pub(super) struct TreeAsk {
    /// Since when it is on the way to the head, or was asked for at all.
    since: Timestamp,
    /// Who was asked since the last link was made.
    of: BTreeSet<PeerId>,
    /// How long the last of them has to answer.
    until: Option<Timestamp>,
    /// When it goes round again, if that was everybody.
    again: Option<Timestamp>,
}

impl TreeAsk {
    fn new(now: Timestamp) -> Self {
        Self { since: now, of: BTreeSet::new(), until: None, again: None }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.until.or(self.again)
    }
}

impl Server {
    /// How to come one commit nearer to a state; `None` if it is kept, or nothing leads there from what
    /// is kept and one's own packages.
    ///
    /// The way begins at the last state on the path that is kept or that a welcome opens. A commit that
    /// adds this device can be entered, and not replayed: this device was not in its parent, or the same
    /// commit removes the leaf that was. One that adds it to a state in which it has its leaf is replayed,
    /// and so found to be false.
    pub(super) fn route(&self, node: &Node, state: &StateId) -> Option<Route> {
        let me = node.device();
        let path = self.tree.path_to(&self.view(), state)?;
        for (at, step) in path.iter().enumerate().rev() {
            if self.kept.contains_key(&step.child) {
                return self.replay_of(path.get(at + 1)?);
            }
            if self.adds_in_vain(step, &me) {
                if self.kept.contains_key(&step.parent) {
                    return self.replay_of(step);
                }
                continue;
            }
            if let Some(added) = step.adds.iter().find(|added| added.device == me) {
                let package = self.own_package(&added.package)?;
                let tip = self.commits.get(&step.envelope)?.tip;
                let (state, committer) = (step.child, step.device);
                return Some(Route::Enter(Entry { state, committer, tip, package }));
            }
        }
        let first = path.first().filter(|step| self.kept.contains_key(&step.parent))?;
        self.replay_of(first)
    }

    /// Whether a commit says that it adds a device which has its leaf, and does not say that it removes that.
    fn adds_in_vain(&self, step: &mls::tree::Commit, device: &DeviceId) -> bool {
        step.adds.iter().any(|added| added.device == *device)
            && !step.removes.contains(device)
            && self.roster(&step.parent).contains_key(device)
    }

    fn replay_of(&self, step: &mls::tree::Commit) -> Option<Route> {
        let at = self.commits.get(&step.envelope)?.clone();
        Some(Route::Replay(NextCommit { parent: step.parent, commit: step.envelope, at }))
    }

    /// Goes after what entering by a welcome takes: the commit's body, then the tree.
    pub(super) fn go_in(&mut self, node: &mut Node, entry: &Entry, cx: &mut Cx<'_>) {
        let Some(envelope) = cx.loaded.envelope(&self.control, &entry.tip) else { return };
        if envelope.body().is_none() {
            self.ask_for_body(node, &envelope, cx);
            return;
        }
        self.ask_for_tree(node, entry, cx);
    }

    /// Asks for the tree of a state: the committer first, then whoever was not asked yet, one at a time.
    /// After everybody it goes round again where the way to the head leads through it, ever more seldom.
    /// Who is out by what is known here asks nobody: they would be told that it is not held.
    fn ask_for_tree(&mut self, node: &mut Node, entry: &Entry, cx: &mut Cx<'_>) {
        if !self.may_have_trees(&node.device()) {
            return;
        }
        let members: Vec<_> =
            node.links.peers().filter(|peer| self.authority.certified(peer).is_some()).collect();
        let to_head = self.leads_to_head(&entry.state);
        let ask = self.trees.entry(entry.state).or_insert_with(|| TreeAsk::new(cx.now));
        if ask.until.is_some_and(|until| until > cx.now) {
            return;
        }
        ask.until = None;
        if !to_head {
            ask.since = cx.now;
        } else if members.iter().all(|peer| ask.of.contains(peer)) {
            if ask.again.is_some_and(|again| again > cx.now) {
                return;
            }
            ask.of.clear();
        }
        let fresh = |peer: &&PeerId| !ask.of.contains(*peer);
        let committer = members.iter().find(|peer| **peer == entry.committer);
        let next = committer.filter(fresh).or_else(|| members.iter().find(fresh));
        let Some(peer) = next.copied() else { return };
        ask.of.insert(peer);
        ask.until = Some(cx.now.saturating_add(TREE_PATIENCE));
        ask.again = Some(next_try(cx.now, cx.now.since(ask.since), TREE_PATIENCE));
        let frame = cbor::encode(&TreeRequest { server: self.id, state: entry.state });
        node.send(peer, Kind::TreeRequest, &frame, cx);
    }

    /// Whether a state is the head or lies above it.
    fn leads_to_head(&self, state: &StateId) -> bool {
        self.choice.as_ref().is_some_and(|choice| choice.path.contains(state))
    }

    /// A peer does not hold a tree, or did not answer in time: the next is asked.
    pub(super) fn tree_not_held(&mut self, node: &mut Node, peer: &PeerId, state: &StateId) {
        let Some(ask) = self.trees.get_mut(state).filter(|ask| ask.of.contains(peer)) else {
            return;
        };
        ask.until = None;
        node.settle(self.id);
    }

    /// Lets go of questions whose time is over, and of those that were answered.
    pub(super) fn lapse_trees(&mut self, now: Timestamp) {
        let kept = &self.kept;
        self.trees.retain(|state, _| !kept.contains_key(state));
        for ask in self.trees.values_mut() {
            ask.until = ask.until.filter(|until| *until > now);
            ask.again = ask.again.filter(|again| *again > now);
        }
    }

    /// Forgets what a peer was asked: the link on which it was is gone, and the answer with it.
    pub(super) fn forget_trees(&mut self, peer: &PeerId) {
        for ask in self.trees.values_mut() {
            if ask.of.remove(peer) {
                ask.until = None;
            }
        }
    }

    pub(super) fn entry_reads(&self, entry: &Entry) -> Reads {
        Reads { entries: vec![(self.control, entry.tip)], ..Reads::default() }
    }

    /// What [`Self::enter`] must know: the commit and the private part of the package.
    pub(super) fn enter_reads(&self, node: &Node, state: &StateId) -> Reads {
        let Some(Route::Enter(entry)) = self.route(node, state) else { return Reads::default() };
        Reads { entries: vec![(self.control, entry.tip)], ..self.package_reads(entry.package) }
    }

    /// Enters the group by a welcome, once everything about it checks out. The key package
    /// stays: if the addition loses its race, the same package opens the next welcome.
    pub(super) fn enter(&mut self, node: &mut Node, state: StateId, tree: &Bytes, cx: &mut Cx<'_>) {
        if !self.trees.contains_key(&state) {
            return;
        }
        let Some(Route::Enter(entry)) = self.route(node, &state) else { return };
        if entry.state != state {
            return;
        }
        if let Some(group) = self.opened(&entry, tree, cx) {
            self.trees.remove(&state);
            self.mark_valid(node, entry.tip.id, cx);
            self.keep_state(node, state, group, cx);
            let used = entry.package;
            self.retire_before(used, cx);
            if Bug::BurnsThePackage.is_planted() {
                self.forget_package(used, cx);
            }
            node.settle(self.id);
        }
    }

    /// The group that a welcome and a tree lead to, if it is the one that the commit names and every
    /// leaf in it is a certified device's.
    fn opened(&self, entry: &Entry, tree: &Bytes, cx: &mut Cx<'_>) -> Option<Group> {
        let envelope = cx.loaded.envelope(&self.control, &entry.tip)?;
        let body = CommitBody::decode(envelope.body()?).ok()?;
        let private = self.private_part(entry.package, cx.loaded);
        let joined = mls::join(&body.welcome?, tree, &private, &cx.chance.secret()).ok()?;
        let certified = joined
            .leaves()
            .iter()
            .all(|leaf| self.authority.certified(&leaf.device()) == Some(leaf.identity()));
        let generation = joined.settings().generation;
        let sound = joined.state_id() == entry.state
            && joined.group_id() == group_id(&self.id, generation)
            && self.tree.generation(&self.view(), &entry.state) == Some(generation)
            && certified;
        sound.then(|| joined.enter())
    }

    /// Goes after a state where something leads to it; else it is as far as it was.
    pub(super) fn go_after(&self, node: &mut Node, state: StateId) {
        if !self.kept.is_empty() || self.route(node, &state).is_some() {
            node.queue(Work::Reach(self.id, state));
        }
    }
}
