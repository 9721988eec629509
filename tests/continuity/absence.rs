//! Who was out for long and is let in again: what was written meanwhile is not theirs, and everything
//! after it is, exactly once.

use spacepanda::{ChannelId, Node, ServerId, Text, transport::memory::MemoryNetwork};

use crate::{
    over_both_stores,
    world::{Person, Place, converged, delivered, found, join, messages, reads, until},
};

over_both_stores!(
    a_member_who_missed_two_thousand_messages_reads_everything_after_them_once,
    a_member_who_missed_much_is_served_by_one_who_missed_it_too,
);

/// Several times what may wait of one author.
const MISSED: usize = 2_000;
/// More than may wait of one author.
const MISSED_BY_BOTH: usize = 300;

async fn a_member_who_missed_two_thousand_messages_reads_everything_after_them_once(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    let at = (server, channel);
    join(&bob, &link).await;
    says(&alice, at, "before 0").await;
    reads(&bob, server, channel, "before 0").await;
    is_removed(&alice, &bob, server).await;
    for n in 0..MISSED {
        alice.send_message(server, channel, &format!("missed {n}")).await.unwrap();
    }
    join(&bob, &alice.create_invite(server).await.unwrap()).await;
    converged(&[&alice, &bob], server).await;
    says(&alice, at, "after 0").await;
    reads(&bob, server, channel, "after 0").await;

    bob.close().await.unwrap();
    for n in 1..5 {
        alice.send_message(server, channel, &format!("after {n}")).await.unwrap();
    }
    let bob = bobs.open().await;
    reads(&bob, server, channel, "after 4").await;
    let last = bob.send_message(server, channel, "good to be back").await.unwrap();
    delivered(&bob, at, last).await;
    reads(&alice, server, channel, "good to be back").await;
    let mut expected: Vec<_> = (0..5).map(|n| format!("after {n}")).collect();
    expected.insert(0, "before 0".to_owned());
    expected.push("good to be back".to_owned());
    lists(&bob, at, &expected).await;
}

/// Bob comes back while only Carol is there, who had been out herself and holds of those days what he
/// needs: headers.
async fn a_member_who_missed_much_is_served_by_one_who_missed_it_too(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let carols = Person::new(&network, "carol", place().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    let at = (server, channel);
    join(&bob, &link).await;
    join(&carol, &link).await;
    says(&alice, at, "before 0").await;
    for node in [&bob, &carol] {
        reads(node, server, channel, "before 0").await;
    }
    is_removed(&alice, &bob, server).await;
    is_removed(&alice, &carol, server).await;
    for n in 0..MISSED_BY_BOTH {
        alice.send_message(server, channel, &format!("missed {n}")).await.unwrap();
    }
    join(&carol, &alice.create_invite(server).await.unwrap()).await;
    says(&alice, at, "Carol is back").await;
    reads(&carol, server, channel, "Carol is back").await;
    join(&bob, &alice.create_invite(server).await.unwrap()).await;
    converged(&[&alice, &bob, &carol], server).await;
    bob.close().await.unwrap();
    let last = alice.send_message(server, channel, "Bob is back").await.unwrap();
    delivered(&alice, at, last).await;
    reads(&carol, server, channel, "Bob is back").await;
    alice.close().await.unwrap();

    let bob = bobs.open().await;
    reads(&bob, server, channel, "Bob is back").await;
    carol.send_message(server, channel, "good to see you").await.unwrap();
    reads(&bob, server, channel, "good to see you").await;
    lists(&bob, at, &["before 0", "Bob is back", "good to see you"]).await;
    lists(&carol, at, &["before 0", "Carol is back", "Bob is back", "good to see you"]).await;
}

async fn says(node: &Node, (server, channel): (ServerId, ChannelId), text: &str) {
    node.send_message(server, channel, text).await.unwrap();
}

async fn is_removed(by: &Node, who: &Node, server: ServerId) {
    by.remove_member(server, who.identity()).await.unwrap();
    until("somebody learns that they are out", async || {
        let servers = who.servers().await.unwrap();
        if servers[0].member { Err(servers) } else { Ok(()) }
    })
    .await;
}

/// Whether just these messages are listed, each once, all of them readable.
async fn lists(
    node: &Node,
    (server, channel): (ServerId, ChannelId),
    expected: &[impl AsRef<str>],
) {
    let listed = messages(node, server, channel).await;
    let mut texts: Vec<_> = listed.iter().map(|(_, text)| text.as_str()).collect();
    let mut expected: Vec<_> = expected.iter().map(AsRef::as_ref).collect();
    texts.sort_unstable();
    expected.sort_unstable();
    assert_eq!(texts, expected);
    let page = node.list_messages(server, channel, None, 100).await.unwrap();
    assert!(page.messages.iter().all(|message| matches!(message.text, Text::Known(_))));
}
