//! The duels whose outcome is decided, as far as the operations allow them.

use super::{
    super::{Authority, Denied, InsertError, Operation, Role, Seniority, Standing},
    world::{ADA, BOB, EVE, FOUNDER, OWNER, World, invite},
};
use crate::{base::Timestamp, state::envelope::PayloadType};

/// A server whose founder has let Ada in: the last two places are the invite's and hers.
fn with_ada() -> (World, usize, usize) {
    let mut world = World::new(2, 7);
    let invite = world.invite(FOUNDER, &[0], None);
    let ada = world.admit(FOUNDER, &[invite], invite, ADA);
    (world, invite, ada)
}

#[test]
fn a_guest_of_a_plain_member_invites_a_guest_and_both_are_in() {
    let (mut world, _, ada) = with_ada();
    let theirs = world.invite(ADA, &[ada], None);
    let bob = world.admit(ADA, &[theirs], theirs, BOB);
    let his = world.invite(BOB, &[bob], None);
    world.admit(BOB, &[his], his, EVE);
    assert!(world.is_in(BOB) && world.is_in(EVE));
    let now = world.authority.now();
    let eve = now.member(&world.who(EVE)).unwrap();
    assert_eq!(eve.standing, Standing::EVERYONE);
    assert_eq!(eve.roles, [Role::Everyone].into());
    assert!(now.seniority(&world.who(BOB)) < now.seniority(&world.who(EVE)));
    assert_eq!(now.seniority(&world.who(OWNER)), Seniority::Genesis(1));
}

#[test]
fn two_owners_remove_each_other_and_the_seniors_counts() {
    let mut world = World::new(2, 7);
    let senior = world.kick(FOUNDER, &[0], OWNER);
    let junior = world.kick(OWNER, &[0], FOUNDER);
    assert!(world.counts(senior) && !world.counts(junior));
    assert!(world.is_in(FOUNDER) && !world.is_in(OWNER));
    assert_eq!(world.authority.now().owners(), [world.who(FOUNDER)]);
}

#[test]
fn nobody_removes_an_equal_and_a_plain_member_removes_nobody() {
    let (mut world, invite, ada) = with_ada();
    let bob = world.admit(FOUNDER, &[ada], invite, BOB);
    let kick = world.kick(ADA, &[bob], BOB);
    assert!(!world.counts(kick) && world.is_in(BOB));
    let tips = [world.id(bob)];
    let device = world.people[ADA].device_id();
    let now = Timestamp::from_micros(2_000);
    let check = |operation| world.authority.check(&device, now, &tips, &operation);
    let denied = check(world.removal(BOB, vec![])).unwrap_err();
    assert_eq!(denied.code(), "permission.denied");
    assert_eq!(check(Operation::Leave), Ok(Standing::EVERYONE));
    let unknown = Operation::RevokeInvite { invite: crate::base::EnvelopeId::new([9; 32]) };
    assert_eq!(check(unknown), Err(Denied::Unnamed));
}

#[test]
fn a_removal_beats_a_concurrent_admission_and_a_later_admission_beats_the_removal() {
    let (mut world, invite, ada) = with_ada();
    let kick = world.kick(FOUNDER, &[ada], ADA);
    assert!(!world.is_in(ADA));
    let beside = world.admit(OWNER, &[ada], invite, ADA);
    assert!(world.counts(beside) && !world.is_in(ADA), "taking wins");
    let again = world.admit(OWNER, &[kick, beside], invite, ADA);
    assert!(world.counts(again) && world.is_in(ADA));
    let now = world.authority.now();
    let ada_now = now.member(&world.who(ADA)).unwrap();
    assert_eq!(ada_now.admitted_by, [world.id(again)].into());
    assert_eq!(now.seniority(&world.who(ADA)), {
        let first = world.envelopes[ada].header().order;
        Seniority::Admitted(first, world.id(ada))
    });
}

