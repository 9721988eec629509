use super::seniors;
use crate::{
    base::{EnvelopeId, IdentityId},
    state::mls::tree::{Addition, Root, View, fixture::*},
};

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
    assert_eq!(tree.path_to(&seniors(), &chosen.head).unwrap().len(), 10_001);
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

#[test]
fn a_false_claim_in_a_long_line_with_many_forks_costs_little() {
    let mut tree = group(&FIVE);
    let mut parent = "base".to_owned();
    for n in 0..2_000 {
        let child = format!("state {n}");
        tree.add_commit(commit(FIVE[n % 5], &parent, &child));
        tree.add_commit(commit(FIVE[(n + 1) % 5], &parent, &format!("stray {n}")));
        parent = child;
    }
    tree.add_commit(commit("eve", &parent, "state 0").enveloped("lie"));
    let asked = std::cell::Cell::new(0);
    let counting = Counting { known: seniors(), asked: &asked };
    assert!([state(&parent), state("stray 1999")].contains(&tree.head(&counting)));
    assert!(asked.get() < 40_000, "asked {} times", asked.get());
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

    fn pleaded(&self, commit: &EnvelopeId, addition: &Addition) -> bool {
        self.known.pleaded(commit, addition)
    }
}
