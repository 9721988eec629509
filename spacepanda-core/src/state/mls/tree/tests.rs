#![allow(clippy::unwrap_used)]

use super::{fixture::*, *};

const FIVE: [&str; 5] = ["ann", "bob", "cat", "dan", "eve"];

fn seniors() -> Known {
    Known::seniors(&FIVE)
}

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
    assert!(!tree.is_void(&envelope("a")));
    assert!(!tree.is_void(&envelope("b")));
    assert!(tree.is_void(&envelope("c")));
    assert_eq!(tree.head(&seniors()), state("b"));
}

#[test]
fn on_two_branches_of_a_forked_log_both_commits_count() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "left").after("base"),
        commit("bob", "base", "right").after("base"),
    ]);
    assert!(!tree.is_void(&envelope("left")));
    assert!(!tree.is_void(&envelope("right")));
}

#[test]
fn voidness_does_not_depend_on_which_commit_came_first() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "c").after("b"),
        commit("bob", "a", "b").after("a"),
        commit("bob", "base", "a"),
    ]);
    assert!(tree.is_void(&envelope("c")));
    assert!(!tree.is_void(&envelope("a")));
}

#[test]
fn a_commit_that_removes_and_adds_one_device_is_void() {
    let tree =
        group(&FIVE).with([commit("bob", "base", "captured").removing(&["cat"]).adding(&["cat"])]);
    assert!(tree.is_void(&envelope("captured")));
    assert_eq!(tree.head(&seniors()), state("base"));
}

#[test]
fn other_devices_of_one_person_may_commit_on_the_same_parent() {
    let second = Commit { device: device("bob's phone"), ..commit("bob", "base", "b").after("a") };
    let tree = group(&FIVE).with([commit("bob", "base", "a"), second]);
    assert!(!tree.is_void(&envelope("b")));
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

// Rosters and lineage.

#[test]
fn rosters_follow_from_the_headers_alone() {
    let tree = group(&["ann", "bob"]).with([
        commit("bob", "base", "c").adding(&["cat", "ann"]).removing(&["nobody"]),
        commit("cat", "c", "d").removing(&["ann"]),
    ]);
    let names = |of: &str| tree.roster(&state(of)).map(|leaves| leaves.into_keys().collect());
    let devices =
        |names: &[&str]| -> BTreeSet<DeviceId> { names.iter().map(|name| device(name)).collect() };
    assert_eq!(names("root"), Some(devices(&["ann"])));
    assert_eq!(names("base"), Some(devices(&["ann", "bob"])));
    assert_eq!(names("c"), Some(devices(&["ann", "bob", "cat"])));
    assert_eq!(names("d"), Some(devices(&["bob", "cat"])));
    assert_eq!(names("nowhere"), None);
}

#[test]
fn a_leaf_keeps_its_owner_when_it_is_added_again() {
    let mut stolen = addition("bob");
    stolen.identity = person("eve");
    let mut theft = commit("eve", "base", "theft");
    theft.adds.push(stolen);
    let tree = group(&FIVE).with([theft]);
    assert_eq!(tree.roster(&state("theft")).unwrap()[&device("bob")], person("bob"));
}

#[test]
fn only_packages_on_the_path_are_used() {
    let tree = group(&["ann"]).with([
        commit("ann", "base", "b").adding(&["bob"]),
        commit("ann", "base", "c").adding(&["cat"]),
    ]);
    assert_eq!(tree.used_packages(&state("b")), [bytes("package bob")].into());
    assert_eq!(tree.used_packages(&state("base")), [].into());
}

#[test]
fn parents_and_children_are_found_by_state() {
    let tree = group(&FIVE).with([commit("ann", "base", "a"), commit("eve", "base", "e")]);
    assert_eq!(tree.children(&state("base")), [state("a"), state("e")].into());
    assert_eq!(tree.parent(&state("a")), Some(state("base")));
    assert_eq!(tree.parent(&state("root")), None);
    assert_eq!(tree.commits_on(&state("base")).len(), 2);
}

#[test]
fn orphans_wait_for_their_parent() {
    let mut tree = CommitTree::new()
        .with([commit("bob", "a", "b"), commit("ann", "base", "a")])
        .voted([vote("cat", "b")]);
    assert_eq!(tree.roster(&state("b")), None);
    tree.add_root(root("ann", "root"));
    tree.add_commit(commit("ann", "root", "base").adding(&["bob", "cat"]));
    assert_eq!(tree.head(&seniors()), state("b"));
}

// Lies.

#[test]
fn a_late_claim_to_a_state_borrows_no_weight() {
    let mut known = seniors();
    let mut tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e"),
        commit("bob", "a", "b"),
        commit("cat", "b", "c"),
    ]);
    known.pasts.insert(envelope("b"), [envelope("a")].into());
    known.pasts.insert(envelope("c"), [envelope("a"), envelope("b")].into());
    let before = tree.choose(&known).unwrap();
    tree.add_commit(commit("eve", "e", "b").enveloped("lie").removing(&["ann", "bob"]));
    tree.add_commit(commit("eve", "base", "a").enveloped("lie 2").removing(&["ann", "bob"]));
    assert_eq!(tree.choose(&known).unwrap(), before);
}

