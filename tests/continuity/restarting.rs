//! Restarts: of the one, of the other, of both, in every order.

use spacepanda::{Event, MessageState, transport::memory::MemoryNetwork};

use crate::{
    event, over_both_stores,
    world::{
        Person, Place, converged, delivered, found, join, messages, reads, roster, state, until,
        within,
    },
};

over_both_stores!(
    a_server_goes_on_in_its_epoch_and_the_other_side_reads_what_it_missed,
    both_restart_in_every_order_and_lose_nothing,
    what_was_accepted_alone_is_sent_after_a_restart_and_told_once,
);

async fn a_server_goes_on_in_its_epoch_and_the_other_side_reads_what_it_missed(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    let games = alice.create_channel(server, "games").await.unwrap();
    join(&bob, &link).await;
    let first = alice.send_message(server, channel, "one").await.unwrap();
    reads(&bob, server, channel, "one").await;
    delivered(&alice, (server, channel), first).await;
    converged(&[&alice, &bob], server).await;

    bob.close().await.unwrap();
    let (me, before) = (alice.identity(), alice.server_status(server).await.unwrap());
    let (listed, members) = (messages(&alice, server, channel).await, roster(&alice, server).await);
    alice.close().await.unwrap();
    let alice = alices.open().await;
    assert_eq!((alice.identity(), alice.server_status(server).await.unwrap()), (me, before));
    assert_eq!(messages(&alice, server, channel).await, listed);
    assert_eq!(roster(&alice, server).await, members);
    alice.send_message(server, channel, "two").await.unwrap();
    let missed = alice.send_message(server, games, "anybody?").await.unwrap();
    assert!(state(&alice, (server, games), missed).await < MessageState::Delivered);

    let bob = bobs.open().await;
    reads(&bob, server, channel, "two").await;
    reads(&bob, server, games, "anybody?").await;
    bob.send_message(server, games, "me").await.unwrap();
    reads(&alice, server, games, "me").await;
    delivered(&alice, (server, games), missed).await;
    converged(&[&alice, &bob], server).await;
    assert_eq!(messages(&bob, server, channel).await, messages(&alice, server, channel).await);
    assert_eq!(messages(&bob, server, games).await, messages(&alice, server, games).await);
}

async fn both_restart_in_every_order_and_lose_nothing(place: impl AsyncFn() -> Place) {
    let network = MemoryNetwork::new();
    let people = [("alice", place().await), ("bob", place().await)]
        .map(|(n, p)| Person::new(&network, n, p));
    let mut nodes = [people[0].open().await, people[1].open().await];
    let (server, channel, link) = found(&nodes[0]).await;
    join(&nodes[1], &link).await;
    let mut written = Vec::new();
    // Who closes first and second, and who opens first and second.
    for (turn, [off, on]) in [[0, 0], [0, 1], [1, 0], [1, 1]].into_iter().enumerate() {
        for (who, node) in nodes.iter().enumerate() {
            let text = format!("turn {turn}, {}", people[who].name);
            written.push((node.send_message(server, channel, &text).await.unwrap(), text));
        }
        nodes[off].close().await.unwrap();
        let text = format!("turn {turn}, alone");
        written.push((nodes[1 - off].send_message(server, channel, &text).await.unwrap(), text));
        nodes[1 - off].close().await.unwrap();
        nodes[on] = people[on].open().await;
        let text = format!("turn {turn}, first again");
        written.push((nodes[on].send_message(server, channel, &text).await.unwrap(), text));
        nodes[1 - on] = people[1 - on].open().await;
        for node in &nodes {
            reads(node, server, channel, &written.last().unwrap().1).await;
        }
    }
    let [alice, bob] = &nodes;
    let (server_, channel_) = (server, channel);
    until("both list the same", async || {
        let lists =
            (messages(alice, server_, channel_).await, messages(bob, server_, channel_).await);
        if lists.0 == lists.1 && lists.0.len() == written.len() { Ok(()) } else { Err(lists) }
    })
    .await;
    let mut listed = messages(alice, server, channel).await;
    converged(&[alice, bob], server).await;
    listed.sort();
    written.sort();
    assert_eq!(listed, written);
}

async fn what_was_accepted_alone_is_sent_after_a_restart_and_told_once(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    converged(&[&alice, &bob], server).await;
    bob.close().await.unwrap();
    let mut events = alice.events();
    until("Alice is alone", async || {
        let peers = alice.status().await.unwrap().peers;
        if peers.is_empty() { Ok(()) } else { Err(peers) }
    })
    .await;

    let at = (server, channel);
    let id = alice.send_message(server, channel, "into the night").await.unwrap();
    assert_eq!(state(&alice, at, id).await, MessageState::Queued);
    assert_eq!(alice.status().await.unwrap().pending, 1);
    alice.close().await.unwrap();
    while let Some(told) = within("the events end", events.next()).await {
        assert!(!matches!(told.unwrap(), Event::MessageState { .. }), "nothing moved while alone");
    }

    let alice = alices.open().await;
    assert_eq!(state(&alice, at, id).await, MessageState::Queued);
    let mut events = alice.events();
    let bob = bobs.open().await;
    reads(&bob, server, channel, "into the night").await;
    let mut told = Vec::new();
    while told.last() != Some(&MessageState::Delivered) {
        told.push(
            event(&mut events, "the message moves on", |event| match event {
                Event::MessageState { id: of, state, .. } if *of == id => Some(*state),
                _ => None,
            })
            .await,
        );
    }
    assert_eq!(told, [MessageState::Sent, MessageState::Delivered]);
    assert_eq!(alice.status().await.unwrap().pending, 0);

    // What was told once is told no more, neither now nor after a restart.
    let more = alice.send_message(server, channel, "and again").await.unwrap();
    delivered(&alice, at, more).await;
    alice.close().await.unwrap();
    while let Some(told) = within("the events end", events.next()).await {
        let told = told.unwrap();
        assert!(!matches!(told, Event::MessageState { id: of, .. } if of == id), "{told:?}");
    }
    let alice = alices.open().await;
    let mut events = alice.events();
    assert_eq!(state(&alice, at, id).await, MessageState::Delivered);
    bob.send_message(server, channel, "heard").await.unwrap();
    reads(&alice, server, channel, "heard").await;
    alice.close().await.unwrap();
    while let Some(told) = within("the events end", events.next()).await {
        assert!(!matches!(told.unwrap(), Event::MessageState { .. }), "nothing moves twice");
    }
}