#[test]
fn a_request_admits_nobody_again_once_a_removal_knew_that_it_had() {
    let (mut world, invite, ada) = with_ada();
    let request = |world: &World, nonce| world.request(u8::try_from(invite).unwrap(), BOB, nonce);
    let old = request(&world, 1);
    let bob = world.write(ADA, &[ada], old.clone());
    let twice = world.write(FOUNDER, &[ada], old.clone());
    assert!(world.counts(bob) && world.counts(twice), "two members may grant it at once");
    let kick = world.kick(FOUNDER, &[bob, twice], BOB);
    let replayed = world.write(ADA, &[kick], old);
    assert!(!world.counts(replayed) && !world.is_in(BOB));
    let asked_again = request(&world, 2);
    let back = world.write(ADA, &[kick], asked_again.clone());
    assert!(world.counts(back) && world.is_in(BOB));
    let gone = world.write(BOB, &[back], Operation::Leave);
    let replayed = world.write(ADA, &[gone], asked_again);
    assert!(!world.counts(replayed) && !world.is_in(BOB));
}

#[test]
fn a_request_that_a_removal_did_not_know_of_admits_after_it() {
    let (mut world, invite, ada) = with_ada();
    let kick = world.kick(FOUNDER, &[ada], ADA);
    let asked = world.request(u8::try_from(invite).unwrap(), ADA, 9);
    let beside = world.write(OWNER, &[ada], asked.clone());
    assert!(!world.is_in(ADA), "taking wins");
    // Else whoever hands it in early, on an old past, could burn it.
    let again = world.write(OWNER, &[kick, beside], asked);
    assert!(world.counts(again) && world.is_in(ADA));
    // A removal that does not count ends nothing.
    let void = world.kick(ADA, &[again], OWNER);
    assert!(!world.counts(void));
}

#[test]
fn somebody_removed_gains_nothing_by_an_old_past() {
    let (mut world, _, ada) = with_ada();
    world.kick(FOUNDER, &[ada], ADA);
    let door = world.invite(ADA, &[ada], None);
    let mallory = world.admit(ADA, &[door], door, EVE);
    let hers = world.invite(EVE, &[mallory], None);
    let guest = world.admit(EVE, &[hers], hers, BOB);
    let name = Operation::SetNickname { target: None, name: super::super::Name::new("x").unwrap() };
    let name = world.write(ADA, &[guest], name);
    for at in [door, mallory, hers, guest, name] {
        assert!(!world.counts(at));
    }
    assert!(!world.is_in(ADA) && !world.is_in(EVE) && !world.is_in(BOB));
}

#[test]
fn what_was_built_on_a_removed_persons_concurrent_act_falls_when_the_removal_arrives() {
    let (mut world, _, ada) = with_ada();
    let door = world.invite(ADA, &[ada], None);
    let bob = world.admit(ADA, &[door], door, BOB);
    assert!(world.is_in(BOB));
    let kick = world.kick(FOUNDER, &[ada], ADA);
    let fallen = &world.last.no_longer;
    assert!(fallen.contains(&world.id(door)) && fallen.contains(&world.id(bob)));
    assert_eq!(world.last.cut_changed, [world.who(ADA)].into());
    assert!(!world.is_in(BOB));
    let kick = world.id(kick);
    assert_eq!(world.authority.ended_by(&world.who(BOB)), [kick].into(), "it ended her invite");
}

#[test]
fn what_an_invite_let_in_stays_when_its_issuer_goes_afterwards() {
    let (mut world, _, ada) = with_ada();
    let door = world.invite(ADA, &[ada], None);
    let bob = world.admit(ADA, &[door], door, BOB);
    let kick = world.kick(FOUNDER, &[bob], ADA);
    assert!(world.is_in(BOB) && !world.is_in(ADA));
    let late = world.admit(BOB, &[kick], door, EVE);
    assert!(!world.counts(late), "her invites went with her");
    assert!(world.last.now_count.is_empty());
}

