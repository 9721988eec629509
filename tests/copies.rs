//! Data folders that were copied: restored later, or used twice. A device whose folder is not the
//! latest and only one says so, and uses no place of a log and no key a second time.
#![allow(clippy::unwrap_used)]

mod world;

use std::{collections::BTreeSet, fs, sync::Arc};

use spacepanda::{
    AppError, ChannelId, Continuity, DeviceId, Event, Events, Hold, MessageState, Node, ServerId,
    base::{Floors, Frontier},
    store::{CrdtStore, LogStore, Namespace, Page},
    transport::memory::MemoryNetwork,
};
use spacepanda_core::state::{
    authority::control_channel,
    envelope::{Envelope, PayloadType},
    mls::CommitPayload,
};

use crate::world::{
    Person, Place, converged, delivered, found, join, messages, reads, state, texts, until, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_restored_elsewhere_learns_it_from_members_and_comes_in_as_another_device() {
    let network = MemoryNetwork::new();
    let (alices, bobs) = (person(&network, "alice").await, person(&network, "bob").await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    let old = alice.device();
    let id = alice.send_message(server, channel, "yesterday").await.unwrap();
    delivered(&alice, (server, channel), id).await;
    alice.close().await.unwrap();

    let copy = copy_of(&network, &alices, "elsewhere");
    let alice = alices.open().await;
    for text in ["today", "and later"] {
        let id = alice.send_message(server, channel, text).await.unwrap();
        delivered(&alice, (server, channel), id).await;
    }
    alice.create_channel(server, "games").await.unwrap();
    converged(&[&alice, &bob], server).await;
    alice.close().await.unwrap();

    let restored = copy.open().await;
    gives_up(&restored, old).await;
    let id = restored.send_message(server, channel, "once more").await.unwrap();
    delivered(&restored, (server, channel), id).await;
    bob.send_message(server, channel, "welcome back").await.unwrap();
    let all = ["yesterday", "today", "and later", "once more", "welcome back"];
    for node in [&restored, &bob] {
        lists(node, (server, channel), &all).await;
    }
    converged(&[&restored, &bob], server).await;
    assert_eq!(bob.channels(server).await.unwrap().len(), 2, "the one made after the copy stays");
    restored.close().await.unwrap();

    // It stays that device.
    let restored = copy.open().await;
    becomes(&restored, Continuity::Sure).await;
    assert_eq!(restored.status().await.unwrap().gave_up, None);
    assert_ne!(restored.device(), old);
    restored.send_message(server, channel, "for good").await.unwrap();
    reads(&bob, server, channel, "for good").await;
    converged(&[&restored, &bob], server).await;
    let new = restored.device();
    restored.close().await.unwrap();
    bob.close().await.unwrap();
    for place in [&bobs, &copy] {
        assert!(forked_logs(place).await.is_empty());
        let (added, removed) = leaves(place, server).await;
        assert!(added.contains(&new) && removed.contains(&old), "{added:?} {removed:?}");
        assert!(!removed.contains(&new));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_of_two_copies_becomes_another_device_and_the_other_is_told_of_it() {
    let network = MemoryNetwork::new();
    let (alices, bobs) = (person(&network, "alice").await, person(&network, "bob").await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    converged(&[&alice, &bob], server).await;
    let old = alice.device();
    alice.close().await.unwrap();

    // Bob has seen no more than the copy holds.
    let copies = copy_of(&network, &alices, "copy");
    let copy = copies.open().await;
    becomes(&copy, Continuity::Sure).await;
    let id = copy.send_message(server, channel, "from the copy").await.unwrap();
    delivered(&copy, (server, channel), id).await;
    let alice = alices.open().await;
    gives_up(&alice, old).await;
    alice.send_message(server, channel, "from the original").await.unwrap();
    for node in [&alice, &bob] {
        lists(node, (server, channel), &["from the copy", "from the original"]).await;
    }
    converged(&[&alice, &bob], server).await;

    // The copy writes nothing more until it is a device of its own.
    becomes(&copy, Continuity::Revoked).await;
    assert_eq!(copy.device(), old);
    assert_eq!(code(copy.create_channel(server, "games").await), "device.revoked");
    assert_eq!(code(copy.confirm_only_copy().await), "device.revoked");
    let mut events = copy.events();
    let id = copy.send_message(server, channel, "still here").await.unwrap();
    assert_eq!(held(&mut events).await, Hold::Revoked);
    assert_eq!(state(&copy, (server, channel), id).await, MessageState::Queued);
    copy.close().await.unwrap();
    let copy = copies.open().await;
    becomes(&copy, Continuity::Revoked).await;
    copy.renew_device().await.unwrap();
    becomes(&copy, Continuity::Sure).await;
    for node in [&alice, &bob, &copy] {
        let all = ["from the copy", "from the original", "still here"];
        lists(node, (server, channel), &all).await;
    }
    converged(&[&alice, &bob, &copy], server).await;
    for node in [alice, copy, bob] {
        node.close().await.unwrap();
    }
    assert!(forked_logs(&bobs).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_that_wrote_apart_both_stop_until_their_person_decides_for_one() {
    let network = MemoryNetwork::new();
    let (alices, bobs) = (person(&network, "alice").await, person(&network, "bob").await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    converged(&[&alice, &bob], server).await;
    alice.close().await.unwrap();
    bob.close().await.unwrap();

    // Each is told that it is the only one, with nobody there who knows better.
    let copies = copy_of(&network, &alices, "copy");
    let (alice, copy) = (alices.open().await, copies.open().await);
    for (node, text) in [(&alice, "from the original"), (&copy, "from the copy")] {
        node.confirm_only_copy().await.unwrap();
        node.send_message(server, channel, text).await.unwrap();
        node.create_channel(server, text).await.unwrap();
    }
    let bob = bobs.open().await;
    for node in [&alice, &copy] {
        becomes(node, Continuity::Cloned).await;
        assert_eq!(code(node.create_channel(server, "more").await), "device.cloned");
        let mut events = node.events();
        node.send_message(server, channel, "and now?").await.unwrap();
        assert_eq!(held(&mut events).await, Hold::Cloned);
    }
    alice.close().await.unwrap();
    let alice = alices.open().await;
    becomes(&alice, Continuity::Cloned).await;

    // Its person decides for one of them.
    let old = alice.device();
    alice.renew_device().await.unwrap();
    becomes(&alice, Continuity::Sure).await;
    reads(&bob, server, channel, "and now?").await;
    becomes(&copy, Continuity::Revoked).await;
    assert_eq!(copy.device(), old);
    assert_eq!(code(copy.create_channel(server, "more").await), "device.revoked");
    bob.send_message(server, channel, "this one").await.unwrap();
    reads(&alice, server, channel, "this one").await;
    converged(&[&alice, &bob], server).await;
    assert_eq!(texts(&bob, server, channel).await.iter().filter(|it| *it == "and now?").count(), 1);
    alice.close().await.unwrap();
    copy.close().await.unwrap();
    bob.close().await.unwrap();
    assert!(!forked_logs(&bobs).await.is_empty(), "both wrote");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_on_one_machine_find_each_other_without_anybody() {
    let network = MemoryNetwork::new();
    let alices = person(&network, "alice").await;
    let alice = alices.open().await;
    let (server, channel, _) = found(&alice).await;
    alice.close().await.unwrap();
    let copies = copy_beside(&network, &alices, "copy");

    let alice = alices.open().await;
    becomes(&alice, Continuity::Sure).await;
    alice.create_channel(server, "games").await.unwrap();
    until("what is kept outside is ahead of the copy", async || {
        let copy = copies.open().await;
        let is = copy.status().await.unwrap();
        copy.close().await.unwrap();
        if is.gave_up.is_some() { Ok(()) } else { Err(is) }
    })
    .await;
    until("the original has noticed", async || {
        let _ = alice.send_message(server, channel, "is anybody here?").await;
        let is = alice.status().await.unwrap().continuity;
        if is == Continuity::Cloned { Ok(()) } else { Err(is) }
    })
    .await;
    assert_eq!(code(alice.create_channel(server, "more").await), "device.cloned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_restored_in_place_knows_that_it_is_old_without_anybody() {
    let network = MemoryNetwork::new();
    let alices = person(&network, "alice").await;
    let alice = alices.open().await;
    let ((server, _, _), device) = (found(&alice).await, alice.device());
    alice.close().await.unwrap();
    let old = copy_beside(&network, &alices, "alice");
    let alice = alices.open().await;
    becomes(&alice, Continuity::Sure).await;
    alice.create_channel(server, "games").await.unwrap();
    alice.close().await.unwrap();

    let restored = old.open().await;
    gives_up(&restored, device).await;
    let another = restored.device();
    restored.close().await.unwrap();
    let restored = old.open().await;
    assert_eq!(restored.device(), another);
    becomes(&restored, Continuity::Sure).await;
    restored.close().await.unwrap();
    // The latest is what it was.
    let alice = alices.open().await;
    becomes(&alice, Continuity::Sure).await;
    alice.create_channel(server, "more").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_who_knows_it_queues_says_why_and_goes_on_when_its_person_says_so() {
    let network = MemoryNetwork::new();
    let (alices, bobs) = (person(&network, "alice").await, person(&network, "bob").await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    converged(&[&alice, &bob], server).await;
    alice.close().await.unwrap();
    bob.close().await.unwrap();

    let moved = copy_of(&network, &alices, "alice");
    let alice = moved.open().await;
    let mut events = alice.events();
    assert_eq!(alice.status().await.unwrap().continuity, Continuity::Unsure);
    assert_eq!(alice.server_status(server).await.unwrap().hold, Some(Hold::Unsure));
    let id = alice.send_message(server, channel, "patience").await.unwrap();
    assert_eq!(held(&mut events).await, Hold::Unsure);
    assert_eq!(code(alice.create_channel(server, "games").await), "device.unsure");
    // A server that is made now was never written in by another copy.
    alice.create_server("Bears").await.unwrap();
    alice.close().await.unwrap();

    // It stays unsure although there is now something outside the folder.
    let alice = moved.open().await;
    assert_eq!(alice.status().await.unwrap().continuity, Continuity::Unsure);
    assert_eq!(state(&alice, (server, channel), id).await, MessageState::Queued);
    alice.confirm_only_copy().await.unwrap();
    assert_eq!(alice.status().await.unwrap().continuity, Continuity::Sure);
    alice.create_channel(server, "games").await.unwrap();
    let bob = bobs.open().await;
    reads(&bob, server, channel, "patience").await;
    alice.close().await.unwrap();
    let alice = moved.open().await;
    becomes(&alice, Continuity::Sure).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_moved_goes_on_once_a_member_has_seen_no_more_of_it() {
    let network = MemoryNetwork::new();
    let (alices, bobs) = (person(&network, "alice").await, person(&network, "bob").await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    alice.close().await.unwrap();
    let alice = copy_of(&network, &alices, "alice").open().await;
    alice.send_message(server, channel, "from the new machine").await.unwrap();
    reads(&bob, server, channel, "from the new machine").await;
    becomes(&alice, Continuity::Sure).await;
    converged(&[&alice, &bob], server).await;
    alice.close().await.unwrap();
    bob.close().await.unwrap();
    assert!(forked_logs(&bobs).await.is_empty());
}

/// A person with a data folder.
async fn person(network: &MemoryNetwork, name: &'static str) -> Person {
    Person::new(network, name, Place::sqlite().await)
}

/// A copy of somebody's data folder, on another machine: with nothing of what is kept outside it.
fn copy_of(network: &MemoryNetwork, original: &Person, name: &'static str) -> Person {
    let Place::Sqlite(folder) = &original.place else { panic!("it has no folder") };
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    Person::new(network, name, Place::Sqlite(copy))
}

/// A copy on the same machine.
fn copy_beside(network: &MemoryNetwork, original: &Person, name: &'static str) -> Person {
    let mut copy = copy_of(network, original, name);
    copy.state = Arc::clone(&original.state);
    copy
}

async fn becomes(node: &Node, wanted: Continuity) {
    until(&format!("it is {wanted:?}"), async || {
        let is = node.status().await.unwrap().continuity;
        if is == wanted { Ok(()) } else { Err(is) }
    })
    .await;
}

/// Waits until a node has become another device because its store is old, and says so.
async fn gives_up(node: &Node, old: DeviceId) {
    until("it is another device", async || {
        let status = node.status().await.unwrap();
        if status.gave_up == Some(old) && status.device != old { Ok(()) } else { Err(status) }
    })
    .await;
}

/// Waits until a node lists these texts, each once, and nothing that it cannot read.
async fn lists(node: &Node, at: (ServerId, ChannelId), wanted: &[&str]) {
    until("everything is listed once", async || {
        let listed = messages(node, at.0, at.1).await;
        let mut texts: Vec<_> = listed.iter().map(|(_, text)| text.as_str()).collect();
        let mut wanted = wanted.to_vec();
        texts.sort_unstable();
        wanted.sort_unstable();
        if texts == wanted { Ok(()) } else { Err(listed) }
    })
    .await;
}

/// The devices that commits have added and removed, by somebody's store, closed.
async fn leaves(person: &Person, server: ServerId) -> (BTreeSet<DeviceId>, BTreeSet<DeviceId>) {
    let store = person.place.store().await;
    let logs = LogStore::open(Arc::clone(&store)).await.unwrap();
    let channel = control_channel(&server);
    let frontier = logs.frontier(&channel).await.unwrap();
    let floors: Floors = frontier.tips().map(|tip| (tip.device, 1)).collect();
    let entries = logs.missing(&channel, &floors, &Frontier::new(), 500, 8_000_000).await.unwrap();
    store.close().await.unwrap();
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let envelope = Envelope::decode(&entry.bytes).unwrap();
        if envelope.header().payload_type == PayloadType::Commit {
            let commit = CommitPayload::decode(&envelope.header().payload).unwrap();
            added.extend(commit.adds.iter().map(|added| added.device));
            removed.extend(commit.removes);
        }
    }
    (added, removed)
}

async fn held(events: &mut Events) -> Hold {
    let next = async {
        loop {
            if let Ok(Event::MessageHeld { hold, .. }) = events.next().await.unwrap() {
                break hold;
            }
        }
    };
    within("a message is held", next).await
}

fn code<T: std::fmt::Debug>(refused: Result<T, AppError>) -> &'static str {
    refused.unwrap_err().code()
}

/// The logs of which a person's store, closed, holds more than one branch.
async fn forked_logs(person: &Person) -> BTreeSet<(ChannelId, DeviceId)> {
    let store = person.place.store().await;
    let page = Page { prefix: Default::default(), after: None, limit: 1_000 };
    let numbers = store.scan(&Namespace::new("log_number"), page).await.unwrap();
    let logs = LogStore::open(Arc::clone(&store)).await.unwrap();
    let mut forked = BTreeSet::new();
    for (_, owner) in numbers {
        // Whose number it is stands in its last 32 bytes; what is no channel has no frontier.
        let id: [u8; 32] = owner[owner.len() - 32..].try_into().unwrap();
        let channel = ChannelId::new(id);
        let frontier = logs.frontier(&channel).await.unwrap();
        for tip in frontier.tips().filter(|tip| frontier.of(&tip.device).count() > 1) {
            forked.insert((channel, tip.device));
        }
    }
    store.close().await.unwrap();
    forked
}
