use std::collections::BTreeSet;

use super::world::{World, channel, device, entry};
use crate::{
    base::{EnvelopeId, Floors, Frontier, LogEntry},
    state::sync::{Action, Event, FrontierSync, Start, SyncEngine},
};

fn pair() -> World {
    let mut world = World::new(1, 2, 2);
    for number in 1..=50 {
        world.nodes[0].logs.get_mut(&channel(0)).unwrap().append(entry(device(0), number, 0, 0));
    }
    world.open();
    world.connect(0, 1);
    world
}

fn ids(world: &World, node: usize, n: u8) -> BTreeSet<EnvelopeId> {
    world.nodes[node].logs[&channel(n)].entries.iter().map(|entry| entry.id).collect()
}

#[test]
fn a_device_with_nothing_gets_everything_and_has_then_caught_up() {
    let mut world = pair();
    world.run_until_quiet();
    assert_eq!(ids(&world, 0, 0), ids(&world, 1, 0));
    for n in [0, 1] {
        assert!(world.nodes[1].caught_up.contains(&(device(0), channel(n))));
        assert!(world.nodes[0].caught_up.contains(&(device(1), channel(n))));
    }
}

#[test]
fn equal_devices_exchange_one_frame_each_and_are_quiet() {
    let mut world = pair();
    world.run_until_quiet();
    world.disconnect(0, 1);
    let (sent, actions) = (world.sent, world.actions);
    world.connect(0, 1);
    world.run_until_quiet();
    assert!(world.sent - sent < 600, "{} bytes", world.sent - sent);
    assert!(world.actions - actions < 12, "{} actions", world.actions - actions);
}

#[test]
fn an_entry_is_pushed_at_once_and_its_author_learns_that_it_arrived() {
    let mut world = pair();
    world.run_until_quiet();
    let actions = world.actions;
    world.author(0, channel(1));
    world.run_until_quiet();
    let written = entry(device(0), 1, 0, 0);
    assert!(ids(&world, 1, 1).contains(&written.id));
    assert!(world.nodes[0].covered.contains(&(device(1), channel(1), written.tip())));
    assert!(world.actions - actions <= 6, "{} actions", world.actions - actions);
}

#[test]
fn an_unshared_channel_is_served_no_longer() {
    let mut world = pair();
    world.run_until_quiet();
    world.tell(0, Event::Unshare { peer: device(1), channel: channel(1) });
    world.author(0, channel(1));
    world.run_until_quiet();
    assert!(ids(&world, 1, 1).is_empty());
}

/// Every device's initial history of `n`: a few logs, some of which fork.
fn history(world: &mut World, n: u8, len: usize) -> Vec<LogEntry> {
    let mut written = Vec::new();
    for log in 0..3 {
        let author = device(10 + log);
        written.extend((1..=len as u64).map(|number| entry(author, number, 0, 0)));
    }
    for log in 1..3 {
        let (author, fork_at) = (device(10 + log), world.pick(len) as u64 + 2);
        let branch = fork_at..fork_at + 3;
        written.extend(branch.map(|number| entry(author, number, 1, (number > fork_at).into())));
    }
    let channel = channel(n);
    for node in &mut world.nodes {
        for entry in &written {
            let below = node.floors.get(&channel).is_some_and(|floors| {
                floors.get(&entry.device).is_none_or(|floor| entry.number < *floor)
            });
            if !below && !node.limits.contains_key(&channel) {
                node.logs.get_mut(&channel).unwrap().append(entry.clone());
            }
        }
    }
    written
}