#[test]
fn of_two_guests_of_one_use_the_first_stays_and_the_acts_of_the_other_are_judged_as_before() {
    let mut world = World::new(2, 7);
    let door = world.invite(FOUNDER, &[0], Some(1));
    let ada = world.admit(FOUNDER, &[door], door, ADA);
    let bob = world.admit(OWNER, &[door], door, BOB);
    let his = world.invite(BOB, &[bob], None);
    let eve = world.admit(BOB, &[his], his, EVE);
    assert!(world.is_in(ADA) && !world.is_in(BOB) && world.is_in(EVE));
    assert!(world.counts(bob) && world.counts(his) && world.counts(eve));
    assert_eq!(world.authority.ended_by(&world.who(BOB)), [world.id(ada)].into());
    let third = world.admit(OWNER, &[ada], door, 5);
    assert!(!world.counts(third), "no use is left in its past");
    let late = world.invite(BOB, &[ada, eve], None);
    assert!(!world.counts(late), "by then he knew that he was one too many");
}

#[test]
fn one_person_admitted_twice_is_one_use() {
    let mut world = World::new(2, 7);
    let door = world.invite(FOUNDER, &[0], Some(1));
    let here = world.admit(FOUNDER, &[door], door, ADA);
    let there = world.admit(OWNER, &[door], door, ADA);
    let now = world.authority.now();
    let ada = now.member(&world.who(ADA)).unwrap();
    assert_eq!(ada.admitted_by, [world.id(here), world.id(there)].into());
    assert_eq!(now.invites()[&world.id(door)].guests, [world.who(ADA)]);
}

#[test]
fn a_revocation_reaches_concurrent_admissions_only_from_above_the_issuer() {
    let (mut world, _, ada) = with_ada();
    let door = world.invite(ADA, &[ada], None);
    let revoke = |world: &World| Operation::RevokeInvite { invite: world.id(door) };
    let own = revoke(&world);
    let own = world.write(ADA, &[door], own);
    let bob = world.admit(OWNER, &[door], door, BOB);
    let late = world.admit(OWNER, &[bob, own], door, EVE);
    assert!(world.counts(own) && world.counts(bob) && world.is_in(BOB));
    assert!(!world.counts(late), "it was revoked in its past");
    let above = revoke(&world);
    let above = world.write(FOUNDER, &[door], above);
    assert!(world.counts(above) && !world.counts(bob) && !world.is_in(BOB));
}

#[test]
fn somebody_elses_invite_is_revoked_only_from_above() {
    let (mut world, open, ada) = with_ada();
    let revoke = Operation::RevokeInvite { invite: world.id(open) };
    let by_ada = world.write(ADA, &[ada], revoke.clone());
    let by_owner = world.write(OWNER, &[ada], revoke);
    assert!(!world.counts(by_ada) && !world.counts(by_owner));
    assert!(world.authority.now().invites().contains_key(&world.id(open)));
}

#[test]
fn an_admission_stamped_after_the_invites_last_does_not_count() {
    let (mut world, open, ada) = with_ada();
    let admission = |world: &World, guest| world.admission(u8::try_from(open).unwrap(), guest);
    let (on_time, late) = (admission(&world, BOB), admission(&world, EVE));
    let on_time = world.write_at(FOUNDER, &[ada], on_time, 5_000);
    let late = world.write_at(FOUNDER, &[on_time], late, 5_001);
    assert!(world.counts(on_time) && !world.counts(late));
    let (tips, device) = ([world.id(late)], world.people[FOUNDER].device_id());
    let check = |world: &World, time, guest| {
        let operation = world.admission(u8::try_from(open).unwrap(), guest);
        world.authority.check(&device, Timestamp::from_micros(time), &tips, &operation)
    };
    assert_eq!(
        check(&world, 5_000, EVE),
        Ok(Standing::owner(0)),
        "as if its issuer had written it"
    );
    assert_eq!(check(&world, 5_001, EVE), Err(Denied::Expired));
}

