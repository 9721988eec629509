//! The resolver against the reference over random histories, and over orders of delivery.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::{
    super::{Authority, HeardLine, InsertError, Inserted, Name, Operation, Seniority, Standing},
    reference::{Outcome, Reference},
    world::{At, World, invite},
};
use crate::state::envelope::PayloadType;

const PEOPLE: u8 = 7;

struct History {
    rng: ChaCha8Rng,
    world: World,
    /// What each side knows.
    sides: Vec<BTreeSet<At>>,
    hostile_percent: u32,
    keys: Vec<u8>,
}

impl History {
    fn random(seed: u64, len: usize) -> World {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let owners = 1 + rng.next_u32() as usize % 3;
        let sides = 2 + rng.next_u32() as usize % 4;
        let hostile_percent = rng.next_u32() % 31;
        let sides = vec![BTreeSet::from([0]); sides];
        let world = World::new(owners, PEOPLE);
        let mut history = Self { rng, world, sides, hostile_percent, keys: Vec::new() };
        while history.world.envelopes.len() < len {
            history.step();
        }
        history.world
    }

    fn below(&mut self, limit: usize) -> usize {
        self.rng.next_u32() as usize % limit
    }

    fn step(&mut self) {
        let (side, other) = (self.below(self.sides.len()), self.below(self.sides.len()));
        if self.below(100) < 15 {
            let theirs = self.sides[other].clone();
            self.sides[side].extend(theirs);
            return;
        }
        let hostile = self.below(100) < self.hostile_percent as usize;
        let knows = if hostile { self.any() } else { self.world.latest(&self.sides[side]) };
        let known = self.world.closure(&knows);
        let Some(author) = self.author(&known) else { return };
        let at = self.act(author, &knows, &known);
        self.sides[side].extend(known);
        self.sides[side].insert(at);
    }

    /// Some envelopes that happen to be there, the genesis among their past.
    fn any(&mut self) -> Vec<At> {
        let count = 1 + self.below(2);
        let picked: BTreeSet<_> =
            (0..count).map(|_| self.below(self.world.envelopes.len())).collect();
        self.world.latest(&self.world.closure(&picked.into_iter().collect::<Vec<_>>()))
    }

    /// Somebody whom the past certifies, whether they may act or not.
    fn author(&mut self, known: &BTreeSet<At>) -> Option<usize> {
        let person = self.below(PEOPLE.into());
        let ids: Vec<_> = known.iter().map(|at| self.world.id(*at)).collect();
        let device = self.world.people[person].device_id();
        self.world.authority.certifies(&ids, &device).map(|_| person)
    }

    fn act(&mut self, author: usize, knows: &[At], known: &BTreeSet<At>) -> At {
        let target = self.below(PEOPLE.into());
        let operation = match self.below(20) {
            0..=3 => self.issue(),
            4..=9 if !self.keys.is_empty() => {
                let key = self.below(self.keys.len());
                self.world.admission(self.keys[key], target)
            }
            10 => match self.earlier(known, |op| matches!(op, Operation::IssueInvite(_))) {
                Some(at) => Operation::RevokeInvite { invite: self.world.id(at) },
                None => Operation::Leave,
            },
            11..=13 => self.world.removal(target, vec![]),
            14 => match self.earlier(known, |op| matches!(op, Operation::Kick { .. })) {
                Some(at) => Operation::Heard {
                    removal: self.world.id(at),
                    heard: vec![HeardLine { channel: self.world.control(), tips: vec![] }],
                },
                None => return self.vote(author, knows),
            },
            15 if self.below(2) == 0 => Operation::Leave,
            16 | 17 => {
                let name = Name::new(&format!("name {}", self.below(9))).unwrap();
                let target = (self.below(2) == 0).then(|| self.world.who(target));
                Operation::SetNickname { target, name }
            }
            _ => return self.vote(author, knows),
        };
        self.world.write(author, knows, operation)
    }

