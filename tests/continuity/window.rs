//! Old states end: what a stolen disk could open is bounded, however long a group lives.

use bytes::Bytes;
use spacepanda::{
    Node, ServerId,
    store::{Namespace, Page},
    transport::memory::MemoryNetwork,
};

use crate::{
    over_both_stores,
    world::{Person, Place, converged, found, join, reads, until},
};

over_both_stores!(no_more_states_are_kept_than_the_window_allows);

/// The stand, and 16 that were left.
const STATES_MAX: usize = 17;
/// Each time somebody goes and comes back, the group has two more states.
const ROUNDS: usize = 12;

async fn no_more_states_are_kept_than_the_window_allows(place: impl AsyncFn() -> Place) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    let (server, channel, link) = found(&alice).await;
    for _ in 0..ROUNDS {
        join(&bob, &link).await;
        converged(&[&alice, &bob], server).await;
        let before = epoch(&alice, server).await;
        bob.leave(server).await.unwrap();
        until("Bob's leaf is removed", async || {
            let now = epoch(&alice, server).await;
            if now > before { Ok(()) } else { Err(now) }
        })
        .await;
    }
    join(&bob, &link).await;
    alice.send_message(server, channel, "still here").await.unwrap();
    reads(&bob, server, channel, "still here").await;
    converged(&[&alice, &bob], server).await;
    assert!(epoch(&alice, server).await as usize > STATES_MAX, "states had to end");
    alice.close().await.unwrap();
    bob.close().await.unwrap();
    for place in [&alices.place, &bobs.place] {
        let states = kept(place).await;
        assert!((2..=STATES_MAX).contains(&states), "{states} states are kept");
    }
}

async fn epoch(node: &Node, server: ServerId) -> u64 {
    node.server_status(server).await.unwrap().epoch.unwrap_or(0)
}

/// How many states have rows.
async fn kept(place: &Place) -> usize {
    let store = place.store().await;
    let all = || Page { prefix: Bytes::new(), after: None, limit: 4_000 };
    let tree = store.scan(&Namespace::new("tree"), all()).await.unwrap();
    let rows = store.scan(&Namespace::new("mls"), all()).await.unwrap();
    let mut scopes: Vec<_> = rows.iter().map(|(key, _)| key[..8].to_vec()).collect();
    scopes.dedup();
    scopes.retain(|scope| scope.iter().any(|byte| *byte != 0));
    assert_eq!(scopes.len(), tree.len(), "no rows are left of a state that ended");
    store.close().await.unwrap();
    tree.len()
}
