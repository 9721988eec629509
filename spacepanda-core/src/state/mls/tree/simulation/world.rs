//! Members that act by the rules, over links that come and go.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::facts::{Eyes, Fact, Facts, Said};
use crate::{
    base::{DeviceId, EnvelopeId, IdentityId, StateId},
    state::mls::tree::{
        Addition, Choice, Commit, CommitTree, Root, View, Vote,
        fixture::{device, envelope, person, state},
    },
};

/// One person with one device, and what it holds.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) identity: IdentityId,
    pub(super) device: DeviceId,
    pub(super) hostile: bool,
    pub(super) held: BTreeSet<usize>,
    pub(super) bodies: BTreeSet<EnvelopeId>,
    /// Bodies of its own that it shows nobody.
    withheld: BTreeSet<EnvelopeId>,
    pub(super) tree: CommitTree,
    pub(super) kept: BTreeSet<StateId>,
    pub(super) chosen: Option<Choice>,
    pub(super) stand: Option<Choice>,
    /// Commits by which it entered a state.
    proven: BTreeSet<EnvelopeId>,
    last_commit: Option<EnvelopeId>,
}

/// What a commit is to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) adds: Vec<Addition>,
    pub(super) removes: Vec<DeviceId>,
    pub(super) claimed: Option<StateId>,
    pub(super) invalid: bool,
    pub(super) withheld: bool,
    /// Its author pretends to have seen nothing but how the group began.
    pub(super) blind: bool,
}

/// All members, and who is in one partition with whom.
pub(super) struct World {
    rng: ChaCha8Rng,
    pub(super) facts: Facts,
    pub(super) members: Vec<Member>,
    pub(super) partition: Vec<usize>,
    /// The last fact of the beginning.
    began: usize,
}

pub(super) fn name(member: usize) -> String {
    format!("member {member}")
}

