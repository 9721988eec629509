//! Devices that come and go, and those that only say so.

use std::time::Duration;

use super::{
    super::{Denied, InsertError, Operation},
    world::{ADA, At, BOB, EVE, FOUNDER, World, key},
};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, ServerId, Tip, limits::DEVICES_PER_IDENTITY_MAX},
    state::{
        envelope::{Header, Origin, PayloadType, Verified},
        identity::DeviceCertificate,
    },
};

/// A server with Ada and Bob in it, and a second device of Ada's that nobody knows.
fn house() -> (World, usize, At) {
    let mut world = World::new(2, 7);
    let invite = world.invite(FOUNDER, &[0], None);
    let ada = world.admit(FOUNDER, &[invite], invite, ADA);
    let bob = world.admit(FOUNDER, &[ada], invite, BOB);
    let second = world.device(ADA, 1);
    (world, second, bob)
}

fn has(world: &World, device: usize) -> bool {
    let device = &world.people[device];
    world.authority.now().device(&device.device_id()) == Some(device.id())
}

/// The word of Ada's second device that it is Bob's, who vouches for it as well, before it has said more.
fn claim_of_bob(world: &mut World, second: usize, knows: At) -> Verified {
    let device = world.people[second].device_id();
    let issued = DeviceCertificate::issue(&key(1, 3), device, world.stamp());
    let claim = Operation::AddDevice { certificate: issued.certificate().clone() };
    world.sign(second, &[knows], PayloadType::Authority, claim.encode())
}

#[test]
fn a_device_introduces_itself_and_acts_as_its_person() {
    let (mut world, second, bob) = house();
    let added = world.introduce(second, &[bob]);
    assert!(world.counts(added) && has(&world, second) && has(&world, ADA));
    let invite = world.invite(second, &[added], None);
    assert!(world.counts(invite));
    let device = world.people[second].device_id();
    assert_eq!(world.authority.certified(&device), Some(world.who(ADA)));
    assert!(world.authority.devices_of(&world.who(ADA)).contains(&device));
    assert_eq!(world.authority.admissions_of(&world.who(ADA)).len(), 1, "it brings nobody in");
}

#[test]
fn nobody_else_introduces_a_device_and_no_strangers_device_is_kept() {
    let (mut world, second, bob) = house();
    let strangers = world.device(EVE, 1);
    let forged = DeviceCertificate {
        identity: world.who(BOB),
        ..world.people[second].certificate.certificate().clone()
    };
    for (device, operation) in [
        (strangers, world.introduction(strangers)),
        (second, Operation::AddDevice { certificate: forged }),
        (second, world.introduction(BOB)),
        (second, Operation::Leave),
    ] {
        let first = world.sign(device, &[bob], PayloadType::Authority, operation.encode());
        assert_eq!(world.authority.insert(&first), Err(InsertError::Stranger), "{operation:?}");
    }
    // By an identity of her own, somebody claims a device that she does not hold the key of.
    let claim = DeviceCertificate::issue(&key(1, 3), world.people[ADA].device_id(), world.stamp());
    let claim = Operation::AddDevice { certificate: claim.certificate().clone() };
    let kept = world.write(BOB, &[bob], claim);
    assert_eq!(world.authority.counts(&world.id(kept)), None);
    let device = world.people[ADA].device_id();
    assert_eq!(world.authority.certified(&device), Some(world.who(ADA)));
}

#[test]
fn a_device_that_two_people_are_vouched_for_is_nobodys() {
    let (mut world, second, bob) = house();
    let device = world.people[second].device_id();
    let claim = claim_of_bob(&mut world, second, bob);
    let added = world.introduce(second, &[bob]);
    assert!(has(&world, second));
    let claimed = world.arrive(claim);
    let holder = world.authority.now().device(&device);
    assert_eq!(holder, None, "whose it is would depend on which was heard of first");
    assert!(has(&world, ADA) && has(&world, BOB));
    let late = world.invite(second, &[added, claimed], None);
    let beside = world.invite(second, &[added], None);
    assert!(!world.counts(late) && world.counts(beside), "only where both are known");
}

#[test]
fn a_removal_finds_words_under_who_was_vouched_for_as_they_were_written() {
    let (mut world, second, bob) = house();
    let device = world.people[second].device_id();
    // Bob vouches for Ada's device as well, before her in order, and nobody hears of it yet.
    let claim = claim_of_bob(&mut world, second, bob);
    let added = world.introduce(second, &[bob]);
    world.kick(FOUNDER, &[added], ADA);
    let said = Origin {
        channel: ChannelId::new([5; 32]),
        device,
        timestamp: world.stamp().saturating_add(Duration::from_secs(1)),
        past: vec![world.id(added)],
    };
    let tip = Tip { device, number: 1, id: EnvelopeId::new([1; 32]) };
    assert!(world.authority.is_cut_off(&said, tip));
    world.arrive(claim);
    assert_eq!(world.authority.certified(&device), Some(world.who(BOB)));
    assert!(world.authority.is_cut_off(&said, tip));
    assert_eq!(world.authority.author_of(&world.id(added)), Some(world.who(ADA)));
}

