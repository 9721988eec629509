//! A crowd that makes links to a node and never says who it is: it is bounded, and neither those who are
//! in nor those who come notice.
#![cfg(all(feature = "store-memory", feature = "store-sqlite", feature = "transport-quic"))]
#![allow(clippy::unwrap_used)]

mod world;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use spacepanda::{
    JoinLink, Node,
    transport::{Transport, TransportEvent},
};
use spacepanda_transport_quic::{LINKS_TAKEN_MAX, QuicTransport};
use world::{delivered, found, join, reads, until};

/// Links of the crowd, unless `SPACEPANDA_CONNECTIONS` says how many.
const CROWD: usize = 10_000;
/// How often somebody honest is heard meanwhile.
const TURNS: usize = 20;
/// Links on which nobody proved a device that a node holds at once.
const UNPROVEN_MAX: usize = 256;
/// What the node and the crowd beside it may come to hold after the first tenth of it.
const GROWTH_MAX: usize = 64 * 1024 * 1024;

async fn open(name: &str) -> Node {
    Node::builder().name(name).store("memory:").listen("quic://127.0.0.1:0").open().await.unwrap()
}

/// Bytes of this process in memory, and its open handles; 0 where the system does not say.
fn held() -> (usize, usize) {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    (pages * 4_096, std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_never_proves_a_device_is_bounded_and_shuts_nobody_out() {
    let crowd = std::env::var("SPACEPANDA_CONNECTIONS").ok().and_then(|count| count.parse().ok());
    let crowd = crowd.unwrap_or(CROWD).max(TURNS);
    let (alice, bob) = (open("alice").await, open("bob").await);
    let (server, channel, link) = found(&alice).await;
    let at = (server, channel);
    join(&bob, &link).await;
    let addresses = JoinLink::decode(&link).unwrap().addresses.concat();
    let dialler = Arc::new(QuicTransport::bind("127.0.0.1:0".parse().unwrap(), None).unwrap());
    let (hearing, ended) = (Arc::clone(&dialler), Arc::new(AtomicUsize::new(0)));
    let ends = Arc::clone(&ended);
    // What the node ends is noticed, so that the dialler is bounded as well.
    let heard = tokio::spawn(async move {
        while let Ok(event) = hearing.recv().await {
            let is_end = matches!(event, TransportEvent::Disconnected(..));
            ends.fetch_add(usize::from(is_end), Ordering::Relaxed);
        }
    });
    let (mut made, mut open_max, mut before) = (0, 0, (0, 0));
    for number in 0..crowd {
        if let Ok(link) = dialler.connect(&addresses).await {
            made += 1;
            if number % 2 == 0 {
                // Half of them begin the handshake; the node may have ended the link meanwhile.
                let _ = dialler.send(link, vec![7; 32].into()).await;
            }
        }
        open_max = open_max.max(made - ended.load(Ordering::Relaxed).min(made));
        if number == crowd / 10 {
            before = held();
        }
        if number % (crowd / TURNS) == 0 {
            let text = format!("through the crowd {number}");
            let id = alice.send_message(server, channel, &text).await.unwrap();
            reads(&bob, server, channel, &text).await;
            delivered(&alice, at, id).await;
        }
    }
    let after = held();
    println!("{made} links of {crowd} diallers, {open_max} at once, of {LINKS_TAKEN_MAX}");
    println!("bytes and handles {before:?}, then {after:?}");
    assert!(made > crowd / 2, "{made} of {crowd}");
    assert!(open_max < LINKS_TAKEN_MAX, "{open_max} at once");
    assert!(after.0 < before.0 + GROWTH_MAX, "{before:?}, then {after:?}");
    assert!(after.1 < before.1 + 8, "{before:?}, then {after:?}");
    until("no more are held than may be unproven", async || {
        let open = made - ended.load(Ordering::Relaxed);
        if open <= UNPROVEN_MAX { Ok(()) } else { Err(open) }
    })
    .await;

    let carol = open("carol").await;
    join(&carol, &link).await;
    alice.send_message(server, channel, "welcome").await.unwrap();
    for node in [&bob, &carol] {
        reads(node, server, channel, "welcome").await;
    }
    dialler.close().await.unwrap();
    heard.await.unwrap();
}
