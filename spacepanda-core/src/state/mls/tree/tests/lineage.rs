use std::collections::BTreeSet;

use super::seniors;
use crate::{
    base::DeviceId,
    state::mls::tree::{CommitTree, Root, fixture::*},
};

#[test]
fn rosters_follow_from_the_headers_alone() {
    let tree = group(&["ann", "bob"]).with([
        commit("bob", "base", "c").adding(&["cat", "ann"]).removing(&["nobody"]),
        commit("cat", "c", "d").removing(&["ann"]),
    ]);
    let names =
        |of: &str| tree.roster(&seniors(), &state(of)).map(|leaves| leaves.into_keys().collect());
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
    assert_eq!(tree.roster(&seniors(), &state("theft")).unwrap()[&device("bob")], person("bob"));
}

#[test]
fn only_packages_on_the_path_are_used() {
    let tree = group(&["ann"]).with([
        commit("ann", "base", "b").adding(&["bob"]),
        commit("ann", "base", "c").adding(&["cat"]),
    ]);
    assert_eq!(tree.used_packages(&seniors(), &state("b")), [bytes("package bob")].into());
    assert_eq!(tree.used_packages(&seniors(), &state("base")), [].into());
}

#[test]
fn parents_and_children_are_found_by_state() {
    let tree = group(&FIVE).with([commit("ann", "base", "a"), commit("eve", "base", "e")]);
    assert_eq!(tree.children(&state("base")), [state("a"), state("e")].into());
    assert_eq!(tree.parent(&seniors(), &state("a")), Some(state("base")));
    assert_eq!(tree.parent(&seniors(), &state("root")), None);
    assert_eq!(tree.commits_on(&state("base")).len(), 2);
}

#[test]
fn orphans_wait_for_their_parent() {
    let mut tree = CommitTree::new()
        .with([commit("bob", "a", "b"), commit("ann", "base", "a")])
        .voted([vote("cat", "b")]);
    assert_eq!(tree.roster(&seniors(), &state("b")), None);
    tree.add_root(root("ann", "root"));
    tree.add_commit(commit("ann", "root", "base").adding(&["bob", "cat"]));
    assert_eq!(tree.head(&seniors()), state("b"));
}

#[test]
fn whoever_calls_a_state_on_the_path_a_root_cuts_nothing_off() {
    let mut tree = group(&FIVE).with([commit("ann", "base", "a"), commit("bob", "a", "b")]);
    let mut known = seniors();
    let before = tree.roster(&known, &state("b")).unwrap();
    let lie = Root { generation: 1, envelope: envelope("lie"), ..root("eve", "a") };
    tree.add_root(lie);
    known.pasts.insert(envelope("lie"), [envelope("a")].into());
    tree.add_root(Root { generation: 2, envelope: envelope("usurped"), ..root("eve", "a") });
    known.standings.insert(envelope("usurped"), None);
    assert_eq!(tree.generation(&known, &state("b")), Some(0));
    assert_eq!(tree.roster(&known, &state("b")).unwrap(), before);
}
