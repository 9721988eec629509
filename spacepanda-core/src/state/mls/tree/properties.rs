#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{fixture::*, *};

const NAMES: [&str; 8] = ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"];

#[derive(Debug, Clone)]
enum Fact {
    Root(Root),
    Commit(Commit),
    Vote(Vote),
}

fn insert(tree: &mut CommitTree, fact: &Fact) {
    match fact.clone() {
        Fact::Root(root) => tree.add_root(root),
        Fact::Commit(commit) => tree.add_commit(commit),
        Fact::Vote(vote) => tree.add_vote(vote),
    };
}

fn tree_of(facts: &[Fact]) -> CommitTree {
    let mut tree = CommitTree::new();
    facts.iter().for_each(|fact| insert(&mut tree, fact));
    tree
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

/// Any parent, any child, any own log: cycles, false claims, orphans, forked logs.
fn garbage(states: u8) -> impl Strategy<Value = Vec<Fact>> {
    let commits = (
        name(),
        0..states,
        0..states,
        prop::collection::vec(name(), 0..3),
        prop::collection::vec(name(), 0..2),
        prop::option::of(0..60_usize),
    );
    let facts =
        (prop::collection::vec(commits, 0..60), prop::collection::vec((name(), 0..states), 0..20));
    facts.prop_map(|(commits, votes)| {
        let mut facts = vec![
            Fact::Root(root("ann", "0")),
            Fact::Root(Root { envelope: envelope("second"), ..root("bob", "1") }),
        ];
        for (n, (by, parent, child, adds, removes, previous)) in commits.into_iter().enumerate() {
            let mut commit = commit(by, &parent.to_string(), &child.to_string())
                .enveloped(&format!("commit {n}"))
                .adding(&adds)
                .removing(&removes);
            commit.own_previous = previous.map(|n| envelope(&format!("commit {n}")));
            facts.push(Fact::Commit(commit));
        }
        let votes = votes.into_iter().map(|(by, at)| Fact::Vote(vote(by, &at.to_string())));
        facts.extend(votes);
        facts
    })
}

/// A tree in which every commit is on an earlier state and makes one of its own.
fn honest() -> impl Strategy<Value = Vec<Fact>> {
    let commits = prop::collection::vec((name(), any::<prop::sample::Index>()), 1..40);
    let votes = prop::collection::vec((name(), any::<prop::sample::Index>()), 0..20);
    (commits, votes).prop_map(|(commits, votes)| {
        let mut states = vec!["base".to_owned()];
        let mut facts = vec![
            Fact::Root(root("ann", "root")),
            Fact::Commit(commit("ann", "root", "base").adding(&NAMES[1..])),
        ];
        for (n, (by, parent)) in commits.into_iter().enumerate() {
            let child = format!("state {n}");
            facts.push(Fact::Commit(commit(by, parent.get::<String>(&states).as_str(), &child)));
            states.push(child);
        }
        facts.extend(
            votes
                .into_iter()
                .map(|(by, at)| Fact::Vote(vote(by, at.get::<String>(&states).as_str()))),
        );
        facts
    })
}

/// Every third body is missing, every fifth envelope silenced; pasts are arbitrary but fixed.
#[derive(Debug)]
struct Arbitrary(Known);

impl View for Arbitrary {
    fn counts(&self, envelope: &EnvelopeId) -> bool {
        !envelope.as_bytes()[0].is_multiple_of(5)
    }

    fn seniority(&self, identity: &IdentityId) -> u64 {
        self.0.seniority(identity)
    }

    fn standing(&self, root: &Root) -> Option<u64> {
        self.0.standing(root)
    }

    fn is_out(&self, identity: &IdentityId) -> bool {
        self.0.is_out(identity)
    }

    fn body_held(&self, commit: &EnvelopeId) -> bool {
        !commit.as_bytes()[0].is_multiple_of(3)
    }

    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool {
        let roots = [super::fixture::envelope("0"), super::fixture::envelope("second")];
        !roots.contains(envelope)
            && u16::from(earlier.as_bytes()[1]) + 64 < u16::from(envelope.as_bytes()[1])
    }

    fn pleaded(&self, commit: &EnvelopeId, _: &Addition) -> bool {
        commit.as_bytes()[0].is_multiple_of(2)
    }
}

fn arbitrary() -> Arbitrary {
    Arbitrary(Known::seniors(&NAMES[2..6]))
}

fn reachable(state: &StateId) -> bool {
    !state.as_bytes()[0].is_multiple_of(4)
}

proptest! {
    #[test]
    fn the_order_of_insertion_never_changes_anything(
        (facts, shuffled) in garbage(12)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
    ) {
        let (one, two) = (tree_of(&facts), tree_of(&shuffled));
        let view = arbitrary();
        let chosen = one.choose(&view);
        prop_assert_eq!(&chosen, &two.choose(&view));
        prop_assert_eq!(one.stand(&view, &reachable), two.stand(&view, &reachable));
        for n in 0..12 {
            let at = state(&n.to_string());
            prop_assert_eq!(one.roster(&view, &at), two.roster(&view, &at));
            prop_assert_eq!(one.path_to(&view, &at), two.path_to(&view, &at));
        }
        let chosen = chosen.unwrap();
        for name in NAMES {
            let due = |tree: &CommitTree| tree.vote_due(&view, &person(name), &chosen.head, &chosen);
            prop_assert_eq!(due(&one), due(&two));
        }
    }

    #[test]
    fn a_path_visits_no_state_twice_and_follows_parents(facts in garbage(40)) {
        let tree = tree_of(&facts);
        let chosen = tree.choose(&arbitrary()).unwrap();
        let states: BTreeSet<&StateId> = chosen.path.iter().collect();
        prop_assert_eq!(states.len(), chosen.path.len());
        prop_assert_eq!(chosen.path.len(), chosen.commits.len() + 1);
        for (step, envelope) in chosen.path.windows(2).zip(&chosen.commits) {
            let commit = tree.commit_of(envelope).unwrap();
            prop_assert_eq!((commit.parent, commit.child), (step[0], step[1]));
            prop_assert!(!tree.is_void(&arbitrary(), envelope));
        }
    }

    #[test]
    fn adding_weight_along_the_chosen_path_never_moves_it(
        facts in honest(),
        votes in prop::collection::vec((name(), any::<prop::sample::Index>()), 0..20),
    ) {
        let mut tree = tree_of(&facts);
        let view = Known::seniors(&NAMES);
        let chosen = tree.choose(&view).unwrap();
        for (n, (by, at)) in votes.iter().enumerate() {
            let on_path = *at.get(&chosen.path[..]);
            tree.add_vote(Vote { state: on_path, ..vote(by, &format!("new {n}")) });
            prop_assert_eq!(&tree.choose(&view).unwrap(), &chosen);
        }
        tree.add_commit(Commit { parent: chosen.head, ..commit("cat", "", "next") });
        let next = tree.choose(&view).unwrap();
        prop_assert_eq!(next.head, state("next"));
        prop_assert_eq!(&next.path[..chosen.path.len()], &chosen.path[..]);
    }

    #[test]
    fn one_pass_counts_what_a_flood_counts(facts in honest()) {
        let tree = tree_of(&facts);
        let view = arbitrary();
        let reading = Reading::of(&tree, &view);
        let support = support::Support::below(&reading, &root("ann", "root"));
        for place in 0..tree.nodes.len() {
            let path = tree.path_to(&view, &tree.commit(place).parent).unwrap();
            let mut path: BTreeSet<StateId> = path.into_iter().map(|above| above.child).collect();
            path.insert(state("root"));
            let everybody = tree.numbers(&roster::Roster::of(&root("ann", "root")));
            let expected = by_definition(&reading, place);
            for (identity, number) in &tree.people {
                let counted = support.at(place, &path, &everybody).contains(*number);
                prop_assert_eq!(counted, expected.contains(identity), "commit {}", place);
            }
        }
    }

    #[test]
    fn the_stand_is_reachable_and_is_the_head_where_that_is(facts in garbage(30)) {
        let tree = tree_of(&facts);
        let view = arbitrary();
        let head = tree.choose(&view).unwrap();
        let stand = tree.stand(&view, &reachable);
        if reachable(&head.head) {
            prop_assert_eq!(stand, Some(head));
        } else if let Some(stand) = stand {
            prop_assert!(reachable(&stand.head));
        }
    }
}

/// Everybody who wrote something that counts at what a flood from the commit reaches.
fn by_definition(reading: &Reading<'_>, place: usize) -> BTreeSet<IdentityId> {
    let (tree, view) = (reading.tree, reading.view);
    let mut reached = BTreeSet::new();
    let mut open = vec![place];
    let mut people = BTreeSet::new();
    while let Some(at) = open.pop() {
        if !reached.insert(at) {
            continue;
        }
        let commit = tree.commit(at);
        if view.counts(&commit.envelope) {
            people.insert(commit.identity);
        }
        people.extend(tree.votes.values().filter_map(|vote| {
            let here = vote.state == commit.child
                && reading.means(&vote.envelope, &vote.state, &commit.envelope)
                && view.counts(&vote.envelope);
            here.then_some(vote.identity)
        }));
        open.extend(reading.below(commit.child, commit.envelope));
    }
    people
}
