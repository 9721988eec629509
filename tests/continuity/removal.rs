//! Removal, and coming back.

use spacepanda::{Event, transport::memory::MemoryNetwork};

use crate::{
    event, over_both_stores,
    world::{Person, Place, converged, found, join, messages, reads, texts, until},
};

over_both_stores!(who_is_removed_reads_and_says_nothing_more_until_a_new_invite);

async fn who_is_removed_reads_and_says_nothing_more_until_a_new_invite(
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
    bob.send_message(server, channel, "my last word").await.unwrap();
    for node in [&alice, &carol] {
        reads(node, server, channel, "my last word").await;
    }
    converged(&[&alice, &bob, &carol], server).await;
    let history = messages(&bob, server, channel).await;

    let mut events = bob.events();
    let open = alice.remove_member(server, bob.identity()).await.unwrap();
    assert_eq!(open.len(), 1, "the invite by which Bob came is still open");
    event(&mut events, "Bob is told", |event| match event {
        Event::MemberRemoved { identity, .. } => (*identity == bob.identity()).then_some(()),
        _ => None,
    })
    .await;
    converged(&[&alice, &carol], server).await;
    alice.send_message(server, channel, "Bob is gone").await.unwrap();
    reads(&carol, server, channel, "Bob is gone").await;
    let refused = bob.send_message(server, channel, "still here").await;
    assert!(refused.is_err(), "{refused:?}");

    let bob = {
        bob.close().await.unwrap();
        bobs.open().await
    };
    assert!(!bob.servers().await.unwrap()[0].member);
    assert_eq!(messages(&bob, server, channel).await, history, "what he had stays his");
    assert!(bob.send_message(server, channel, "after a restart").await.is_err());
    carol.send_message(server, channel, "he does not hear us").await.unwrap();
    reads(&alice, server, channel, "he does not hear us").await;
    assert_eq!(messages(&bob, server, channel).await, history);

    let link = alice.create_invite(server).await.unwrap();
    assert_eq!(join(&bob, &link).await, (server, channel));
    converged(&[&alice, &bob, &carol], server).await;
    carol.send_message(server, channel, "welcome back").await.unwrap();
    reads(&bob, server, channel, "welcome back").await;
    bob.send_message(server, channel, "good to be back").await.unwrap();
    for node in [&alice, &carol] {
        reads(node, server, channel, "good to be back").await;
    }
    let read = texts(&bob, server, channel).await;
    for missed in ["Bob is gone", "he does not hear us"] {
        assert!(!read.contains(&missed.to_owned()), "{read:?}");
    }
    assert_eq!(texts(&bob, server, channel).await[0], "my last word");
    converged(&[&alice, &bob, &carol], server).await;
    for node in [&alice, &carol] {
        assert!(!texts(node, server, channel).await.iter().any(|text| text.starts_with("still")));
    }
}

/// What somebody writes who was removed and does not know it yet counts for nobody who knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_away_and_removed_is_shown_to_nobody() {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", Place::memory().await);
    let bobs = Person::new(&network, "bob", Place::memory().await);
    let carols = Person::new(&network, "carol", Place::memory().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    join(&carol, &link).await;
    converged(&[&alice, &bob, &carol], server).await;
    alice.close().await.unwrap();
    carol.close().await.unwrap();
    until("Bob is alone", async || {
        let peers = bob.status().await.unwrap().peers;
        if peers.is_empty() { Ok(()) } else { Err(peers) }
    })
    .await;
    bob.send_message(server, channel, "while away").await.unwrap();
    let id = bob.identity();
    bob.close().await.unwrap();

    let (alice, carol) = (alices.open().await, carols.open().await);
    alice.remove_member(server, id).await.unwrap();
    converged(&[&alice, &carol], server).await;
    let bob = bobs.open().await;
    until("Bob learns that he was removed", async || {
        let servers = bob.servers().await.unwrap();
        if servers[0].member { Err(servers) } else { Ok(()) }
    })
    .await;
    alice.send_message(server, channel, "the end").await.unwrap();
    reads(&carol, server, channel, "the end").await;
    for node in [&alice, &carol] {
        assert_eq!(texts(node, server, channel).await, ["the end"]);
    }
    assert!(!texts(&bob, server, channel).await.contains(&"the end".to_owned()));
    converged(&[&alice, &carol], server).await;
}