    /// A new invite, or another one of a key that somebody else's has.
    fn issue(&mut self) -> Operation {
        let copied = !self.keys.is_empty() && self.below(5) == 0;
        let key = if copied {
            let key = self.below(self.keys.len());
            self.keys[key]
        } else {
            u8::try_from(self.keys.len()).unwrap()
        };
        self.keys.push(key);
        let uses = [None, Some(1), Some(2)];
        let uses = uses[self.below(3)];
        invite(key, uses)
    }

    fn earlier(&mut self, known: &BTreeSet<At>, is: impl Fn(&Operation) -> bool) -> Option<At> {
        let payload = |at: &At| &self.world.envelopes[*at].header().payload;
        let found: Vec<_> = known
            .iter()
            .copied()
            .filter(|at| Operation::decode(payload(at)).is_ok_and(|op| is(&op)))
            .collect();
        (!found.is_empty()).then(|| found[self.below(found.len())])
    }

    fn vote(&mut self, author: usize, knows: &[At]) -> At {
        let made = self.world.sign(author, knows, PayloadType::Vote, vec![1]);
        self.world.arrive(made)
    }
}

/// What the resolver says of the closure of `tips`, in the reference's words.
fn resolved(
    world: &World,
    authority: &Authority,
    reference: &Reference<'_>,
    tips: &[At],
) -> Outcome {
    let set = reference.closure(tips);
    let ids: Vec<_> = tips.iter().map(|at| world.id(*at)).collect();
    let matrix = authority.resolve(&ids).unwrap();
    let place = |id| world.envelopes.iter().position(|envelope| envelope.id() == id).unwrap();
    // What counts in a past is what a log of that past alone counts.
    let mut alone = Authority::new(world.server);
    for at in (0..64).filter(|at| set >> at & 1 == 1) {
        alone.insert(&world.envelopes[at]).unwrap();
    }
    let counting = alone.settle().now_count.into_iter().fold(0, |mask, id| mask | 1 << place(id));
    assert_eq!(alone.now().hash(), matrix.hash(), "a past resolves as if it were all there is");
    let owners = matrix.owners();
    let level = |standing: Standing| {
        let place = (0..3).find(|place| standing == Standing::owner(*place));
        place.map_or(0, |place| 1_000 - u64::from(place))
    };
    let mut open: Vec<_> = matrix.invites().keys().map(|id| place(*id)).collect();
    open.sort_unstable();
    let names = world.people.iter().map(|person| person.id());
    let outcome = Outcome {
        counting,
        members: matrix.members().iter().map(|(who, m)| (*who, level(m.standing))).collect(),
        nicknames: names
            .filter_map(|who| Some((who, matrix.member(&who)?.nickname.clone()?.to_string())))
            .collect(),
        open,
    };
    assert!(owners.iter().all(|who| outcome.members[who] > 0));
    outcome
}

#[test]
fn the_resolver_agrees_with_the_reference_on_random_histories() {
    for seed in 0..400 {
        let world = History::random(seed, 12 + seed as usize % 28);
        let mut reference = Reference::new(&world);
        let all: BTreeSet<_> = (0..world.envelopes.len()).collect();
        let mut pasts = vec![world.latest(&all)];
        pasts.extend(
            (1..world.envelopes.len())
                .step_by(6)
                .map(|at| world.latest(&world.closure(&[at, at / 2]))),
        );
        for tips in pasts {
            let mut expected = reference.outcome(reference.closure(&tips));
            expected.nicknames.retain(|who, _| expected.members.contains_key(who));
            let found = resolved(&world, &world.authority, &reference, &tips);
            assert_eq!(found, expected, "seed {seed}, tips {tips:?}");
        }
    }
}