#[test]
fn leaving_takes_nothing_from_what_is_concurrent() {
    let (mut world, open, ada) = with_ada();
    let door = world.invite(ADA, &[ada], None);
    let left = world.write(ADA, &[ada], Operation::Leave);
    let bob = world.admit(FOUNDER, &[door], door, BOB);
    assert!(world.counts(left) && world.counts(door) && world.counts(bob));
    assert!(world.is_in(BOB) && !world.is_in(ADA));
    assert_eq!(world.authority.ended_by(&world.who(ADA)), [world.id(left)].into());
    let act = world.invite(ADA, &[left], None);
    assert!(!world.counts(act));
    let beside = world.admit(FOUNDER, &[ada], open, ADA);
    assert!(world.counts(beside) && world.is_in(ADA), "she left without knowing of it");
}

#[test]
fn an_owner_who_was_removed_comes_back_as_a_plain_member() {
    let (mut world, open, ada) = with_ada();
    let kick = world.kick(FOUNDER, &[ada], OWNER);
    let back = world.admit(FOUNDER, &[kick], open, OWNER);
    let now = world.authority.now();
    assert_eq!(now.member(&world.who(OWNER)).unwrap().standing, Standing::EVERYONE);
    let act = world.kick(OWNER, &[back], ADA);
    assert!(!world.counts(act) && world.is_in(ADA));
}

#[test]
fn a_copied_invite_key_lets_in_by_the_better_door() {
    let (mut world, _, ada) = with_ada();
    let door = world.invite(FOUNDER, &[ada], Some(1));
    let copy = invite(u8::try_from(door).unwrap(), None);
    let copy = world.write(ADA, &[door], copy);
    let bob = world.admit(FOUNDER, &[copy], door, BOB);
    let eve = world.admit(FOUNDER, &[bob], door, EVE);
    let now = world.authority.now();
    assert_eq!(now.invites()[&world.id(door)].guests, [world.who(BOB)]);
    assert_eq!(now.invites()[&world.id(copy)].guests, [world.who(EVE)]);
    assert!(world.counts(eve));
}

#[test]
fn what_strangers_and_other_beginnings_add_changes_nothing() {
    let (mut world, _, ada) = with_ada();
    let before = world.authority.now();
    let stranger = world.sign(EVE, &[ada], PayloadType::Authority, Operation::Leave.encode());
    assert_eq!(world.authority.insert(&stranger), Err(InsertError::Stranger));
    let rootless = world.sign(ADA, &[], PayloadType::Authority, Operation::Leave.encode());
    assert_eq!(world.authority.insert(&rootless), Err(InsertError::NotGenesis));
    let again = world.envelopes[0].header().payload.clone();
    let usurper = world.sign(OWNER, &[], PayloadType::Authority, again);
    assert_eq!(world.authority.insert(&usurper), Err(InsertError::NotGenesis));
    let mut other = Authority::new(crate::base::ServerId::new([1; 32]));
    assert_eq!(other.insert(&world.envelopes[0]), Err(InsertError::Channel));
    let _ = world.authority.settle();
    assert_eq!(world.authority.now(), before);
}

#[test]
fn an_altered_request_admits_nobody_and_certifies_nothing() {
    let (mut world, open, ada) = with_ada();
    let Operation::Admit(mut request) = world.admission(u8::try_from(open).unwrap(), BOB) else {
        panic!("an admission")
    };
    request.nonce[0] ^= 1;
    let forged = world.write(FOUNDER, &[ada], Operation::Admit(request));
    assert_eq!(world.authority.counts(&world.id(forged)), None);
    let device = world.people[BOB].device_id();
    assert_eq!(world.authority.certifies(&[world.id(forged)], &device), None);
    assert!(!world.is_in(BOB));
}

#[test]
fn the_hash_of_a_matrix_is_pinned() {
    let mut world = World::new(2, 7);
    let invite = world.invite(FOUNDER, &[0], None);
    let asked = world.request(u8::try_from(invite).unwrap(), ADA, 0);
    let ada = world.write(FOUNDER, &[invite], asked);
    let room = world.make_channel(FOUNDER, &[ada], false);
    world.kick(FOUNDER, &[room], OWNER);
    let hash = hex::encode(world.authority.now().hash());
    assert_eq!(hash, "6410c1a2ad14325020d5c63db6105a845ec5ce5dfcf2a7bf1abbfdcc625423d0");
}
