use std::{cell::OnceCell, collections::BTreeSet};

use super::{Choice, CommitTree, View, reading::Reading, roster::Roster, support::Support};
use crate::base::{EnvelopeId, IdentityId, StateId};

impl CommitTree {
    /// The state that `me` has to vote for before choosing anew; `None` if no vote is due.
    ///
    /// `chosen` is the last choice, made before what has arrived since was looked at; `stand` is where
    /// this device stands. A vote is due if it stands on that head and there is a state on the path in
    /// whose roster `me` is, with several children, valid or not, none of which more than half of that
    /// roster supports, and whose child on the path `me` does not support yet. Nobody votes who
    /// is out, for a head whose last commit is by somebody who is, or twice for one state. A condition, to be checked
    /// after every change.
    pub fn vote_due(
        &self,
        view: &dyn View,
        me: &IdentityId,
        stand: &StateId,
        chosen: &Choice,
    ) -> Option<StateId> {
        let idle = chosen.head != *stand
            || view.is_out(me)
            || self.last_committer(chosen).is_some_and(|identity| view.is_out(identity))
            || self.has_voted(me, &chosen.head);
        (!idle && self.lacks_my_weight(view, me, chosen)).then_some(chosen.head)
    }

    fn last_committer(&self, chosen: &Choice) -> Option<&IdentityId> {
        let place = self.places.get(chosen.commits.last()?)?;
        Some(&self.commit(*place).identity)
    }

    fn has_voted(&self, me: &IdentityId, state: &StateId) -> bool {
        let votes = self.votes_for.get(state).into_iter().flatten();
        votes.into_iter().any(|vote| self.votes[vote].identity == *me)
    }

    fn lacks_my_weight(&self, view: &dyn View, me: &IdentityId, chosen: &Choice) -> bool {
        let Some(root) = self.roots.get(&chosen.root) else { return false };
        let reading = Reading::of(self, view);
        let support = OnceCell::new();
        let mut roster = Roster::of(root);
        let mut on_path = BTreeSet::new();
        let mut claim = root.envelope;
        for (state, envelope) in chosen.path.iter().zip(&chosen.commits) {
            let Some(place) = self.places.get(envelope).copied() else { return false };
            on_path.insert(*state);
            let children = reading.children_if_several(*state, claim);
            if !children.is_empty() && roster.contains(me) {
                let support = support.get_or_init(|| Support::below(&reading, root));
                let people = self.numbers(&roster);
                let supporters = |child: usize| support.at(child, &on_path, &people);
                let count = |child: &usize| supporters(*child).count_in(&people);
                let undecided = children.iter().all(|child| 2 * count(child) <= roster.len());
                let mine = self.people.get(me);
                if undecided && !mine.is_some_and(|me| supporters(place).contains(*me)) {
                    return true;
                }
            }
            roster.apply(self.commit(place));
            claim = *envelope;
        }
        false
    }
}

impl Reading<'_> {
    fn children_if_several(&self, state: StateId, claim: EnvelopeId) -> Vec<usize> {
        if self.tree.commits_on.get(&state).is_none_or(|all| all.len() < 2) {
            return Vec::new();
        }
        let children: Vec<usize> = self.below(state, claim).collect();
        if children.len() < 2 { Vec::new() } else { children }
    }
}
