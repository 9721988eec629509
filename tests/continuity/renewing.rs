//! A node becomes another device of its identity, and nothing is lost.

use spacepanda::{Event, Node, ServerId, transport::memory::MemoryNetwork};

use crate::{
    event, over_both_stores,
    world::{Person, Place, converged, delivered, found, join, messages, reads, texts, until},
};

over_both_stores!(
    a_new_device_comes_in_among_those_connected_and_the_old_one_goes,
    a_new_device_waits_for_a_member_and_what_was_written_meanwhile_arrives_once,
    somebody_renews_again_and_again_and_restarts_in_between,
);

/// Waits until a node has no link.
async fn is_alone(node: &Node) {
    until("nobody else is here", async || {
        let peers = node.status().await.unwrap().peers;
        if peers.is_empty() { Ok(()) } else { Err(peers) }
    })
    .await;
}

async fn epoch(node: &Node, server: ServerId) -> u64 {
    node.server_status(server).await.unwrap().epoch.unwrap()
}

async fn a_new_device_comes_in_among_those_connected_and_the_old_one_goes(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let carols = Person::new(&network, "carol", place().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    join(&carol, &link).await;
    let first = alice.send_message(server, channel, "from the old one").await.unwrap();
    delivered(&alice, (server, channel), first).await;
    converged(&[&alice, &bob, &carol], server).await;
    let (before, identity, old) = (epoch(&bob, server).await, alice.identity(), alice.device());

    let mut events = alice.events();
    let new = alice.renew_device().await.unwrap();
    assert!(new != old && alice.device() == new && alice.identity() == identity);
    let told = event(&mut events, "the renewal is told", |event| match event {
        Event::DeviceRenewed { device } => Some(*device),
        _ => None,
    });
    assert_eq!(told.await, new);
    let second = alice.send_message(server, channel, "from the new one").await.unwrap();
    for node in [&bob, &carol] {
        reads(node, server, channel, "from the new one").await;
    }
    delivered(&alice, (server, channel), second).await;
    bob.send_message(server, channel, "and back").await.unwrap();
    for node in [&alice, &carol] {
        reads(node, server, channel, "and back").await;
    }
    converged(&[&alice, &bob, &carol], server).await;
    assert!(epoch(&bob, server).await > before, "one came and one went");
    for node in [&alice, &bob, &carol] {
        let listed = node.list_messages(server, channel, None, 9).await.unwrap().messages;
        let hers: Vec<_> = listed.iter().filter(|message| message.author == identity).collect();
        assert_eq!(hers.iter().map(|message| message.device).collect::<Vec<_>>(), [old, new]);
        assert!(!node.status().await.unwrap().peers.contains(&old));
    }

    let listed = messages(&alice, server, channel).await;
    alice.close().await.unwrap();
    bob.close().await.unwrap();
    let (alice, bob) = (alices.open().await, bobs.open().await);
    assert_eq!(alice.device(), new);
    assert_eq!(messages(&alice, server, channel).await, listed);
    alice.send_message(server, channel, "still the new one").await.unwrap();
    for node in [&bob, &carol] {
        reads(node, server, channel, "still the new one").await;
    }
    converged(&[&alice, &bob, &carol], server).await;
}

async fn a_new_device_waits_for_a_member_and_what_was_written_meanwhile_arrives_once(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let carols = Person::new(&network, "carol", place().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    join(&carol, &link).await;
    converged(&[&alice, &bob, &carol], server).await;
    alice.close().await.unwrap();
    carol.send_message(server, channel, "unheard").await.unwrap();
    reads(&bob, server, channel, "unheard").await;
    bob.close().await.unwrap();
    carol.close().await.unwrap();
    let alice = alices.open().await;
    is_alone(&alice).await;

    let before = alice.send_message(server, channel, "before").await.unwrap();
    alice.renew_device().await.unwrap();
    let after = alice.send_message(server, channel, "after").await.unwrap();
    assert_eq!(alice.status().await.unwrap().pending, 2);
    let alice = {
        alice.close().await.unwrap();
        alices.open().await
    };
    assert_eq!(texts(&alice, server, channel).await, ["before", "after"]);

    let bob = bobs.open().await;
    for text in ["before", "after"] {
        reads(&bob, server, channel, text).await;
    }
    reads(&alice, server, channel, "unheard").await;
    for message in [before, after] {
        delivered(&alice, (server, channel), message).await;
    }
    assert_eq!(alice.status().await.unwrap().pending, 0);
    let carol = carols.open().await;
    carol.send_message(server, channel, "all here").await.unwrap();
    for node in [&alice, &bob] {
        reads(node, server, channel, "all here").await;
    }
    for node in [&alice, &bob, &carol] {
        let mut read = texts(node, server, channel).await;
        read.sort();
        assert_eq!(read, ["after", "all here", "before", "unheard"]);
    }
    converged(&[&alice, &bob, &carol], server).await;
}

async fn somebody_renews_again_and_again_and_restarts_in_between(place: impl AsyncFn() -> Place) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, mut bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    let mut devices = vec![bob.device()];
    for turn in 0..3 {
        let text = format!("turn {turn}");
        bob.send_message(server, channel, &text).await.unwrap();
        devices.push(bob.renew_device().await.unwrap());
        bob.close().await.unwrap();
        bob = bobs.open().await;
        reads(&alice, server, channel, &text).await;
        let text = format!("turn {turn} back");
        alice.send_message(server, channel, &text).await.unwrap();
        reads(&bob, server, channel, &text).await;
    }
    converged(&[&alice, &bob], server).await;
    devices.dedup();
    assert_eq!(devices.len(), 4);
    assert_eq!(bob.device(), devices[3]);
    assert_eq!(messages(&alice, server, channel).await, messages(&bob, server, channel).await);
}
