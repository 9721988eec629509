use std::collections::BTreeSet;

use super::seniors;
use crate::{
    base::StateId,
    state::mls::tree::{Choice, CommitTree, fixture::*},
};

// Rule 6.

fn forked() -> (CommitTree, Choice) {
    let tree = group(&FIVE).with([commit("ann", "base", "a")]);
    let chosen = tree.choose(&seniors()).unwrap();
    (tree.with([commit("eve", "base", "e")]), chosen)
}

#[test]
fn a_vote_is_due_where_a_fork_is_undecided_and_lacks_ones_weight() {
    let (tree, chosen) = forked();
    let due =
        |name, tree: &CommitTree| tree.vote_due(&seniors(), &person(name), &state("a"), &chosen);
    assert_eq!(due("bob", &tree), Some(state("a")));
    assert_eq!(due("ann", &tree), None, "the committer supports it already");
    assert_eq!(due("stranger", &tree), None, "no leaf in the parent");
    let tree = tree.voted([vote("bob", "a")]);
    assert_eq!(due("bob", &tree), None);
    assert_eq!(due("cat", &tree), Some(state("a")), "two of five are not more than half");
    let tree = tree.voted([vote("cat", "a")]);
    assert_eq!(due("dan", &tree), None, "three of five are");
}

#[test]
fn nobody_votes_without_a_fork_or_for_what_they_do_not_stand_on() {
    let tree = group(&FIVE).with([commit("ann", "base", "a")]);
    let chosen = tree.choose(&seniors()).unwrap();
    assert_eq!(tree.vote_due(&seniors(), &person("bob"), &state("a"), &chosen), None);
    let (tree, chosen) = forked();
    assert_eq!(tree.vote_due(&seniors(), &person("bob"), &state("base"), &chosen), None);
}

#[test]
fn an_invalid_sibling_makes_a_fork_too() {
    let (mut tree, chosen) = forked();
    tree.mark_invalid(envelope("e"));
    let due = tree.vote_due(&seniors(), &person("bob"), &state("a"), &chosen);
    assert_eq!(due, Some(state("a")));
}

#[test]
fn nobody_votes_for_a_head_whose_last_commit_is_by_somebody_who_is_out() {
    let (tree, chosen) = forked();
    let mut known = seniors();
    known.out.insert(person("ann"));
    assert_eq!(tree.vote_due(&known, &person("bob"), &state("a"), &chosen), None);
}

#[test]
fn nobody_votes_twice_for_one_state() {
    let (tree, chosen) = forked();
    let tree = tree.voted([vote("bob", "a")]);
    let mut known = seniors();
    known.silenced.insert(envelope("vote of bob for a"));
    assert_eq!(tree.vote_due(&known, &person("bob"), &state("a"), &chosen), None);
}

// Rule 7.

#[test]
fn the_stand_is_the_head_where_that_can_be_reached() {
    let tree = group(&FIVE).with([commit("ann", "base", "a"), commit("bob", "a", "b")]);
    assert_eq!(tree.stand(&seniors(), &|_| true), tree.choose(&seniors()));
}

#[test]
fn the_stand_is_the_end_of_the_walk_over_what_can_be_reached() {
    let tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("bob", "a", "b"),
        commit("cat", "base", "c"),
        commit("dan", "c", "d"),
        commit("eve", "c", "e"),
    ]);
    let stand = |names: &[&str]| {
        let reachable: BTreeSet<StateId> = names.iter().map(|name| state(name)).collect();
        ends_at(&tree.stand(&seniors(), &|at| reachable.contains(at)))
    };
    assert_eq!(tree.head(&seniors()), state("d"));
    assert_eq!(stand(&["base", "c", "e"]), Some(state("e")));
    assert_eq!(stand(&["base", "c", "a"]), Some(state("c")));
    assert_eq!(stand(&["base", "a"]), Some(state("a")));
    assert_eq!(stand(&["root", "base"]), Some(state("base")));
    assert_eq!(stand(&["elsewhere"]), None);
}