impl World {
    /// A group that the first of `count` members made and that all of them stand in.
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = Self {
            rng,
            facts: Facts::default(),
            members: Vec::new(),
            partition: Vec::new(),
            began: 0,
        };
        (0..count).for_each(|_| world.arrive());
        world.write(0, |envelope| {
            let (author, device) = (person(&name(0)), device(&name(0)));
            Said::Root(Root { envelope, generation: 0, state: state("root"), author, device })
        });
        for member in 0..count {
            world.write(0, |_| Said::Admit(person(&name(member))));
        }
        world.began = world.facts.all.len() - 1;
        world.members[0].kept.insert(state("root"));
        world.settle(0);
        assert!(world.reconcile(0));
        for member in 1..count {
            world.sync(0, member);
        }
        world
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.next_u32()).unwrap() % bound.max(1)
    }

    /// A device that knows nothing yet.
    pub(super) fn arrive(&mut self) {
        let name = name(self.members.len());
        self.partition.push(0);
        self.members.push(Member {
            identity: person(&name),
            device: device(&name),
            hostile: false,
            held: BTreeSet::new(),
            bodies: BTreeSet::new(),
            withheld: BTreeSet::new(),
            tree: CommitTree::new(),
            kept: BTreeSet::new(),
            chosen: None,
            stand: None,
            proven: BTreeSet::new(),
            last_commit: None,
        });
    }

    pub(super) fn eyes(&self, member: usize) -> Eyes<'_> {
        let member = &self.members[member];
        Eyes::of(&self.facts, &member.held, &member.bodies)
    }

    pub(super) fn write(
        &mut self,
        author: usize,
        say: impl FnOnce(EnvelopeId) -> Said,
    ) -> EnvelopeId {
        let number = self.facts.all.len();
        let envelope = envelope(&format!("fact {number}"));
        let member = &mut self.members[author];
        let (past, said) = (member.held.clone(), say(envelope));
        let fact = Fact { author: member.identity, past, said };
        fact.add_to(&mut member.tree);
        member.held.insert(number);
        self.facts.places.insert(envelope, number);
        self.facts.all.push(fact);
        envelope
    }

    /// Commits on a state; whoever writes what is valid keeps the child.
    pub(super) fn commit(&mut self, by: usize, parent: StateId, draft: Draft) -> EnvelopeId {
        let child = draft.claimed.unwrap_or_else(|| state(&self.facts.all.len().to_string()));
        let (identity, device) = (self.members[by].identity, self.members[by].device);
        let own_previous = self.members[by].last_commit;
        let Draft { adds, removes, .. } = draft;
        let envelope = self.write(by, |envelope| {
            let commit =
                Commit { envelope, device, identity, parent, child, adds, removes, own_previous };
            Said::Commit { commit, valid: !draft.invalid }
        });
        if draft.blind {
            let number = self.facts.places[&envelope];
            self.facts.all[number].past.retain(|known| *known <= self.began);
        }
        let member = &mut self.members[by];
        member.bodies.insert(envelope);
        if draft.withheld {
            member.withheld.insert(envelope);
        }
        if !draft.invalid {
            member.kept.insert(child);
        }
        member.last_commit = Some(envelope);
        envelope
    }

    /// Both have afterwards what either had, but for the bodies that a hostile one withholds.
    pub(super) fn sync(&mut self, a: usize, b: usize) {
        let changed = [self.pull(a, b), self.pull(b, a)];
        for (member, changed) in [a, b].into_iter().zip(changed) {
            if changed {
                self.settle(member);
            }
        }
    }

    fn pull(&mut self, to: usize, from: usize) -> bool {
        let source = &self.members[from];
        let held: Vec<usize> = source.held.difference(&self.members[to].held).copied().collect();
        let shown = source.bodies.difference(&source.withheld);
        let bodies: Vec<EnvelopeId> =
            shown.filter(|body| !self.members[to].bodies.contains(*body)).copied().collect();
        let member = &mut self.members[to];
        for number in &held {
            self.facts.all[*number].add_to(&mut member.tree);
        }
        let changed = !held.is_empty() || !bodies.is_empty();
        member.held.extend(held);
        member.bodies.extend(bodies);
        changed
    }

    /// Votes where that is due, before and after choosing anew, until no vote is due.
    pub(super) fn settle(&mut self, member: usize) {
        self.vote(member);
        self.choose(member);
        while self.vote(member) {
            self.choose(member);
        }
    }

    fn vote(&mut self, member: usize) -> bool {
        let it = &self.members[member];
        let (Some(chosen), Some(stand)) = (&it.chosen, &it.stand) else { return false };
        let eyes = self.eyes(member);
        if it.hostile || eyes.is_out(&it.identity) {
            return false;
        }
        let identity = it.identity;
        let Some(due) = it.tree.vote_due(&eyes, &identity, &stand.head, chosen) else {
            return false;
        };
        self.write(member, |envelope| Said::Vote(Vote { envelope, identity, state: due }));
        true
    }

    /// Chooses, and follows the walk over what can be reached; what turns out invalid is noted.
    fn choose(&mut self, member: usize) {
        loop {
            let eyes = self.eyes(member);
            let it = &self.members[member];
            let reachable = self.reachable(it);
            let chosen = it.tree.choose(&eyes);
            let stand = it.tree.stand(&eyes, &|at| reachable.contains(at));
            let walks = chosen.iter().chain(&stand);
            let wrong = { walks }.find_map(|walk| self.first_invalid(it, walk, &reachable));
            let it = &mut self.members[member];
            if let Some(wrong) = wrong {
                it.tree.mark_invalid(wrong);
                continue;
            }
            let entered = stand.iter().flat_map(|stand| &stand.path);
            it.kept.extend(entered.filter(|at| reachable.contains(*at)));
            (it.chosen, it.stand) = (chosen, stand);
            if !self.prove(member) {
                return;
            }
        }
    }

    /// Whoever entered a state by a commit knows that it made it. Returns whether that is news.
    fn prove(&mut self, member: usize) -> bool {
        let it = &mut self.members[member];
        let proven: Vec<EnvelopeId> = it
            .bodies
            .difference(&it.proven)
            .filter(|body| {
                self.facts.commit(body).is_some_and(|(commit, valid)| {
                    let added = commit.adds.iter().any(|add| add.device == it.device);
                    valid
                        && it.kept.contains(&commit.child)
                        && (added || it.kept.contains(&commit.parent))
                })
            })
            .copied()
            .collect();
        proven.iter().for_each(|commit| it.tree.mark_valid(*commit));
        it.proven.extend(&proven);
        !proven.is_empty()
    }

    /// What is kept, what a welcome opens, and what can be replayed from there, as far as known.
    fn reachable(&self, member: &Member) -> BTreeSet<StateId> {
        let mut reachable = member.kept.clone();
        loop {
            let found: Vec<StateId> = member
                .bodies
                .iter()
                .filter_map(|body| self.facts.commit(body))
                .filter(|(commit, _)| !reachable.contains(&commit.child))
                .filter(|(commit, valid)| self.can_enter(member, &reachable, commit, *valid))
                .map(|(commit, _)| commit.child)
                .collect();
            if found.is_empty() {
                return reachable;
            }
            reachable.extend(found);
        }
    }

    fn can_enter(
        &self,
        member: &Member,
        reachable: &BTreeSet<StateId>,
        commit: &Commit,
        valid: bool,
    ) -> bool {
        let welcomed = valid && commit.adds.iter().any(|add| add.device == member.device);
        let replays = reachable.contains(&commit.parent)
            && commit.device != member.device
            && !commit.removes.contains(&member.device)
            && (valid || !member.kept.contains(&commit.parent));
        welcomed || replays
    }

    fn first_invalid(
        &self,
        member: &Member,
        walk: &Choice,
        reachable: &BTreeSet<StateId>,
    ) -> Option<EnvelopeId> {
        let mut steps = walk.path.iter().zip(&walk.commits);
        steps.find_map(|(parent, envelope)| {
            let (commit, valid) = self.facts.commit(envelope)?;
            let checkable = commit.device != member.device && member.bodies.contains(envelope);
            (reachable.contains(parent) && checkable && !valid).then_some(*envelope)
        })
    }
}
