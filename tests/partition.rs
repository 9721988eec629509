//! Separate processes over QUIC, parted and joined again by forwarders before them: both sides live on.
#![allow(clippy::unwrap_used)]

mod forwarder;
mod process;

use forwarder::Network;
use process::{Chat, converge, invite, meet, read};
use serde_json::Value;
use tempfile::TempDir;

/// People at processes of their own, each behind a forwarder.
struct Scene {
    network: Network,
    /// They end before the network, and their folders after them.
    folders: Vec<TempDir>,
}

impl Scene {
    fn new() -> Self {
        Self { network: Network::new(), folders: Vec::new() }
    }

    /// Starts somebody's node on a side of the partition.
    fn start(&mut self, name: &str, side: usize) -> Chat {
        let folder = tempfile::tempdir().unwrap();
        let announced = self.network.place(folder.path(), side);
        let chat = Chat::start_with(name, folder.path(), &["--announce", &announced]);
        self.folders.push(folder);
        chat
    }
}

#[test]
fn after_a_partition_with_commits_on_both_sides_all_list_the_same_messages() {
    let mut scene = Scene::new();
    let mut alice = scene.start("Alice", 0);
    let mut bob = scene.start("Bob", 0);
    let mut carol = scene.start("Carol", 0);
    meet(&mut alice, &mut [&mut bob, &mut carol]);
    alice.ask("1 from Alice, to all");
    for person in [&mut alice, &mut bob, &mut carol] {
        person.reads(&["1 from Alice, to all"]);
    }
    let link = invite(&mut alice);
    converge(&mut [&mut alice, &mut bob, &mut carol], 3);
    let epoch = alice.ask("/status")["epoch"].as_u64().unwrap();

    // Alice on one side, Bob and Carol on the other; each side lets somebody in, at once.
    scene.network.part(&[1, 2, 2]);
    let mut dora = scene.start("Dora", 1);
    let mut erin = scene.start("Erin", 2);
    for guest in [&mut dora, &mut erin] {
        guest.type_line(&format!("/join {link}"));
    }
    alice.ask("2 from Alice, behind");
    bob.ask("2 from Bob, behind");
    carol.ask("2 from Carol, behind");
    for guest in [&mut dora, &mut erin] {
        let reply = guest.reply();
        assert_eq!(reply["ok"], true, "{guest:?}: {reply}");
    }
    talk(&mut [&mut alice, &mut dora], "3");
    talk(&mut [&mut bob, &mut carol, &mut erin], "3");
    assert_forked(&mut alice, &mut bob, epoch);

    scene.network.heal();
    let mut all = [&mut alice, &mut bob, &mut carol, &mut dora, &mut erin];
    converge(&mut all, 5);
    talk(&mut all, "4");
    converge(&mut all, 5);
    let listed = lists(&mut alice, 14);
    assert_eq!(lists(&mut bob, 14), listed);
    assert_eq!(lists(&mut carol, 14), listed);
}

#[test]
fn a_removal_on_one_side_and_an_admission_on_the_other_both_hold_after_the_partition() {
    let mut scene = Scene::new();
    let mut alice = scene.start("Alice", 0);
    let mut bob = scene.start("Bob", 0);
    let mut carol = scene.start("Carol", 0);
    let mut dan = scene.start("Dan", 0);
    meet(&mut alice, &mut [&mut bob, &mut carol, &mut dan]);
    let link = invite(&mut alice);
    converge(&mut [&mut alice, &mut bob, &mut carol, &mut dan], 4);

    scene.network.part(&[1, 2, 2, 2]);
    let mut erin = scene.start("Erin", 2);
    erin.type_line(&format!("/join {link}"));
    alice.ask("/remove Dan");
    alice.ask("1 from Alice, without Dan");
    talk(&mut [&mut bob, &mut carol, &mut dan], "1");
    let reply = erin.reply();
    assert_eq!(reply["ok"], true, "{reply}");
    talk(&mut [&mut bob, &mut carol, &mut dan, &mut erin], "2");

    scene.network.heal();
    let mut all = [&mut alice, &mut bob, &mut carol, &mut erin];
    converge(&mut all, 4);
    talk(&mut all, "3");
    converge(&mut all, 4);
    // What Dan wrote after his removal is nobody's any more; the rest is everybody's.
    let listed = lists(&mut alice, 10);
    assert!(listed.iter().all(|[_, name, _]| name != "Dan"), "{listed:?}");
    assert_eq!(lists(&mut bob, 10), listed);
    assert_eq!(lists(&mut carol, 10), listed);
    dan.event("member_removed", |event| event["name"] == "Dan");
    assert!(!read(&dan.ask("/history")).iter().any(|text| text.starts_with('3')));
}

/// Each says something that all the others read.
fn talk(people: &mut [&mut Chat], number: &str) {
    for at in 0..people.len() {
        let text = format!("{number} from {:?}", people[at]);
        people[at].ask(&text);
        for person in people.iter_mut() {
            person.until("/history", |reply| read(reply).contains(&text.as_str()));
        }
    }
}

/// Both sides have committed on one state, and neither knows of the other.
fn assert_forked(one: &mut Chat, other: &mut Chat, epoch: u64) {
    let [ones, others] = [one, other].map(|chat| chat.ask("/status"));
    assert_ne!(ones["head"], others["head"]);
    for status in [&ones, &others] {
        assert_eq!(status["stand"], status["head"], "{status}");
        assert!(status["epoch"].as_u64().unwrap() > epoch, "{status}");
        assert_eq!(status["members"], 4, "{status}");
    }
}

/// So many messages, once all of them can be read: ids, authors and texts, in their order.
fn lists(person: &mut Chat, len: usize) -> Vec<[Value; 3]> {
    let history = person.until("/history", |reply| read(reply).len() == len);
    let messages = history["messages"].as_array().unwrap().iter();
    messages.map(|message| ["id", "name", "text"].map(|key| message[key].clone())).collect()
}
