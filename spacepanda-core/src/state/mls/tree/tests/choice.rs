use super::seniors;
use crate::{
    base::StateId,
    state::mls::tree::{Commit, CommitTree, Root, fixture::*},
};

#[test]
fn a_tree_without_a_root_has_no_head() {
    let tree = CommitTree::new().with([commit("ann", "root", "a")]);
    assert_eq!(tree.choose(&seniors()), None);
    assert_eq!(tree.stand(&seniors(), &|_| true), None);
}

#[test]
fn the_path_lists_states_and_commits_from_the_root() {
    let tree = group(&FIVE).with([commit("bob", "base", "a")]);
    let choice = tree.choose(&seniors()).unwrap();
    assert_eq!(choice.root, envelope("root"));
    assert_eq!(choice.path, [state("root"), state("base"), state("a")]);
    assert_eq!(choice.commits, [envelope("base"), envelope("a")]);
    assert_eq!(choice.head, state("a"));
}

// Roots.

#[test]
fn the_newest_generation_wins() {
    let mut tree = group(&FIVE);
    tree.add_root(Root { generation: 1, ..root("eve", "again") });
    assert_eq!(tree.head(&seniors()), state("again"));
}

#[test]
fn of_roots_of_one_generation_the_highest_standing_wins_then_the_lowest_id() {
    let mut tree = CommitTree::new();
    tree.add_root(root("ann", "one"));
    tree.add_root(root("bob", "two"));
    let mut known = seniors();
    for (high, low) in [("one", "two"), ("two", "one")] {
        known.standings = [(envelope(high), Some(9)), (envelope(low), Some(3))].into();
        assert_eq!(tree.head(&known), state(high));
    }
    known.standings.clear();
    let lowest = envelope("one").min(envelope("two"));
    assert_eq!(tree.choose(&known).unwrap().root, lowest);
}

#[test]
fn a_root_that_nobody_was_entitled_to_is_no_root() {
    let mut tree = group(&FIVE);
    tree.add_root(Root { generation: 7, ..root("eve", "usurped") });
    let mut known = seniors();
    known.standings.insert(envelope("usurped"), None);
    assert_eq!(tree.head(&known), state("base"));
}

// Rule 2.

#[test]
fn a_second_commit_on_one_parent_in_one_log_is_void() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "a"),
        commit("bob", "a", "b").after("a"),
        commit("bob", "base", "c").after("b").removing(&["dan"]),
    ]);
    assert!(!tree.is_void(&seniors(), &envelope("a")));
    assert!(!tree.is_void(&seniors(), &envelope("b")));
    assert!(tree.is_void(&seniors(), &envelope("c")));
    assert_eq!(tree.head(&seniors()), state("b"));
}

#[test]
fn on_two_branches_of_a_forked_log_both_commits_count() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "left").after("base"),
        commit("bob", "base", "right").after("base"),
    ]);
    assert!(!tree.is_void(&seniors(), &envelope("left")));
    assert!(!tree.is_void(&seniors(), &envelope("right")));
}

#[test]
fn voidness_does_not_depend_on_which_commit_came_first() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "c").after("b"),
        commit("bob", "a", "b").after("a"),
        commit("bob", "base", "a"),
    ]);
    assert!(tree.is_void(&seniors(), &envelope("c")));
    assert!(!tree.is_void(&seniors(), &envelope("a")));
}

#[test]
fn a_commit_that_removes_and_adds_one_device_is_void() {
    let tree =
        group(&FIVE).with([commit("bob", "base", "captured").removing(&["cat"]).adding(&["cat"])]);
    assert!(tree.is_void(&seniors(), &envelope("captured")));
    assert_eq!(tree.head(&seniors()), state("base"));
}

#[test]
fn a_plea_in_its_past_lets_a_commit_remove_and_add_the_pleader_by_just_that_package() {
    let again = |by, name| commit(by, "base", name).removing(&["cat"]).adding(&["cat"]);
    let tree = group(&FIVE).with([again("bob", "answered"), again("cat", "by herself")]);
    let plea = |commit: &str, package| (envelope(commit), device("cat"), package);
    let asked = bytes("package cat");
    let pleas = [plea("answered", asked), plea("by herself", asked)].into();
    let known = Known { pleas, ..seniors() };
    assert!(!tree.is_void(&known, &envelope("answered")));
    assert!(tree.is_void(&known, &envelope("by herself")));
    assert_eq!(tree.head(&known), state("answered"));
    let other = Known { pleas: [plea("answered", bytes("another"))].into(), ..seniors() };
    assert!(tree.is_void(&other, &envelope("answered")));
}

#[test]
fn other_devices_of_one_person_may_commit_on_the_same_parent() {
    let second = Commit { device: device("bob's phone"), ..commit("bob", "base", "b").after("a") };
    let tree = group(&FIVE).with([commit("bob", "base", "a"), second]);
    assert!(!tree.is_void(&seniors(), &envelope("b")));
}

// Rule 3.

#[test]
fn the_child_with_more_support_wins_against_seniority() {
    let tree = group(&FIVE).with([commit("ann", "base", "a"), commit("eve", "base", "e")]);
    assert_eq!(tree.head(&seniors()), state("a"));
    let tree = tree.voted([vote("dan", "e")]);
    assert_eq!(tree.head(&seniors()), state("e"));
}

#[test]
fn one_person_is_one_supporter_however_much_they_write() {
    let tree = group(&FIVE)
        .with([commit("ann", "base", "a"), commit("eve", "base", "e"), commit("eve", "e", "f")])
        .voted([vote("eve", "e"), vote("eve", "f")]);
    assert_eq!(tree.head(&seniors()), state("a"));
}

