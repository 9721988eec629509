use super::seniors;
use crate::state::mls::tree::{Root, fixture::*};

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
    assert_eq!(tree.roster(&seniors(), &state("a")).unwrap().len(), 5);
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
    assert_eq!(tree.parent(&seniors(), &state("a")), Some(state("base")));
    assert_eq!(tree.roster(&seniors(), &state("x")), None);
}

#[test]
fn a_claim_that_knows_of_another_one_is_void() {
    let mut known = seniors();
    let tree = group(&FIVE).with([
        commit("bob", "base", "b"),
        commit("eve", "base", "b").enveloped("lie").removing(&["ann"]),
    ]);
    known.pasts.insert(envelope("lie"), [envelope("b")].into());
    assert!(tree.is_void(&known, &envelope("lie")));
    assert!(!tree.is_void(&known, &envelope("b")));
    assert_eq!(tree.roster(&known, &state("b")).unwrap().len(), 5);
}

#[test]
fn a_root_that_knows_of_its_state_is_no_root() {
    let mut known = seniors();
    let mut tree = group(&FIVE);
    tree.add_root(Root { envelope: envelope("lie"), generation: 1, ..root("eve", "base") });
    known.pasts.insert(envelope("lie"), [envelope("base")].into());
    assert_eq!(tree.choose(&known).unwrap().root, envelope("root"));
}

#[test]
fn leading_back_to_the_path_brings_no_support() {
    let tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e"),
        commit("eve", "e", "base").enveloped("back"),
        commit("bob", "base", "b").removing(&["cat"]),
    ]);
    let mut known = seniors();
    known.bodiless.insert(envelope("e"));
    for witness in ["a", "b"] {
        known.pasts.insert(envelope(witness), [envelope("base"), envelope("back")].into());
    }
    assert_eq!(tree.head(&known), state("b"));
}

#[test]
fn a_commit_that_authority_forbids_wins_no_tie_and_shows_where_its_author_stood() {
    let mut tree = group(&FIVE).with([
        commit("ann", "base", "a"),
        commit("eve", "base", "e").removing(&["ann"]),
        commit("eve", "e", "f"),
    ]);
    assert_eq!(tree.head(&seniors()), state("f"));
    tree.forbid(envelope("e"));
    assert!(tree.is_void(&seniors(), &envelope("e")));
    assert_eq!(tree.head(&seniors()), state("a"));
    // Whatever led somebody in there.
    tree.mark_valid(envelope("e"));
    assert_eq!(tree.head(&seniors()), state("a"));
}