#[test]
fn a_proven_commit_refutes_other_claims_to_its_child() {
    let mut tree = group(&FIVE).with([
        commit("eve", "base", "a").enveloped("lie").removing(&["ann"]),
        commit("bob", "base", "a").enveloped("truth"),
    ]);
    assert_eq!(tree.choose(&seniors()).unwrap().commits[1], envelope("lie"));
    tree.mark_valid(envelope("truth"));
    assert_eq!(tree.choose(&seniors()).unwrap().commits[1], envelope("truth"));
    assert_eq!(tree.roster(&state("a")).unwrap().len(), 5);
}

#[test]
fn cycles_end() {
    let tree = group(&FIVE).with([
        commit("bob", "base", "a"),
        commit("eve", "a", "base").enveloped("back"),
        commit("eve", "a", "root").enveloped("back to the root"),
        commit("dan", "a", "a").enveloped("itself"),
        commit("cat", "x", "y"),
        commit("cat", "y", "x"),
    ]);
    assert_eq!(tree.head(&seniors()), state("a"));
    assert_eq!(tree.stand(&seniors(), &|_| false), None);
    assert_eq!(tree.parent(&state("a")), Some(state("base")));
    assert_eq!(tree.roster(&state("x")), None);
}

#[test]
fn what_lies_on_a_cycle_has_one_support() {
    let tree = group(&FIVE)
        .with([
            commit("ann", "base", "a"),
            commit("dan", "base", "d"),
            commit("eve", "d", "e"),
            commit("eve", "e", "d").enveloped("back"),
        ])
        .voted([vote("cat", "e")]);
    assert_eq!(tree.head(&seniors()), state("e"));
}

// Size.

#[test]
fn ten_thousand_commits_in_a_line_are_walked_without_recursion() {
    let mut tree = group(&FIVE);
    let mut parent = "base".to_owned();
    for n in 0..10_000 {
        let child = format!("state {n}");
        tree.add_commit(commit(FIVE[n % 5], &parent, &child));
        parent = child;
    }
    assert_eq!(tree.head(&seniors()), state(&parent));
    tree.add_commit(commit("eve", "base", "stale"));
    let chosen = tree.choose(&seniors()).unwrap();
    assert_eq!(chosen.head, state(&parent));
    assert_eq!(tree.stand(&seniors(), &|at| *at == state("base")).unwrap().head, state("base"));
    assert_eq!(tree.vote_due(&seniors(), &person("ann"), &chosen.head, &chosen), None);
    assert_eq!(tree.path_to(&chosen.head).unwrap().len(), 10_001);
}

#[test]
fn a_fork_at_every_state_costs_one_pass() {
    let mut tree = group(&FIVE);
    let mut parent = "base".to_owned();
    for n in 0..3_000 {
        let child = format!("state {n}");
        tree.add_commit(commit(FIVE[n % 5], &parent, &child));
        tree.add_commit(commit(FIVE[(n + 1) % 5], &parent, &format!("stray {n}")));
        parent = child;
    }
    let asked = std::cell::Cell::new(0);
    let counting = Counting { known: seniors(), asked: &asked };
    assert!([state(&parent), state("stray 2999")].contains(&tree.head(&counting)));
    assert_eq!(asked.get(), 6_001);
}

struct Counting<'a> {
    known: Known,
    asked: &'a std::cell::Cell<usize>,
}

impl View for Counting<'_> {
    fn counts(&self, envelope: &EnvelopeId) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.known.counts(envelope)
    }

    fn seniority(&self, identity: &IdentityId) -> u64 {
        self.known.seniority(identity)
    }

    fn standing(&self, root: &Root) -> Option<u64> {
        self.known.standing(root)
    }

    fn is_out(&self, identity: &IdentityId) -> bool {
        self.known.is_out(identity)
    }

    fn body_held(&self, commit: &EnvelopeId) -> bool {
        self.known.body_held(commit)
    }

    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool {
        self.known.knows(envelope, earlier)
    }
}
