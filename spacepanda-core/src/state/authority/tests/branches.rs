use super::world::{ADA, BOB, EVE, FOUNDER, World};
use crate::state::{authority::Operation, envelope::PayloadType};

/// Three guests are in; the last that everybody knows.
fn guests() -> (World, usize) {
    let mut world = World::new(1, 5);
    let mut last = 0;
    for guest in [ADA, BOB, EVE] {
        let invite = world.invite(FOUNDER, &[last], None);
        last = world.admit(FOUNDER, &[invite], invite, guest);
    }
    (world, last)
}

#[test]
fn a_branch_is_unnamed_until_somebody_else_has_its_beginning_in_their_past() {
    let (mut world, last) = guests();
    let eve = world.who(EVE);
    let unnamed = |world: &World| {
        let found = world.authority.unnamed_branches(1).find(|(who, _)| *who == eve);
        found.map_or(0, |(_, first)| first.len())
    };
    let begun: Vec<_> = (0..3).map(|_| world.write(EVE, &[last], Operation::Leave)).collect();
    assert_eq!((world.authority.branches_of(&eve), unnamed(&world)), (3, 3));

    // Another device of hers is no other.
    let device = world.device(EVE, 1);
    let introduced = world.introduce(device, &[last]);
    let own = world.write(device, &[introduced, begun[0]], Operation::Leave);
    assert_eq!((world.authority.branches_of(&eve), unnamed(&world)), (4, 4));

    // What is named by what somebody names is named, too.
    let longer = world.write(EVE, &[begun[1]], Operation::Leave);
    world.write(ADA, &[longer], Operation::Leave);
    assert_eq!(unnamed(&world), 3);
    world.write(BOB, &[own], Operation::Leave);
    assert_eq!((world.authority.branches_of(&eve), unnamed(&world)), (4, 1));
}

#[test]
fn what_would_begin_a_branch_is_told_from_what_prolongs_one_before_it_is_taken_in() {
    let (mut world, last) = guests();
    let eve = world.who(EVE);
    let leave = || Operation::Leave.encode();
    let first = world.sign(EVE, &[last], PayloadType::Authority, leave());
    assert_eq!(world.authority.begins_branch_of(&first), Some(eve));
    let first = world.arrive(first);
    let next = world.sign(EVE, &[first], PayloadType::Authority, leave());
    assert_eq!(world.authority.begins_branch_of(&next), None);
    let other = world.sign(EVE, &[last], PayloadType::Authority, leave());
    assert_eq!(world.authority.begins_branch_of(&other), Some(eve));
    // A device that introduces itself is its person's.
    let device = world.device(EVE, 1);
    let payload = world.introduction(device).encode();
    let introduced = world.sign(device, &[last], PayloadType::Authority, payload);
    assert_eq!(world.authority.begins_branch_of(&introduced), Some(eve));
    let stranger = world.device(7, 1);
    let unknown = world.sign(stranger, &[last], PayloadType::Authority, leave());
    assert_eq!(world.authority.begins_branch_of(&unknown), None);
}
