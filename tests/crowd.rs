//! A crowd that makes links to a node and never says who it is: it is bounded, and others get in.
#![cfg(all(feature = "store-memory", feature = "store-sqlite", feature = "transport-quic"))]
#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;

use spacepanda::{JoinLink, Node, transport::Transport};
use spacepanda_transport_quic::QuicTransport;
use world::{found, join, reads};

/// Links of the crowd, unless `SPACEPANDA_CONNECTIONS` says how many: more than a node holds unproven.
const CROWD: usize = 600;
/// What the node and the crowd beside it may come to hold after the first half of it.
const GROWTH_MAX: usize = 64 * 1024 * 1024;

async fn open(name: &str) -> Node {
    Node::builder().name(name).store("memory:").listen("quic://127.0.0.1:0").open().await.unwrap()
}

/// Bytes of this process in memory; 0 where the system does not say.
fn held() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .map_or(0, |pages: usize| pages * 4_096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_never_proves_a_device_is_bounded_and_shuts_nobody_out() {
    let crowd = std::env::var("SPACEPANDA_CONNECTIONS").ok().and_then(|count| count.parse().ok());
    let crowd = crowd.unwrap_or(CROWD);
    let alice = open("alice").await;
    let (server, channel, link) = found(&alice).await;
    let addresses = JoinLink::decode(&link).unwrap().addresses.concat();
    let dialler = Arc::new(QuicTransport::bind("127.0.0.1:0".parse().unwrap(), None).unwrap());
    let hearing = Arc::clone(&dialler);
    // What the node ends is noticed, so that the dialler is bounded as well.
    let heard = tokio::spawn(async move { while hearing.recv().await.is_ok() {} });
    let (mut made, mut before) = (0, 0);
    for number in 0..crowd {
        made += usize::from(dialler.connect(&addresses).await.is_ok());
        if number == crowd / 2 {
            before = held();
        }
    }
    let after = held();
    println!("{made} links of {crowd} diallers; {before} bytes, then {after}");
    assert!(made > crowd / 2, "{made} of {crowd}");
    assert!(after < before + GROWTH_MAX, "{before} bytes, then {after}");

    let bob = open("bob").await;
    join(&bob, &link).await;
    alice.send_message(server, channel, "welcome").await.unwrap();
    reads(&bob, server, channel, "welcome").await;
    dialler.close().await.unwrap();
    heard.await.unwrap();
}
