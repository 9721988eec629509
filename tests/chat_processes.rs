//! Three people at three separate processes, over QUIC on 127.0.0.1: the whole story.
#![allow(clippy::unwrap_used)]

mod process;

use process::{Chat, converge, meet, read};
use tempfile::TempDir;

/// The folders in which the three keep their nodes.
struct Folders {
    alice: TempDir,
    bob: TempDir,
    carol: TempDir,
}

impl Folders {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { alice: folder(), bob: folder(), carol: folder() }
    }
}

#[test]
fn three_meet_talk_sleep_catch_up_part_and_go_on_after_restarts() {
    let folders = Folders::new();
    let mut alice = Chat::start("Alice", folders.alice.path());
    let mut bob = Chat::start("Bob", folders.bob.path());
    let mut carol = Chat::start("Carol", folders.carol.path());

    meet(&mut alice, &mut [&mut bob, &mut carol]);
    converge(&mut [&mut alice, &mut bob, &mut carol], 3);
    talk(&mut alice, &mut bob, &mut carol);

    // Carol sleeps while the others talk, and catches up when she is back.
    carol.quit();
    alice.ask("3 from Alice");
    bob.event("message", |event| event["text"] == "3 from Alice");
    bob.ask("4 from Bob");
    alice.event("message", |event| event["text"] == "4 from Bob");
    let mut carol = Chat::start("Carol", folders.carol.path());
    carol.reads(&["1 from Alice", "2 from Bob", "3 from Alice", "4 from Bob"]);
    converge(&mut [&mut alice, &mut bob, &mut carol], 3);

    new_channel(&mut alice, &mut bob, &mut carol);
    remove_bob(&mut alice, &mut bob, &mut carol);

    // Everybody restarts; nothing is lost and talking goes on.
    alice.quit();
    bob.end_input();
    carol.quit();
    let mut alice = Chat::start("Alice", folders.alice.path());
    let mut carol = Chat::start("Carol", folders.carol.path());
    alice.ask("7 after a restart");
    carol.event("message", |event| event["text"] == "7 after a restart");
    converge(&mut [&mut alice, &mut carol], 2);

    // A process that is killed goes on where it was: what it accepted is durable.
    alice.ask("8 before the end");
    alice.kill();
    let mut alice = Chat::start("Alice", folders.alice.path());
    assert!(read(&alice.ask("/history")).contains(&"8 before the end"));
    carol.until("/history", |reply| read(reply).contains(&"8 before the end"));
    carol.ask("9 at last");
    alice.until("/history", |reply| read(reply).contains(&"9 at last"));
    converge(&mut [&mut alice, &mut carol], 2);
    alice.quit();
    carol.quit();
}

fn talk(alice: &mut Chat, bob: &mut Chat, carol: &mut Chat) {
    let id = alice.ask("1 from Alice")["id"].clone();
    for person in [&mut *bob, &mut *carol] {
        let heard = person.event("message", |event| event["id"] == id);
        assert_eq!((&heard["name"], &heard["text"]), (&"Alice".into(), &"1 from Alice".into()));
    }
    alice.event("message_state", |event| event["id"] == id && event["state"] == "delivered");
    bob.ask("2 from Bob");
    for person in [alice, carol] {
        person.event("message", |event| event["text"] == "2 from Bob");
    }
}

fn new_channel(alice: &mut Chat, bob: &mut Chat, carol: &mut Chat) {
    let channel = alice.ask("/channel create bamboo")["channel"].clone();
    bob.event("channel_created", |event| event["channel"] == channel && event["name"] == "bamboo");
    for person in [&mut *alice, &mut *carol] {
        let used = person.until("/use bamboo", |reply| reply["ok"] == true);
        assert_eq!(used["channel"], channel);
    }
    carol.ask("//5 about bamboo");
    let heard = alice.event("message", |event| event["channel"] == channel);
    assert_eq!(heard["text"], "/5 about bamboo");
    for person in [alice, carol] {
        person.ask("/use general");
    }
}

fn remove_bob(alice: &mut Chat, bob: &mut Chat, carol: &mut Chat) {
    let epoch = alice.ask("/status")["epoch"].as_u64().unwrap();
    let removed = alice.ask("/remove Bob");
    assert_eq!(removed["open_invites"].as_array().unwrap().len(), 1, "{removed}");
    for person in [&mut *alice, &mut *carol] {
        person.event("member_removed", |event| event["name"] == "Bob");
        person.until("/status", |status| status["epoch"].as_u64().is_some_and(|now| now > epoch));
    }
    let id = alice.ask("6 without Bob")["id"].clone();
    carol.event("message", |event| event["id"] == id);
    converge(&mut [alice, carol], 2);
    bob.event("member_removed", |event| event["name"] == "Bob");
    assert!(!read(&bob.ask("/history")).contains(&"6 without Bob"));
    bob.refused("Let me in");
}
