//! The resolver against the reference over random histories, and over orders of delivery.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::{
    super::{Authority, InsertError, Inserted, Judged, Operation, Said, Seniority, Standing},
    history::{History, PEOPLE},
    reference::{Outcome, Reference},
    world::{At, World},
};

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
        devices: matrix.devices().clone(),
    };
    assert!(owners.iter().all(|who| outcome.members[who] > 0));
    outcome
}

#[test]
fn the_resolver_agrees_with_the_reference_on_random_histories() {
    for seed in 0..300 {
        let world = History::random(seed, 12 + seed as usize % 28);
        let mut reference = Reference::new(&world);
        let all: BTreeSet<_> = (0..world.envelopes.len()).collect();
        let mut pasts = vec![world.latest(&all)];
        pasts.extend(
            (1..world.envelopes.len())
                .step_by(12)
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
fn what_a_line_cuts_off_agrees_with_the_reference() {
    let mut cut = 0;
    for seed in 5_000..5_150 {
        let world = History::random(seed, 40);
        let mut reference = Reference::new(&world);
        for at in 1..world.envelopes.len() {
            let header = world.envelopes[at].header();
            let past: Vec<_> = header.named().collect();
            let said = Said {
                identity: reference.author(at),
                channel: world.control(),
                tip: world.envelopes[at].tip(),
                timestamp: header.timestamp,
                past: &past,
            };
            let expected = reference.is_cut(at);
            assert_eq!(world.authority.is_cut_here(&said), expected, "seed {seed}, {at}");
            cut += usize::from(expected);
        }
    }
    assert!(cut > 50);
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
            world.certified(&header.sender) == world.who(0)
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
fn nobody_removed_acts_beside_their_removal() {
    for seed in 6_000..6_150 {
        let world = History::random(seed, 40);
        assert!(removed_who_act(&world).is_empty(), "seed {seed}");
    }
}

/// What counts of what a removed person wrote beside a counting removal of higher standing. (An owner
/// who left may be removed by a lower one, which reaches nothing that was written before leaving.) An
/// admission needs no more of its writer than to have been a member, whoever goes is free to, and
/// everybody's devices are their own.
fn removed_who_act(world: &World) -> Vec<At> {
    let all = 0..world.envelopes.len();
    let op = |at: At| Operation::decode(&world.envelopes[at].header().payload).ok();
    let counts = |at: At| world.authority.counts(&world.id(at)) == Some(true);
    let pasts: Vec<_> = all.clone().map(|at| world.closure(&[at])).collect();
    let standing = |at: At| world.authority.operation(&world.id(at)).and_then(|op| op.standing);
    let acts = |at: &At| {
        !matches!(
            op(*at),
            None | Some(
                Operation::Admit(_)
                    | Operation::Leave
                    | Operation::AddDevice { .. }
                    | Operation::RevokeDevice { .. }
            )
        )
    };
    let mut found = vec![];
    for kick in all.clone().filter(|at| counts(*at)) {
        let Some(Operation::Kick { target, .. }) = op(kick) else { continue };
        let is_below = |op: Judged<'_>| op.author == target && op.standing < standing(kick);
        let theirs = all.clone().filter(|at| {
            world.authority.operation(&world.id(*at)).is_some_and(is_below)
                && !pasts[*at].contains(&kick)
                && !pasts[kick].contains(at)
        });
        found.extend(theirs.filter(acts).filter(|at| counts(*at)));
    }
    found
}

#[test]
fn an_honest_server_where_everybody_sees_everything_never_uncounts_anything() {
    for seed in 4_000..4_100 {
        let mut history = History::honest(seed, 1 + seed as usize % 3);
        while history.world.envelopes.len() < 40 {
            let all: BTreeSet<_> = (0..history.world.envelopes.len()).collect();
            let tips = history.world.latest(&all);
            let author = history.below(PEOPLE.into());
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
