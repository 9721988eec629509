//! Logs of which somebody holds the beginning, and of which only what stands further on is for them.

use bytes::Bytes;

use super::world::{World, channel, device, entry};
use crate::{
    base::{Floors, Frontier, Timestamp},
    state::sync::{
        Action, Event, Fault, FrontierSync, Start, SyncEngine,
        frame::{Frame, List},
    },
};

/// The last entry that was held before the absence.
const HELD: u64 = 5;
/// The first entry that is for the reader after it.
const FLOOR: u64 = 600;
const WRITTEN: u64 = 700;
/// Whose log it is.
const AUTHOR: usize = 10;

/// Devices of which the second was away: the first holds the whole log, the third only headers of what
/// was written meanwhile, as it was away too and came back a little earlier.
fn world(seed: u64) -> World {
    let mut world = World::new(seed, 3, 1);
    let (channel, author) = (channel(0), device(AUTHOR));
    let at =
        |floor| Floors::from([(author, floor), (device(0), 1), (device(1), 1), (device(2), 1)]);
    world.nodes[1].floors.insert(channel, at(FLOOR));
    world.nodes[2].floors.insert(channel, at(FLOOR - 100));
    for (node, last) in [(0, WRITTEN), (1, HELD), (2, WRITTEN)] {
        for number in 1..=last {
            let log = world.nodes[node].logs.get_mut(&channel).unwrap();
            log.append(entry(author, number, 0, 0));
        }
    }
    world.open();
    world
}

/// Whether the returned device holds the whole log in its order, and no body from its absence.
fn is_whole(world: &World) {
    let held = &world.nodes[1].logs[&channel(0)].entries;
    let held: Vec<_> = held.iter().map(|entry| (entry.number, entry.body_held)).collect();
    let whole = (1..=WRITTEN).map(|number| (number, number <= HELD || number >= FLOOR));
    assert_eq!(held, whole.collect::<Vec<_>>());
}

#[test]
fn who_shows_where_its_log_ends_is_served_the_headers_in_between_first() {
    let mut world = world(1);
    world.connect(0, 1);
    world.run_until_quiet();
    is_whole(&world);
    assert_eq!(world.nodes[1].delivered as u64, WRITTEN - HELD, "nothing came twice");
    assert!(world.nodes[1].caught_up.contains(&(device(0), channel(0))));
    assert_eq!(world.nodes[1].engine.load(), (0, 0, 0));
}

#[test]
fn a_restart_in_the_middle_goes_on_where_it_was() {
    for seed in 0..10 {
        let mut world = world(seed);
        for _ in 0..3 {
            world.connect(0, 1);
            for _ in 0..300 {
                world.step();
            }
            world.restart(1);
        }
        let held = world.nodes[1].logs[&channel(0)].frontier.number(&device(AUTHOR));
        assert!((HELD + 1..FLOOR).contains(&held), "in the middle: {held}");
        let delivered = world.nodes[1].delivered;
        world.connect(0, 1);
        world.run_until_quiet();
        is_whole(&world);
        assert_eq!((world.nodes[1].delivered - delivered) as u64, WRITTEN - held);
    }
}

#[test]
fn who_was_away_too_learns_where_the_log_ends_once_a_gap_shows() {
    for seed in 0..10 {
        let mut world = world(seed);
        world.connect(1, 2);
        world.run_until_quiet();
        is_whole(&world);
        let most = (WRITTEN - HELD) + (WRITTEN - FLOOR) + 1;
        assert!(world.nodes[1].delivered as u64 <= most, "{}", world.nodes[1].delivered);
        assert_eq!(world.nodes[1].engine.load(), (0, 0, 0));
    }
}

const NOW: Timestamp = Timestamp::from_micros(1);

/// An engine that holds `AUTHOR`'s log up to a number, linked to device 1, for which the log begins
/// later.
fn engine(held: u64) -> FrontierSync {
    let mut engine = FrontierSync::new();
    let (peer, channel) = (device(1), channel(0));
    let frontier = Frontier::from_iter([entry(device(AUTHOR), held, 0, 0).tip()]);
    engine.handle(Event::Open { channel, frontier }, NOW);
    engine.handle(Event::Connected { peer }, NOW);
    let from = Start::Floors(Floors::from([(device(AUTHOR), FLOOR)]));
    engine.handle(Event::Share { peer, channel, control: false, from, up_to: None }, NOW);
    drain(&mut engine);
    engine
}

fn drain(engine: &mut FrontierSync) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}

fn receive(engine: &mut FrontierSync, frame: &Frame) -> Vec<Action> {
    let bytes: Bytes = frame.encode();
    engine.handle(Event::Received { peer: device(1), bytes }, NOW);
    drain(engine)
}