/// One run: everybody writes, links come and go, devices lose what came; then all are linked.
fn run(seed: u64, nodes: usize) {
    let mut world = World::new(seed, nodes, 3);
    let last = nodes - 1;
    // Channel 1 begins for the last device at floors, channel 2 ends for it at a limit.
    let mut floors: Floors = (0..nodes).map(|n| (device(n), 1)).collect();
    for log in 0..2 {
        floors.insert(device(10 + log), 1 + world.pick(12) as u64);
    }
    world.nodes[last].floors.insert(channel(1), floors.clone());
    world.nodes[last].limits.insert(channel(2), Frontier::new());
    history(&mut world, 1, 12);
    let written = history(&mut world, 2, 12);
    let cut = world.pick(written.len());
    let limit = written[..cut].iter().fold(Frontier::new(), |mut limit, entry| {
        limit.advance(entry.tip(), entry.previous.as_ref());
        limit
    });
    let within = world.nodes[0].logs[&channel(2)].past(&limit);
    world.nodes[last].limits.insert(channel(2), limit);
    for node in &mut world.nodes {
        node.drops = if seed.is_multiple_of(3) { 6 } else { 0 };
    }
    world.open();
    let (mut connects, mut authored) = (0, 0);
    for _ in 0..250 {
        let (a, b) = (world.pick(nodes), world.pick(nodes));
        match world.pick(12) {
            0 if a != b && world.is_linked(a, b) => world.disconnect(a, b),
            0 | 1 if a != b && !world.is_linked(a, b) => {
                world.connect(a, b);
                connects += 1;
            }
            2 => {
                let n = world.pick(3);
                world.author(a, world.channels[n]);
                authored += 1;
            }
            _ => {
                world.step();
            }
        }
    }
    world.run_until_quiet();
    for a in 0..nodes {
        for b in 0..a {
            if !world.is_linked(a, b) {
                world.connect(a, b);
                connects += 1;
            }
        }
    }
    world.run_until_quiet();
    check(&world, &floors, &within);
    let entries = authored + 120;
    let bound = nodes * nodes * 12 * entries + 60 * connects * world.channels.len();
    assert!(world.actions < bound, "{} actions for {entries} entries", world.actions);
    for node in &world.nodes {
        assert_eq!(node.engine.load(), (0, 0, 0), "something is left over");
    }
}

fn check(world: &World, floors: &Floors, within: &BTreeSet<EnvelopeId>) {
    let last = world.nodes.len() - 1;
    for n in 0..3 {
        for node in 1..last {
            assert_eq!(ids(world, 0, n), ids(world, node, n), "channel {n}, device {node}");
        }
    }
    assert_eq!(ids(world, 0, 0), ids(world, last, 0));
    let whole = &world.nodes[0].logs[&channel(1)].entries;
    let shared = whole.iter().filter(|e| floors.get(&e.device).is_some_and(|f| e.number >= *f));
    assert_eq!(shared.map(|e| e.id).collect::<BTreeSet<_>>(), ids(world, last, 1));
    let own = world.nodes[last].logs[&channel(2)].entries.iter();
    let own = own.filter(|e| e.device == device(last)).map(|e| e.id);
    assert_eq!(own.chain(within.iter().copied()).collect::<BTreeSet<_>>(), ids(world, last, 2));
    assert!(ids(world, last, 2).difference(within).all(|id| ids(world, 0, 2).contains(id)));
    for a in 0..=last {
        for b in (0..=last).filter(|b| *b != a) {
            for c in &world.channels {
                assert!(world.nodes[a].caught_up.contains(&(device(b), *c)), "{a} with {b}");
            }
        }
    }
}

#[test]
fn pairs_come_to_hold_what_is_shared_with_them_and_nothing_else() {
    for seed in 0..300 {
        std::panic::catch_unwind(|| run(seed, 2)).unwrap_or_else(|_| panic!("seed {seed}"));
    }
}

#[test]
fn trios_come_to_hold_what_is_shared_with_them_and_nothing_else() {
    for seed in 0..300 {
        std::panic::catch_unwind(|| run(seed, 3)).unwrap_or_else(|_| panic!("seed {seed}"));
    }
}

#[test]
fn a_peer_that_is_served_nothing_still_serves() {
    let mut world = pair();
    world.run_until_quiet();
    let mut engine = FrontierSync::new();
    engine.handle(Event::Open { channel: channel(0), frontier: Frontier::new() }, world.now);
    engine.handle(Event::Connected { peer: device(0) }, world.now);
    let (peer, up_to) = (device(0), None);
    let from = Start::nothing();
    let share = Event::Share { peer, channel: channel(0), control: true, from, up_to };
    engine.handle(share, world.now);
    assert!(matches!(engine.poll(), Some(Action::Send { .. })));
    assert_eq!(engine.poll(), None);
}