#[test]
fn a_revoked_device_counts_no_more_and_what_was_concurrent_still_does() {
    let (mut world, second, bob) = house();
    let added = world.introduce(second, &[bob]);
    let beside = world.invite(ADA, &[added], None);
    let vote_beside = vote(&mut world, ADA, added);
    let revoked = world.revoke(second, &[added], ADA);
    assert!(world.counts(revoked) && !has(&world, ADA) && has(&world, second));
    let late = world.invite(ADA, &[revoked], None);
    let channel = world.make_channel(ADA, &[revoked], false);
    let vote_late = vote(&mut world, ADA, revoked);
    assert!(world.counts(beside) && !world.counts(late) && !world.counts(channel));
    assert!(supports(&world, vote_beside) && !supports(&world, vote_late));
    let tips = [world.id(revoked)];
    let check = |device: usize| {
        let device = world.people[device].device_id();
        world.authority.check(&device, world.stamp(), &tips, &Operation::Leave)
    };
    assert_eq!(check(ADA), Err(Denied::Device));
    assert!(check(second).is_ok());
    assert!(world.authority.is_revoked(&world.people[ADA].device_id()));
    let seen = world.authority.revoked_at(&world.people[ADA].device_id());
    assert!(seen.tips().any(|tip| tip.id == world.id(revoked)));
    assert!(!seen.tips().any(|tip| tip.id == world.id(late)));
}

#[test]
fn a_revoked_device_never_comes_back() {
    let (mut world, second, bob) = house();
    let added = world.introduce(second, &[bob]);
    let revoked = world.revoke(ADA, &[added], second);
    let again = world.introduce(second, &[revoked]);
    assert!(!world.counts(again) && !has(&world, second));
    let beside = world.introduce(second, &[added]);
    assert!(world.counts(beside) && !has(&world, second), "the revocation wins");
    // Nor by an admission.
    let admitted = world.admit(FOUNDER, &[again], 1, second);
    assert!(world.counts(admitted) && !has(&world, second) && has(&world, ADA));
}

#[test]
fn only_the_identity_revokes_and_only_its_own_devices_on_this_server() {
    let (mut world, second, bob) = house();
    let added = world.introduce(second, &[bob]);
    let device = world.people[second].device_id();
    let elsewhere = Operation::revoke_device(&key(1, 2), &ServerId::new([9; 32]), device);
    let by_device = {
        let keys = world.people[second].device.clone();
        Operation::revoke_device(&keys, &world.server, world.people[ADA].device_id())
    };
    for (author, operation) in [
        (BOB, world.revocation(BOB, device)),
        (BOB, world.revocation(ADA, device)),
        (FOUNDER, world.revocation(FOUNDER, device)),
        (ADA, world.revocation(BOB, device)),
        (ADA, elsewhere),
        (second, by_device),
        (ADA, world.revocation(ADA, DeviceId::new([9; 32]))),
    ] {
        let written = world.write(author, &[added], operation.clone());
        assert!(!world.counts(written), "{author}: {operation:?}");
    }
    assert!(has(&world, second) && has(&world, ADA));
    let sound = world.revoke(ADA, &[added], second);
    assert!(world.counts(sound) && !has(&world, second));
    let spent = world.revoke(second, &[sound], ADA);
    assert!(!world.counts(spent) && has(&world, ADA), "a revoked device revokes nothing");
}

#[test]
fn a_ninth_device_counts_when_one_of_the_eight_is_revoked() {
    let (mut world, second, bob) = house();
    let mut last = world.introduce(second, &[bob]);
    let mut devices = vec![ADA, second];
    while devices.len() <= DEVICES_PER_IDENTITY_MAX {
        let device = world.device(ADA, u8::try_from(devices.len()).unwrap());
        last = world.introduce(device, &[last]);
        devices.push(device);
    }
    let ninth = devices[DEVICES_PER_IDENTITY_MAX];
    assert!(world.counts(last) && !has(&world, ninth));
    let surplus = world.invite(ninth, &[last], None);
    assert!(!world.counts(surplus));
    let revoked = world.revoke(ninth, &[last], second);
    assert!(world.counts(revoked), "it carries what its identity signed");
    assert!(has(&world, ninth) && !has(&world, second));
    assert_eq!(world.authority.now().member(&world.who(ADA)).unwrap().devices.len(), 8);
    let invite = world.invite(ninth, &[revoked], None);
    assert!(world.counts(invite) && !world.counts(surplus));
}

#[test]
fn devices_outlive_a_removal_and_membership_alone_decides() {
    let (mut world, second, bob) = house();
    let kick = world.kick(FOUNDER, &[bob], ADA);
    let beside = world.introduce(second, &[bob]);
    assert!(world.counts(beside) && !has(&world, second) && !has(&world, ADA));
    let back = world.admit(FOUNDER, &[kick], 1, ADA);
    assert!(has(&world, ADA) && has(&world, second));
    let both = world.invite(second, &[back, beside], None);
    assert!(world.counts(both));
}

#[test]
fn an_entry_follows_the_one_right_before_it_in_its_own_log() {
    let (mut world, _, bob) = house();
    let first = world.invite(ADA, &[bob], None);
    let second = world.sign(ADA, &[first], PayloadType::Authority, Operation::Leave.encode());
    let device = world.people[ADA].device.clone();
    let other = world.id(bob);
    // After somebody else's entry; after one's own, and not right after it.
    for (previous, sequence) in [(other, 2), (other, 5), (world.id(first), 5)] {
        let header = second.header().clone();
        let parents = vec![world.envelopes[first].tip(), world.envelopes[bob].tip()];
        let mut parents: Vec<_> = parents.into_iter().filter(|tip| tip.id != previous).collect();
        parents.sort_unstable();
        let header = Header { previous: Some(previous), sequence, parents, ..header };
        let made = Verified::sign(header, None, &device).unwrap();
        assert_eq!(world.authority.insert(&made), Err(InsertError::Previous), "{sequence}");
    }
    assert!(world.authority.insert(&second).is_ok());
}

fn vote(world: &mut World, author: usize, knows: At) -> At {
    let vote = world.sign(author, &[knows], PayloadType::Vote, vec![1]);
    world.arrive(vote)
}

fn supports(world: &World, vote: At) -> bool {
    world.authority.supports(&world.id(vote))
}