fn frontier(tips: Vec<crate::base::Tip>) -> Frame {
    Frame::Frontier { channel: channel(0), round: 1, tips: List(tips), more: false }
}

#[test]
fn however_often_a_gap_shows_a_peer_is_told_once_in_a_round() {
    let mut engine = engine(HELD);
    receive(&mut engine, &frontier(vec![entry(device(AUTHOR), WRITTEN, 0, 0).tip()]));
    let gap = Event::Gap { channel: channel(0), device: device(AUTHOR), ask: device(1) };
    engine.handle(gap.clone(), NOW);
    assert_eq!(drain(&mut engine).len(), 2, "what it holds, and its frontier");
    for _ in 0..1_000 {
        engine.handle(gap.clone(), NOW);
        assert_eq!(drain(&mut engine), []);
    }
}

#[test]
fn the_end_of_a_log_is_told_once_it_begins_where_it_seemed_to_have_a_gap() {
    let [missing, last] = [HELD, HELD + 1].map(|number| entry(device(AUTHOR), number, 0, 0).tip());
    let (peer, channel) = (device(1), channel(0));
    let mut engine = FrontierSync::new();
    let mut held = Frontier::new();
    held.advance_after_gap(last, missing);
    engine.handle(Event::Open { channel, frontier: held }, NOW);
    engine.handle(Event::Connected { peer }, NOW);
    let from = Start::Beginning;
    engine.handle(Event::Share { peer, channel, control: false, from, up_to: None }, NOW);
    drain(&mut engine);
    let sent = |frame: &Frame| Action::Send { peer, bytes: frame.encode() };
    let shown = receive(&mut engine, &frontier(vec![entry(device(7), 1, 0, 0).tip()]));
    assert!(
        shown.contains(&sent(&frontier(Vec::new()))),
        "behind a gap nothing is shown: {shown:?}"
    );
    engine.handle(Event::NoGap { channel, tip: missing }, NOW);
    let news = Frame::News { channel, tips: List(vec![last]), envelopes: List(Vec::new()) };
    assert_eq!(drain(&mut engine), [sent(&news)]);
    engine.handle(Event::NoGap { channel, tip: missing }, NOW);
    assert_eq!(drain(&mut engine), []);
}

/// From where, and from where on with bodies, the log is read for somebody who shows an end of it.
fn read_for(shown: Option<u64>) -> Option<(Floors, Floors)> {
    let mut engine = engine(WRITTEN);
    let tips = shown.map(|number| entry(device(AUTHOR), number, 0, 0).tip());
    let actions = receive(&mut engine, &frontier(tips.into_iter().collect()));
    actions.into_iter().find_map(|action| match action {
        Action::Load { floors, bare_below, .. } => Some((floors, bare_below)),
        _ => None,
    })
}

#[test]
fn without_an_end_further_back_nothing_before_the_floor_is_read() {
    for shown in [None, Some(FLOOR)] {
        let floors = Floors::from([(device(AUTHOR), FLOOR)]);
        assert_eq!(read_for(shown), Some((floors, Floors::new())));
    }
}

#[test]
fn an_end_right_before_the_floor_may_stand_on_another_branch_and_headers_are_read_from_the_beginning()
 {
    let [from, bare_below] = [1, FLOOR].map(|number| Floors::from([(device(AUTHOR), number)]));
    assert_eq!(read_for(Some(FLOOR - 1)), Some((from, bare_below)));
}

#[test]
fn a_body_from_an_absence_is_not_sent_whatever_was_read() {
    let mut engine = engine(WRITTEN);
    let held = entry(device(AUTHOR), HELD, 0, 0).tip();
    let actions = receive(&mut engine, &frontier(vec![held]));
    let Some(Action::Load { ticket, .. }) = actions.last().cloned() else { panic!("{actions:?}") };
    let entries = vec![entry(device(AUTHOR), HELD + 1, 0, 0)];
    engine.handle(Event::Loaded { ticket, entries }, NOW);
    let sent = drain(&mut engine).into_iter().filter(|it| matches!(it, Action::Send { .. }));
    assert_eq!(sent.count(), 0);
}

#[test]
fn a_peer_that_says_without_end_what_it_holds_is_dropped() {
    let mut engine = engine(WRITTEN);
    let dropped = (0..1_000u64).any(|page| {
        let tips = (1..=600).map(|n| entry(device(AUTHOR), page * 600 + n, 0, 0).tip()).collect();
        let actions =
            receive(&mut engine, &Frame::Behind { channel: channel(0), tips: List(tips) });
        actions.contains(&Action::Fault { peer: device(1), why: Fault::TooManyTips })
    });
    assert!(dropped);
}
