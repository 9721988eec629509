//! Programs of several versions in one group.

use std::collections::BTreeSet;

use super::{
    super::{version::Program, *},
    people::*,
};
use crate::state::authority::ProposalFacts;

const OLD: Program = Program { greatest: 1 };
const NEW: Program = Program { greatest: 2 };

/// Alice and Bob, who run these programs, in a group that Alice made when she ran an old one.
fn group_by(programs: [Program; 2]) -> ([Person; 2], [Group; 2]) {
    let people = [1, 2].map(Person::new);
    let made = people[1].package_of(programs[1], 9);
    let sent = people[0].commit(&people[0].found_by(OLD), &adding(&[&made]), 2);
    let mut groups = [enter(&sent, &made), sent.group];
    groups.reverse();
    for (group, program) in groups.iter_mut().zip(programs) {
        group.program = program;
    }
    (people, groups)
}

impl Group {
    /// A group of one that an old program made and whose member runs a new one.
    pub(crate) fn that_can_move_up() -> Self {
        let alice = Person::new(1);
        let mut founded = alice.found_by(OLD);
        founded.program = NEW;
        alice.commit(&founded, &Change::default(), 3).group
    }
}

fn to(version: u16) -> Change {
    Change { version: Some(version), ..Change::default() }
}

#[test]
fn a_package_says_which_versions_its_owner_can_speak() {
    let bob = Person::new(2);
    for (program, versions) in [(OLD, [1].into()), (NEW, BTreeSet::from([1, 2]))] {
        let made = bob.package_of(program, 9);
        assert_eq!(package_facts(&made.package).unwrap().versions, versions);
    }
    let facts = package_facts(&bob.package(9).package).unwrap();
    assert_eq!(facts.versions, (1..=GROUP_VERSION).collect());
}

#[test]
fn a_group_moves_up_once_every_leaf_can_speak_the_version() {
    let (people, [of_alice, of_bob]) = group_by([NEW, NEW]);
    assert_eq!((of_alice.version(), of_alice.can_move_to()), (1, None), "Alice's leaf is old");
    assert!(of_alice.leaf_is_outdated() && !of_bob.leaf_is_outdated());
    let renewed = people[0].commit(&of_alice, &Change::default(), 3);
    let of_bob = follow(&of_bob, &renewed.envelope).unwrap();
    assert!(!renewed.group.leaf_is_outdated());
    assert_eq!((renewed.group.can_move_to(), of_bob.can_move_to()), (Some(2), Some(2)));
    let built = of_bob.build(&people[1].keys, &to(2), NO_PARENTS, &seed(4)).unwrap();
    assert_eq!(built.facts().proposals, [ProposalFacts::Version(2)]);
    assert_eq!((built.facts().version, &built.facts().spoken), (1, &BTreeSet::from([1, 2])));
    let moved = people[1].commit(&of_bob, &to(2), 4);
    let mut of_alice = follow(&renewed.group, &moved.envelope).unwrap();
    assert_eq!((of_alice.version(), of_alice.can_move_to()), (2, None));
    assert_eq!(of_alice.settings(), SETTINGS);
    let again = Group::load(of_alice.rows().unwrap()).unwrap();
    assert_eq!(again.version(), 2, "the version is the state's, not the program's");
    let message = people[0].write(&mut of_alice, b"in the second version", 20);
    let mut of_bob = moved.group;
    assert_eq!(read(&mut of_bob, &message).unwrap().content, b"in the second version");
}

#[test]
fn one_old_program_keeps_the_group_where_it_is_until_it_leaves() {
    let (people, [of_alice, of_bob]) = group_by([NEW, OLD]);
    let renewed = people[0].commit(&of_alice, &Change::default(), 3).group;
    assert_eq!((renewed.can_move_to(), of_bob.can_move_to()), (None, None));
    let spoken = |change: &Change| {
        let built = renewed.build(&people[0].keys, change, NO_PARENTS, &seed(4)).unwrap();
        built.facts().spoken.clone()
    };
    assert_eq!(spoken(&to(2)), [1].into(), "which the policy refuses");
    let without_bob = Change { removes: vec![people[1].device()], ..to(2) };
    assert_eq!(spoken(&without_bob), [1, 2].into());
    let alone = people[0].commit(&renewed, &removing(&[&people[1]]), 5).group;
    assert_eq!(alone.can_move_to(), Some(2));
}

#[test]
fn receivers_read_off_a_commit_what_its_leaves_can_speak() {
    let (people, [of_alice, of_bob]) = group_by([NEW, NEW]);
    let carol = Person::new(3);
    let facts = |change: &Change| {
        let built = of_alice.build(&people[0].keys, change, NO_PARENTS, &seed(4)).unwrap();
        let facts = built.facts().clone();
        let sent = people[0].commit(&of_alice, change, 4);
        let (opened, _) = of_bob.stage(&sent.envelope, &seed(1)).unwrap();
        assert_eq!(opened.content().spoken, facts.spoken);
        facts.spoken
    };
    assert_eq!(facts(&Change::default()), [1, 2].into(), "by the leaf that the path brings");
    assert_eq!(facts(&adding(&[&carol.package_of(NEW, 9)])), [1].into(), "without a path");
    let removed = Change { removes: vec![people[1].device()], ..Change::default() };
    let readded = Change { adds: vec![people[1].package_of(OLD, 8).package], ..removed };
    assert_eq!(facts(&readded), [1].into(), "by the leaf that comes");
}

#[test]
fn a_newcomer_who_cannot_speak_the_groups_version_is_shown_and_does_not_enter() {
    let alice = Person::new(1);
    let founded = alice.found_by(NEW);
    assert_eq!(founded.version(), 2);
    let made = Person::new(2).package_of(OLD, 9);
    let sent = alice.commit(&founded, &adding(&[&made]), 2);
    let built = founded.build(&alice.keys, &adding(&[&made]), NO_PARENTS, &seed(2)).unwrap();
    assert_eq!((built.facts().version, &built.facts().spoken), (2, &[1].into()));
    let (welcome, tree) = (sent.welcome.unwrap(), sent.group.tree().unwrap());
    let joined = join(&welcome, &tree, &made.private, &seed(1));
    assert_eq!(joined.map(|_| ()), Err(MlsError::Leaf));
}

#[test]
fn a_program_put_back_to_an_older_version_moves_nothing() {
    let alice = Person::new(1);
    let mut founded = alice.found_by(NEW);
    founded.program = OLD;
    assert!(founded.leaf_is_outdated());
    let built = founded.build(&alice.keys, &Change::default(), NO_PARENTS, &seed(2)).unwrap();
    assert_eq!((built.facts().version, &built.facts().spoken), (2, &[1].into()));
    assert_eq!(founded.can_move_to(), None);
}
