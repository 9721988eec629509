mod world;

use world::{BOB, CAROL, DAVE, World, device, record};

use super::*;
use crate::{base::Secret, store::Change};

fn deletes(changes: &[Change], person: u8, number: u8) -> bool {
    let key = rows::address_key(&device(person, number));
    changes.iter().any(|change| *change.key() == key && change.value().is_none())
}

#[test]
fn of_devices_that_are_certified_without_end_those_are_kept_that_count() {
    let mut world = World::new();
    let id = world.server(&[BOB]);
    (1..20).for_each(|number| world.introduce(&id, BOB, number));
    world.settle(&id);
    let changes = world.hear(device(BOB, 0), (0..20).map(|number| record(BOB, number)).collect());
    let held: Vec<_> = (0..20).filter(|number| world.is_held(BOB, *number)).collect();
    assert_eq!(held, (0..8).collect::<Vec<_>>());
    assert_eq!(changes.len(), held.len());
    // One that goes makes room for the next.
    world.revoke(&id, BOB, 3);
    world.settle(&id);
    world.meet();
    assert!(world.is_held(BOB, 8) && !world.is_held(BOB, 9));
}

#[test]
fn whoever_stops_counting_is_forgotten_and_kept_again_should_they_count_again() {
    let mut world = World::new();
    let id = world.server(&[BOB]);
    world.announce();
    world.hear(device(BOB, 0), vec![record(BOB, 0)]);
    let before = world.machine.servers[&id].matrix.clone();
    // As if nobody had been let in yet.
    world.machine.servers.get_mut(&id).unwrap().matrix = Server::new(id, 1).matrix;
    assert!(deletes(&world.meet(), BOB, 0));
    assert!(!world.is_held(BOB, 0));
    let me = world.machine.node.device();
    assert!(world.machine.node.links.book.contains_key(&me));
    world.machine.servers.get_mut(&id).unwrap().matrix = before;
    assert_eq!(world.meet().len(), 1);
    assert!(world.is_held(BOB, 0));
}

#[test]
fn nobody_is_forgotten_before_every_server_is_loaded() {
    let mut world = World::new();
    let id = world.server(&[BOB]);
    world.hear(device(BOB, 0), vec![record(BOB, 0)]);
    let server = world.machine.servers.get_mut(&id).unwrap();
    (server.loaded, server.matrix) = (false, Server::new(id, 1).matrix);
    assert!(world.meet().is_empty());
    assert!(world.is_held(BOB, 0));
}

#[test]
fn who_told_their_address_before_their_introduction_came_is_kept_once_they_count() {
    let mut world = World::new();
    let id = world.server(&[BOB]);
    world.hear(device(BOB, 0), vec![record(BOB, 1)]);
    world.meet();
    assert!(!world.is_held(BOB, 1));
    world.introduce(&id, BOB, 1);
    world.settle(&id);
    world.meet();
    assert!(world.is_held(BOB, 1));
}

#[test]
fn a_device_with_a_link_is_kept_as_long_as_it_has_one() {
    let mut world = World::new();
    world.server(&[BOB]);
    world.link(CAROL, 0, true);
    world.link(DAVE, 0, false);
    world.hear(device(CAROL, 0), vec![record(CAROL, 0)]);
    world.hear(device(DAVE, 0), vec![record(DAVE, 0)]);
    world.meet();
    assert!(world.is_held(CAROL, 0));
    assert!(!world.is_held(DAVE, 0), "nothing but a claim speaks for them");
    world.machine.node.links.peers.remove(&device(CAROL, 0));
    assert!(deletes(&world.meet(), CAROL, 0));
    assert!(!world.is_held(CAROL, 0));
}

#[test]
fn a_peer_hears_of_the_devices_of_the_servers_that_it_is_in() {
    let mut world = World::new();
    let (one, _) = (world.server(&[BOB, CAROL]), world.server(&[DAVE]));
    world.announce();
    let all = [BOB, CAROL, DAVE].map(|person| record(person, 0));
    world.hear(device(BOB, 0), all.to_vec());
    let me = world.machine.node.device();
    let told = |world: &World, person, number| {
        let told = world.told(device(person, number), TOLD_BYTES_MAX, 1);
        let others = [BOB, CAROL, DAVE].into_iter().filter(|it| told.contains(&device(*it, 0)));
        (told[0] == me, others.collect::<Vec<_>>())
    };
    assert_eq!(told(&world, BOB, 0), (true, vec![BOB, CAROL]));
    assert_eq!(told(&world, DAVE, 0), (true, vec![DAVE]));
    assert_eq!(world.machine.fit_for(&device(BOB, 0), &all).len(), 2);
    // A device that was not introduced yet, of whom the link proved to be a member; not once it was revoked.
    world.link(BOB, 1, true);
    assert_eq!(told(&world, BOB, 1), (true, vec![BOB, CAROL]));
    world.introduce(&one, BOB, 1);
    world.revoke(&one, BOB, 1);
    world.settle(&one);
    assert_eq!(told(&world, BOB, 1), (true, vec![]));
    // Whoever is nobody here, and one who joins.
    world.link(4, 0, true);
    assert_eq!(told(&world, 4, 0), (true, vec![]));
    world.machine.node.links.peers.get_mut(&device(4, 0)).unwrap().joins.insert(one);
    assert_eq!(told(&world, 4, 0), (true, vec![BOB, CAROL]));
}

#[test]
fn who_comes_into_a_server_while_they_have_a_link_is_told_of_it_once() {
    let mut world = World::new();
    let id = world.server(&[BOB]);
    world.link(BOB, 0, true);
    assert!(world.machine.is_owed_records(&device(BOB, 0)));
    world.meet();
    assert!(world.machine.node.links.is_told(&device(BOB, 0), &id));
    world.link(CAROL, 0, true);
    world.meet();
    let other = world.server(&[BOB, CAROL]);
    assert!(world.machine.is_owed_records(&device(BOB, 0)));
    world.meet();
    for person in [BOB, CAROL] {
        assert!(world.machine.node.links.is_told(&device(person, 0), &other));
        assert!(!world.machine.is_owed_records(&device(person, 0)));
    }
}

#[test]
fn what_is_told_at_once_is_bounded_begins_with_ones_own_and_is_drawn_of_all() {
    let mut world = World::new();
    let people: Vec<u8> = (1..30).collect();
    world.server(&people);
    world.announce();
    let records: Vec<_> = people.iter().map(|person| record(*person, 0)).collect();
    let bytes_max = 6 * len(&records[0]);
    world.hear(device(BOB, 0), records.clone());
    let me = world.machine.node.device();
    let mut heard = BTreeSet::new();
    for seed in 0..100 {
        let told = world.told(device(BOB, 0), bytes_max, seed);
        assert_eq!(told[0], me);
        assert!((5..=7).contains(&told.len()), "{} were told", told.len());
        heard.extend(told);
    }
    assert_eq!(heard.len(), people.len() + 1);
}

#[test]
fn nothing_is_drawn_while_all_have_room() {
    let (mut chance, mut same) =
        (Chance::new(Secret::new([1; 32])), Chance::new(Secret::new([1; 32])));
    let records = vec![record(BOB, 0), record(CAROL, 0)];
    let room = records.iter().map(len).sum();
    assert_eq!(some_of(records.clone(), room, &mut chance), records);
    assert_eq!(chance.number(), same.number());
    assert_eq!(some_of(records, room - 1, &mut chance).len(), 1);
    assert!(some_of(Vec::new(), 0, &mut chance).is_empty());
}