#[test]
fn whoever_has_no_leaf_in_the_parent_has_no_weight_there() {
    let tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e").adding(&["new", "newer", "newest"]),
        commit("new", "e", "f"),
        commit("newer", "f", "g"),
    ]);
    assert_eq!(tree.head(&seniors()), state("a"));
}

#[test]
fn support_below_counts_at_every_state_above() {
    let tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e"),
        commit("dan", "e", "f"),
        commit("cat", "f", "g"),
    ]);
    assert_eq!(tree.head(&seniors()), state("g"));
}

#[test]
fn changing_ones_mind_takes_no_support_back() {
    let tree = group(&FIVE)
        .with([commit("ann", "base", "a"), commit("eve", "base", "e")])
        .voted([vote("dan", "e"), vote("dan", "a")]);
    assert_eq!(tree.head(&seniors()), state("a"));
    let tree = tree.voted([vote("cat", "e")]);
    assert_eq!(tree.head(&seniors()), state("e"));
}

#[test]
fn what_a_removal_silenced_supports_nothing_but_stays_in_the_tree() {
    let tree = group(&FIVE)
        .with([commit("ann", "base", "a"), commit("eve", "base", "e"), commit("eve", "a", "b")])
        .voted([vote("dan", "e"), vote("cat", "e")]);
    let mut known = seniors();
    assert_eq!(tree.head(&known), state("e"));
    known.silenced = [envelope("vote of dan for e"), envelope("vote of cat for e")].into();
    known.silenced.insert(envelope("e"));
    assert_eq!(tree.head(&known), state("b"));
    known.silenced.insert(envelope("b"));
    assert_eq!(tree.head(&known), state("b"));
}

#[test]
fn an_invalid_commit_still_says_where_its_author_stood() {
    let mut tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e"),
        commit("dan", "e", "wrong"),
    ]);
    tree.mark_invalid(envelope("wrong"));
    assert_eq!(tree.head(&seniors()), state("e"));
}

// Rule 4.

#[test]
fn of_equal_support_the_commit_wins_by_which_somebody_leaves() {
    let tree = group(&FIVE)
        .with([commit("ann", "base", "a"), commit("eve", "base", "e").removing(&["dan"])]);
    assert_eq!(tree.head(&seniors()), state("e"));
}

#[test]
fn removing_the_absent_or_one_of_two_devices_is_nobody_leaving() {
    let mut second = addition("dan");
    second.device = device("dan's phone");
    let mut both = commit("ann", "base", "both");
    both.adds.push(second);
    let tree = group(&FIVE).with([
        both,
        commit("ann", "both", "a"),
        commit("dan", "both", "d").removing(&["dan's phone", "stranger"]),
    ]);
    assert_eq!(tree.head(&seniors()), state("a"));
}

#[test]
fn a_tie_goes_to_the_senior_committer_then_to_the_lowest_child() {
    let tree = group(&FIVE).with([commit("dan", "base", "d"), commit("cat", "base", "c")]);
    assert_eq!(tree.head(&seniors()), state("c"));
    let tree = group(&FIVE).with([commit("dan", "base", "d"), commit("dan", "base", "d2")]);
    assert_eq!(tree.head(&seniors()), state("d").min(state("d2")));
}

#[test]
fn one_stale_commit_and_thirty_move_nobody() {
    let tree = group(&FIVE).with([commit("bob", "base", "b"), commit("cat", "b", "c")]);
    let mut tree = tree.with([commit("ann", "base", "stale 0").removing(&["eve"])]);
    for n in 0..30 {
        assert_eq!(tree.head(&seniors()), state("c"), "{n} stale commits");
        let (parent, child) = (format!("stale {n}"), format!("stale {}", n + 1));
        tree.add_commit(commit("ann", &parent, &child).after(&parent));
        tree.add_vote(vote("ann", &child));
    }
}

// Rule 5.

#[test]
fn an_invalid_child_is_passed_over_with_all_below() {
    let mut tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e"),
        commit("dan", "e", "f"),
    ]);
    assert_eq!(tree.head(&seniors()), state("f"));
    tree.mark_invalid(envelope("e"));
    assert_eq!(tree.head(&seniors()), state("a"));
}

#[test]
fn a_child_that_cannot_be_entered_here_is_passed_over_until_somebody_else_goes_on_from_it() {
    let mut tree = group(&FIVE).with([commit("eve", "base", "e")]);
    assert!(tree.mark_unreadable(envelope("e")) && !tree.mark_unreadable(envelope("e")));
    assert_eq!(tree.head(&seniors()), state("base"));
    // What its author says of it tells nothing.
    let tree = tree.voted([vote("eve", "e")]).with([commit("eve", "e", "f")]);
    assert_eq!(tree.head(&seniors()), state("base"));
    assert_eq!(tree.clone().voted([vote("bob", "e")]).head(&seniors()), state("f"));
    assert_eq!(tree.with([commit("cat", "e", "g")]).head(&seniors()), state("g"));
}

#[test]
fn a_child_without_body_is_passed_over_until_somebody_else_supports_it() {
    let tree = group(&FIVE).with([commit("ann", "base", "a")]);
    let mut known = seniors();
    known.bodiless.insert(envelope("a"));
    assert_eq!(tree.head(&known), state("base"));
    let tree = tree.voted([vote("stranger", "a"), vote("ann", "a")]);
    assert_eq!(tree.head(&known), state("base"));
    let tree = tree.voted([vote("bob", "a")]);
    assert_eq!(tree.head(&known), state("a"));
}

#[test]
fn a_child_whose_parent_is_out_of_reach_is_not_passed_over() {
    let tree = group(&FIVE).with([commit("bob", "base", "b"), commit("cat", "b", "c")]);
    let reachable = |at: &StateId| *at == state("c");
    assert_eq!(ends_at(&tree.stand(&seniors(), &reachable)), Some(state("c")));
}