#[test]
fn any_order_of_delivery_resolves_to_the_same_and_recounts_lead_there() {
    for seed in 1_000..1_040 {
        let world = History::random(seed, 30);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..3 {
            let mut authority = Authority::new(world.server);
            let mut counting = BTreeSet::new();
            let mut left: Vec<_> = (0..world.envelopes.len()).collect();
            while !left.is_empty() {
                let at = left.remove(rng.next_u32() as usize % left.len());
                match authority.insert(&world.envelopes[at]) {
                    Ok(_) => {}
                    Err(InsertError::Missing(_)) => left.push(at),
                    Err(InsertError::Stranger) if at > 0 => panic!("certified by its past"),
                    Err(why) => panic!("seed {seed}: {why}"),
                }
                if rng.next_u32() % 2 == 0 || left.is_empty() {
                    let recount = authority.settle();
                    assert!(recount.no_longer.iter().all(|id| counting.remove(id)), "seed {seed}");
                    assert!(recount.now_count.iter().all(|id| counting.insert(*id)), "seed {seed}");
                }
            }
            assert_eq!(authority.now(), world.authority.now(), "seed {seed}");
            assert_eq!(authority.now().hash(), world.authority.now().hash(), "seed {seed}");
            for envelope in &world.envelopes {
                let counts = authority.counts(&envelope.id());
                assert_eq!(counts, world.authority.counts(&envelope.id()), "seed {seed}");
                assert_eq!(counts == Some(true), counting.contains(&envelope.id()), "seed {seed}");
            }
        }
    }
}

#[test]
fn every_order_of_delivery_of_a_small_history_resolves_to_the_same() {
    for seed in 2_000..2_012 {
        let world = History::random(seed, 7);
        let mut orders = 0;
        permute(&world, &mut vec![], &mut |order| {
            let mut authority = Authority::new(world.server);
            for at in order {
                assert_ne!(authority.insert(&world.envelopes[*at]), Ok(Inserted::Known));
                let _ = authority.settle();
            }
            assert_eq!(authority.now(), world.authority.now(), "seed {seed}, {order:?}");
            orders += 1;
        });
        assert!(orders > 0);
    }
}

fn permute(world: &World, order: &mut Vec<At>, visit: &mut impl FnMut(&[At])) {
    if order.len() == world.envelopes.len() {
        return visit(order);
    }
    for at in 0..world.envelopes.len() {
        if !order.contains(&at) && world.named(at).iter().all(|parent| order.contains(parent)) {
            order.push(at);
            permute(world, order, visit);
            order.pop();
        }
    }
}

#[test]
fn the_founder_is_out_only_by_leaving_and_nobody_is_in_without_an_admission_that_counts() {
    for seed in 3_000..3_150 {
        let world = History::random(seed, 40);
        let left = (0..world.envelopes.len()).any(|at| {
            let header = world.envelopes[at].header();
            header.sender == world.people[0].device_id()
                && Operation::decode(&header.payload) == Ok(Operation::Leave)
        });
        let now = world.authority.now();
        assert!(left || now.member(&world.who(0)).is_some(), "seed {seed}");
        for (who, member) in now.members() {
            assert!(!member.admitted_by.is_empty(), "seed {seed}");
            assert!(member.admitted_by.iter().all(|by| world.authority.counts(by) == Some(true)));
            assert!(!matches!(now.seniority(who), Seniority::Stranger(_)), "seed {seed}");
        }
    }
}

#[test]
fn an_honest_server_where_everybody_sees_everything_never_uncounts_anything() {
    for seed in 4_000..4_100 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut history = History {
            rng: ChaCha8Rng::seed_from_u64(seed + 7),
            world: World::new(1 + seed as usize % 3, PEOPLE),
            sides: vec![],
            hostile_percent: 0,
            keys: vec![],
        };
        while history.world.envelopes.len() < 40 {
            let all: BTreeSet<_> = (0..history.world.envelopes.len()).collect();
            let tips = history.world.latest(&all);
            let author = rng.next_u32() as usize % usize::from(PEOPLE);
            if history.world.is_in(author) {
                history.act(author, &tips, &all);
                assert_eq!(history.world.last.no_longer, [], "seed {seed}");
            }
            if (0..PEOPLE.into()).all(|person| !history.world.is_in(person)) {
                break;
            }
        }
    }
}
