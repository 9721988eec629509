#![allow(clippy::unwrap_used)]

use super::*;
use crate::transport::memory::{MemoryNetwork, MemoryTransport};

/// Takes every address and never answers.
struct Silent;

#[async_trait]
impl Transport for Silent {
    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    fn frame_len_max(&self) -> usize {
        1_000
    }

    async fn connect(&self, _: &[String]) -> Result<LinkId> {
        future::pending().await
    }

    async fn send(&self, _: LinkId, _: Bytes) -> Result<()> {
        future::pending().await
    }

    async fn recv(&self) -> Result<TransportEvent> {
        future::pending().await
    }

    async fn disconnect(&self, _: LinkId) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn two_networks() -> (Paths, Arc<MemoryTransport>, MemoryTransport, MemoryTransport) {
    let (left, right) = (MemoryNetwork::new(), MemoryNetwork::new());
    let near = Arc::new(left.transport("near-left"));
    let paths = Paths::new(vec![near.clone(), Arc::new(right.transport("near-right"))]);
    (paths, near, left.transport("far-left"), right.transport("far-right"))
}

#[tokio::test]
async fn what_is_announced_stands_in_place_of_what_the_transports_find_until_they_are_closed() {
    let (paths, ..) = two_networks();
    let paths = paths.announcing(vec!["memory://router".to_owned()]);
    assert_eq!(paths.addresses(), ["memory://router"]);
    paths.close().await.unwrap();
    assert!(paths.addresses().is_empty());
}

#[tokio::test]
async fn links_of_several_transports_have_numbers_of_their_own() {
    let (paths, _near, left, right) = two_networks();
    assert_eq!(paths.addresses(), ["memory://near-left", "memory://near-right"]);
    let to_left = paths.connect(&left.addresses()).await.unwrap();
    let to_right = paths.connect(&right.addresses()).await.unwrap();
    assert_ne!(to_left, to_right);

    // Both transports gave the number 1.
    left.send(LinkId(1), Bytes::from_static(b"left")).await.unwrap();
    right.send(LinkId(1), Bytes::from_static(b"right")).await.unwrap();
    let mut frames = Vec::new();
    while frames.len() < 2 {
        if let TransportEvent::Frame(link, frame) = paths.recv().await.unwrap() {
            frames.push((link, frame));
        }
    }
    frames.sort();
    assert_eq!(frames, [(to_left, "left".into()), (to_right, "right".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_answers_is_given_up_for_the_next() {
    let network = MemoryNetwork::new();
    let far = network.transport("far");
    let paths = Paths::new(vec![Arc::new(Silent), Arc::new(network.transport("near"))]);
    let begun = tokio::time::Instant::now();
    paths.connect(&far.addresses()).await.unwrap();
    assert_eq!(begun.elapsed(), ADDRESS_PATIENCE);
    assert_eq!(paths.frame_len_max(), 1_000);
}

#[tokio::test]
async fn the_error_that_leaves_most_hope_is_told() {
    let network = MemoryNetwork::new();
    let paths = Paths::new(vec![Arc::new(network.transport("near"))]);
    let told = async |addresses: &[&str]| {
        let addresses: Vec<String> = addresses.iter().map(|&text| text.to_owned()).collect();
        paths.connect(&addresses).await.unwrap_err().kind()
    };
    assert_eq!(told(&[]).await, ErrorKind::Unsupported);
    assert_eq!(told(&["other:far"]).await, ErrorKind::Unsupported);
    assert_eq!(told(&["other:far", "memory:"]).await, ErrorKind::Config);
    assert_eq!(told(&["memory:", "memory://far", "memory:"]).await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_transport_that_ends_by_itself_ends_its_links_and_no_others() {
    let (paths, near, left, right) = two_networks();
    let to_left = paths.connect(&left.addresses()).await.unwrap();
    let to_right = paths.connect(&right.addresses()).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(paths.recv().await.unwrap(), TransportEvent::Connected(_)));
    }
    near.close().await.unwrap();
    let ended = paths.recv().await.unwrap();
    assert!(matches!(ended, TransportEvent::Disconnected(link, _) if link == to_left));
    let error = paths.send(to_left, Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);

    right.send(LinkId(1), Bytes::from_static(b"on")).await.unwrap();
    assert_eq!(paths.recv().await.unwrap(), TransportEvent::Frame(to_right, "on".into()));
}

#[tokio::test]
async fn paths_without_transports_reach_nobody_and_end_when_closed() {
    let paths = Paths::new(Vec::new());
    assert_eq!(paths.frame_len_max(), 0);
    let (heard, closed) = future::join(paths.recv(), paths.close()).await;
    assert_eq!(heard.unwrap_err().kind(), ErrorKind::Closed);
    closed.unwrap();
}
