//! Pushes of logs of which something is missing, at who sends or at who receives.

use super::world::{channel, device, entry};
use crate::{
    base::{DeviceId, Frontier, LogEntry, Timestamp},
    state::sync::{Action, Event, FrontierSync, Start, SyncEngine},
};

const NOW: Timestamp = Timestamp::from_micros(1);
/// Whose log has a gap.
const GAPPED: usize = 10;
/// Whose log has none.
const WHOLE: usize = 11;

fn at(author: usize, number: u64) -> LogEntry {
    entry(device(author), number, 0, 0)
}

/// Two engines that share a channel, of which they hold what is given, and have compared it.
fn pair(held: [Frontier; 2]) -> [FrontierSync; 2] {
    let mut engines = held.map(|frontier| {
        let mut engine = FrontierSync::new();
        engine.handle(Event::Open { channel: channel(0), frontier }, NOW);
        engine
    });
    for (engine, peer) in engines.iter_mut().zip([device(1), device(0)]) {
        let (channel, from) = (channel(0), Start::Beginning);
        engine.handle(Event::Connected { peer }, NOW);
        engine.handle(Event::Share { peer, channel, control: false, from, up_to: None }, NOW);
    }
    assert!(pass(&mut engines).is_empty());
    engines
}

/// Passes frames until none is under way, while every page is empty and every probe finds all; what was
/// delivered.
fn pass(engines: &mut [FrontierSync; 2]) -> Vec<(DeviceId, bytes::Bytes)> {
    let mut delivered = Vec::new();
    loop {
        let actions = [0, 1].map(|n| std::iter::from_fn(|| engines[n].poll()).collect::<Vec<_>>());
        if actions.iter().all(Vec::is_empty) {
            return delivered;
        }
        for (n, action) in
            (0..).zip(actions).flat_map(|(n, all)| all.into_iter().map(move |a| (n, a)))
        {
            let (to, event) = match action {
                Action::Send { bytes, .. } => (1 - n, Event::Received { peer: device(n), bytes }),
                Action::Load { ticket, .. } => (n, Event::Loaded { ticket, entries: Vec::new() }),
                Action::Probe { ticket, tips, .. } => (n, Event::Probed { ticket, held: tips }),
                Action::Deliver { bytes, .. } => {
                    delivered.push((device(n), bytes));
                    continue;
                }
                _ => continue,
            };
            engines[to].handle(event, NOW);
        }
    }
}

fn advanced(engine: &mut FrontierSync, entry: LogEntry, after_gap: bool) {
    engine.handle(Event::Advanced { channel: channel(0), entry, after_gap }, NOW);
}

#[test]
fn what_is_pushed_of_a_log_with_a_gap_arrives_whatever_tips_are_told_beside_it() {
    let held = [at(WHOLE, 1), at(GAPPED, 1)].map(|entry| entry.tip());
    let mut engines = pair([held.into_iter().collect(), held.into_iter().collect()]);
    // Somebody else brought it to the receiver, which has not said so yet.
    advanced(&mut engines[0], at(WHOLE, 2), false);
    advanced(&mut engines[1], at(WHOLE, 2), false);
    let behind = at(GAPPED, 5);
    advanced(&mut engines[0], behind.clone(), true);
    assert!(pass(&mut engines).contains(&(device(1), behind.bytes)));
}

#[test]
fn what_was_missing_arrives_with_the_tip_that_was_held_without_it() {
    let held = [at(WHOLE, 1), at(GAPPED, 3)].map(|entry| entry.tip());
    let mut gapped: Frontier = held.into_iter().collect();
    gapped.advance_after_gap(at(GAPPED, 5).tip(), at(GAPPED, 4).tip());
    let mut engines = pair([held.into_iter().collect(), gapped]);
    let (missing, last) = (at(GAPPED, 4), at(GAPPED, 5));
    advanced(&mut engines[0], missing.clone(), false);
    advanced(&mut engines[0], last, false);
    assert!(pass(&mut engines).contains(&(device(1), missing.bytes)));
}

#[test]
fn what_both_were_brought_is_not_taken_in_twice() {
    let held = [at(WHOLE, 1)].map(|entry| entry.tip());
    let mut engines = pair([held.into_iter().collect(), held.into_iter().collect()]);
    advanced(&mut engines[0], at(WHOLE, 2), false);
    advanced(&mut engines[1], at(WHOLE, 2), false);
    assert_eq!(pass(&mut engines), []);
}
