use std::collections::BTreeSet;

use super::*;
use crate::{
    app::engine::{
        input::{Command, Effects},
        tests::help::{ByHand, events},
    },
    base::{IdentityId, Secret, ServerId},
};

fn join() -> Join {
    let link = JoinLink {
        server: ServerId::new([1; 32]),
        invite_key: Secret::new([2; 32]),
        meeting_secret: Secret::new([3; 32]),
        addresses: Vec::new(),
        inviter: IdentityId::new([4; 32]),
    };
    let (link, request) = (link.encode(), Vec::new());
    Join::load(JoinRow { link, request, reference: [5; 32], complete: false }).unwrap()
}

#[test]
fn the_longer_nobody_lets_one_in_the_rarer_one_asks() {
    let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
    let mut join = join();
    assert_eq!(join.again(at(9), NEXT_MEMBER), at(9).saturating_add(NEXT_MEMBER));
    join.tried_since = Some(at(0));
    let pause = |hours: u64| {
        let done = at(hours * 3_600);
        join.again(done, NEXT_MEMBER).since(done).as_secs()
    };
    assert_eq!([0, 1, 24, 240, 2_400].map(pause), [5, 14, 337, 1_800, 1_800]);
}

/// Somebody who asks to be let in, and the server they ask for.
fn asking(link: &str) -> (ByHand, ServerId) {
    let mut bob = ByHand::new(2);
    let (begun, _) = bob.step(|machine, cx| machine.begin_join(link, cx));
    let Ok(Reply::Server { server, .. }) = begun else { panic!("{begun:?}") };
    (bob, server)
}

/// A server whose founder has let somebody in, who holds all that the founder wrote.
fn let_in() -> (ByHand, ByHand, ServerId) {
    let mut alice = ByHand::new(1);
    let (id, founded) = alice.found();
    let invite = Command::CreateInvite { server: id, max_uses: Some(1), valid: None };
    let (Reply::Link(link), invited) = alice.call(invite) else { panic!("a link") };
    let (mut bob, _) = asking(&link);
    let request = bob.server(&id).join.as_ref().unwrap().row.request.clone();
    let asked = JoinRequestFrame { server: id, request };
    let device = bob.machine.node.device();
    let ((), admitted) = alice.step(|machine, cx| machine.join_requested(device, &asked, cx));
    for written in [founded, invited, admitted] {
        bob.keep(id, &written);
    }
    alice.keep(id, &Effects::default());
    let server = bob.machine.servers.get_mut(&id).unwrap();
    server.caught_up.insert(alice.machine.node.device(), BTreeSet::from([server.control]));
    assert!(server.is_member(&bob.machine.node.me().identity()));
    (alice, bob, id)
}

/// The code with which a join is told to have failed.
fn failed_with(bob: &mut ByHand, id: ServerId) -> &'static str {
    let ((), effects) = bob.step(|machine, cx| {
        let server = machine.servers.get_mut(&id).unwrap();
        server.go_on_joining(&mut machine.node, cx);
    });
    match events(&effects)[..] {
        [Event::JoinFailed { server, code, .. }] if server == id => code,
        ref told => panic!("{told:?}"),
    }
}

#[test]
fn whoever_is_removed_while_they_join_is_told_so() {
    let (mut alice, mut bob, server) = let_in();
    let identity = bob.machine.node.me().identity();
    let (_, removed) = alice.call(Command::RemoveMember { server, identity });
    bob.keep(server, &removed);
    assert_eq!(failed_with(&mut bob, server), "join.removed");
}

#[test]
fn whoever_leaves_while_they_join_is_told_so() {
    let (_, mut bob, server) = let_in();
    bob.call(Command::Leave { server });
    bob.keep(server, &Effects::default());
    assert_eq!(failed_with(&mut bob, server), "join.left");
}

#[test]
fn whoever_is_asked_and_lets_nobody_in_for_now_is_told_of_once_for_each_answer() {
    let alice = ByHand::new(1);
    let (peer, by) = (alice.machine.node.device(), alice.machine.node.me().identity());
    let (mut bob, server) = asking(&join().row.link);
    bob.machine.node.links.meet(peer, by, true);
    let mut answers = |refusal| {
        let join = bob.machine.servers.get_mut(&server).unwrap().join.as_mut().unwrap();
        join.owed.insert(peer, 1);
        let reply = JoinReply { server, refused: Some(refusal) };
        let ((), effects) = bob.step(|machine, cx| machine.join_replied(peer, &reply, cx));
        assert!(bob.server(&server).join.as_ref().unwrap().is_open());
        let codes = events(&effects).into_iter().map(|event| match event {
            Event::JoinRefused { by: who, code, .. } if who == by => code,
            other => panic!("{other:?}"),
        });
        codes.collect::<Vec<_>>()
    };
    let full = Refusal::Full;
    assert_eq!(answers(full), ["server.full"]);
    assert_eq!(answers(full), [""; 0]);
    assert_eq!(answers(Refusal::Unknown), ["invite.unknown"]);
    assert_eq!(answers(full), ["server.full"]);
}
