use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;

/// Random operations of `devices` devices, each made on what its device had seen; a device forks its
/// log once in a while if `forks`.
fn history(rng: &mut ChaCha8Rng, devices: u8, count: usize, forks: bool) -> Vec<Made> {
    let mut seen: Vec<Vec<usize>> = vec![Vec::new(); usize::from(devices)];
    let mut ops = Vec::new();
    for number in 0..count {
        let author = rng.next_u32() as usize % seen.len();
        if rng.next_u32().is_multiple_of(2) {
            let peer = seen[rng.next_u32() as usize % usize::from(devices)].clone();
            seen[author].extend(peer);
            seen[author].sort_unstable();
            seen[author].dedup();
        }
        let past = seen[author].clone();
        let by = author as u8 + 1;
        ops.push(match rng.next_u32() % 3 {
            0 => rename(number, by, &past, &format!("name {}", rng.next_u32() % 4)),
            1 => create(number, by, u64::MAX - u64::from(rng.next_u32() % 2), &past),
            _ => create(number, by, u64::from(rng.next_u32() % 8), &past),
        });
        if !(forks && rng.next_u32().is_multiple_of(8)) {
            seen[author].push(number);
        }
    }
    ops
}

/// The operations in another order that respects causality.
fn shuffled(rng: &mut ChaCha8Rng, ops: &[Made]) -> Vec<Made> {
    let mut left: Vec<_> = ops.to_vec();
    let mut out: Vec<Made> = Vec::new();
    while !left.is_empty() {
        let known: BTreeSet<_> = out.iter().map(|made| made.id).collect();
        let ready: Vec<_> = (0..left.len())
            .filter(|at| left[*at].past.iter().all(|id| known.contains(id)))
            .collect();
        out.push(left.remove(ready[rng.next_u32() as usize % ready.len()]));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_delivery_gives_the_same_state_and_heads(
        seed: u64, devices in 3u8..=5, count in 1usize..28, forks: bool,
    ) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let ops = history(rng, devices, count, forks);
        let expected = seen(&applied(&ops));
        for _ in 0..3 {
            prop_assert_eq!(seen(&applied(&shuffled(rng, &ops))), expected.clone());
        }
    }

    #[test]
    fn taking_out_and_in_depends_on_what_counts_alone(
        seed: u64, devices in 3u8..=5, count in 1usize..20,
    ) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let ops = history(rng, devices, count, true);
        let taken = ops.iter().filter(|_| rng.next_u32().is_multiple_of(3));
        let out: Vec<_> = taken.map(|made| made.id).collect();
        let mut removed = applied(&ops);
        removed.remove(&out).unwrap();
        let mut passed = Structure::new();
        for made in shuffled(rng, &ops) {
            if out.contains(&made.id) {
                passed.pass_over(made.id, made.device, made.order, &made.past).unwrap();
            } else {
                apply(&mut passed, &made).unwrap();
            }
        }
        prop_assert_eq!(seen(&removed), seen(&passed));
        let back = ops.iter().filter(|made| out.contains(&made.id));
        let back = back.map(|made| (made.id, authorized(made))).collect();
        removed.recount(back, &[]).unwrap();
        prop_assert_eq!(seen(&removed), seen(&applied(&ops)));
    }

    #[test]
    fn the_events_told_add_up_to_what_is_shown(seed: u64, count in 1usize..20) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let ops = history(rng, 4, count, true);
        let mut structure = Structure::new();
        let mut told = (None, BTreeMap::new());
        let mut events = Vec::new();
        for made in &ops {
            events.extend(apply(&mut structure, made).unwrap());
        }
        events.extend(structure.remove(&[ops[0].id]).unwrap());
        for event in events {
            match event {
                StructureEvent::ServerNamed(name) => told.0 = name,
                StructureEvent::ChannelAdded(channel) => {
                    prop_assert!(told.1.insert(channel.id, channel.name).is_none());
                }
                StructureEvent::ChannelRemoved(id) => prop_assert!(told.1.remove(&id).is_some()),
            }
        }
        let channels = structure.channels();
        let shown = channels.into_iter().map(|channel| (channel.id, channel.name)).collect();
        prop_assert_eq!(told, (structure.server_name(), shown));
    }
}
