use std::collections::BTreeMap;

use super::{
    machine::{Cx, Node, Work},
    reads::Loaded,
    rows::{self, VIEW, VerdictRow},
    server::{ForkMoved, Server},
};
use crate::{
    base::{Bug, DeviceId, EnvelopeId, IdentityId, StateId, cbor},
    state::{
        envelope::PayloadType,
        mls::{
            VotePayload,
            tree::{Addition, Choice, Root, View},
        },
    },
};

/// What was last computed of the tree, and from what: only what has changed since is walked again.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    /// Counts what the walk depends on: control envelopes, bodies and verdicts.
    facts: u64,
    /// Counts the changes of what is kept.
    kept: u64,
    /// The facts that were counted: who is in, and which channels there are.
    counted: Option<u64>,
    /// The facts that the choice was made from.
    chosen: Option<u64>,
    /// The facts and the stand for which no vote is due.
    voted: Option<(u64, Option<StateId>)>,
    /// Where to stand, of which facts and which kept states.
    stand: Option<((u64, u64), Option<StateId>)>,
}

impl Weighed {
    /// Something that a walk depends on is different now.
    pub(super) fn note_fact(&mut self) {
        self.facts += 1;
    }

    pub(super) fn facts(&self) -> u64 {
        self.facts
    }

    /// Whether there are facts that were not counted yet; they count as counted then.
    pub(super) fn is_recount_due(&mut self) -> bool {
        self.counted.replace(self.facts) != Some(self.facts)
    }

    /// Another state is kept, or one is not any more.
    pub(super) fn note_kept(&mut self) {
        self.kept += 1;
    }
}

impl Server {
    /// Walks the tree again: the head, a vote where it is due, and the stand.
    pub(super) fn choose(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.fork_moved == ForkMoved::Now {
            self.fork_moved = ForkMoved::At(cx.now);
        }
        if Bug::VotesAfterJudging.is_planted() {
            self.choice = self.tree.choose(&self.view());
        }
        self.vote(node, cx);
        if self.weighed.chosen != Some(self.weighed.facts) {
            let choice = self.tree.choose(&self.view());
            if choice.as_ref().is_none_or(|choice| self.may_choose(choice)) {
                self.choice = choice;
            }
            self.weighed.chosen = Some(self.weighed.facts);
        }
        debug_assert_eq!(self.choice, self.tree.choose(&self.view()), "a fact was not noted");
        let head = self.choice.as_ref().map(|choice| choice.head);
        if head != self.head {
            self.head = head;
            self.reconcile_at = None;
        }
        let Some(head) = head else { return };
        if let Some(stand) = self.best_stand().filter(|stand| Some(*stand) != self.stand) {
            node.queue(Work::StandOn(self.id, stand));
        }
        if !self.kept.contains_key(&head) {
            self.go_after(node, head);
        }
    }

    /// The end of the same walk over the states that are kept.
    fn best_stand(&mut self) -> Option<StateId> {
        let of = (self.weighed.facts, self.weighed.kept);
        if let Some((known, stand)) = self.weighed.stand
            && known == of
        {
            return stand;
        }
        let kept = |state: &StateId| self.may_stand_on(state);
        let stand = self.tree.stand(&self.view(), &kept).map(|choice| choice.head);
        self.weighed.stand = Some((of, stand));
        stand
    }

    /// Any choice: how far back this device can go decides nothing.
    fn may_choose(&self, choice: &Choice) -> bool {
        let oldest = self.kept.values().min_by_key(|kept| kept.number);
        !Bug::WalksFromTheOldestKept.is_planted()
            || oldest.is_none_or(|oldest| choice.path.contains(&oldest.row.state))
    }

    /// Goes after the states that messages wait for.
    pub(super) fn chase(&self, node: &mut Node) {
        for (state, of) in &self.unopened {
            if self.kept.contains_key(state) {
                self.open_waiting(node, state);
                continue;
            }
            // A body is asked for though its state is out of reach: with it the message is handed over.
            for (channel, tip) in of.iter().copied() {
                if !self.lacks_body(node, &channel, &tip.id) {
                    continue;
                }
                let server = self.id;
                node.queue(Work::Open { server, channel, tip });
            }
            let unreachable = self.unreachable.contains_key(state);
            if !unreachable && self.tree.path_to(&self.view(), state).is_some() {
                self.go_after(node, *state);
            }
        }
    }

    /// Votes for the head that was chosen last, before choosing anew, where that is due.
    fn vote(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let of = (self.weighed.facts, self.stand);
        if self.weighed.voted == Some(of) {
            return;
        }
        self.weighed.voted = Some(of);
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

    /// Notes that a state was entered by this commit, for good: once its parent is gone nobody tries it again.
    pub(super) fn mark_valid(&mut self, node: &mut Node, commit: EnvelopeId, cx: &mut Cx<'_>) {
        self.tree.mark_valid(commit);
        self.weighed.note_fact();
        self.keep_verdict(node, commit, true, cx);
    }

    /// Notes that a commit is passed over for good; whether that is new.
    pub(super) fn mark_invalid(
        &mut self,
        node: &mut Node,
        commit: EnvelopeId,
        cx: &mut Cx<'_>,
    ) -> bool {
        let is_new = self.tree.mark_invalid(commit);
        if is_new {
            self.weighed.note_fact();
            self.keep_verdict(node, commit, false, cx);
        }
        is_new
    }

    /// Notes that a commit cannot be entered here, though others may have; whether that is new.
    pub(super) fn mark_unreadable(&mut self, commit: EnvelopeId) -> bool {
        let is_new = self.tree.mark_unreadable(commit);
        if is_new {
            self.weighed.note_fact();
        }
        is_new
    }

    fn keep_verdict(&self, node: &mut Node, commit: EnvelopeId, valid: bool, cx: &mut Cx<'_>) {
        let Some(at) = self.commits.get(&commit) else { return };
        let device = node.numbers.device(at.tip.device, &mut cx.fx.batch);
        let key = rows::verdict_key(self.number, device, &at.tip);
        cx.fx.batch.put(VIEW, key, cbor::encode(&VerdictRow { commit, valid }));
    }

    /// Takes what came of the commits that were tried.
    pub(super) fn load_verdicts(&mut self, loaded: &Loaded) {
        for (_, value) in loaded.prefix(&VIEW, &rows::verdicts_prefix(self.number)) {
            match cbor::decode(value) {
                Ok(VerdictRow { commit, valid: true }) => self.tree.mark_valid(commit),
                Ok(VerdictRow { commit, valid: false }) => {
                    self.tree.mark_invalid(commit);
                }
                Err(_) => {}
            }
        }
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
