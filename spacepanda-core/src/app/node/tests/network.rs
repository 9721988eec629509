use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::help::{World, done, on_call, waits};
use crate::{
    app::engine::{Act, Effects, Input, Step},
    base::limits::PEER_BYTES_MAX,
    transport::{Transport, TransportEvent},
};

const FRAME_LEN: usize = 60_000;

fn acts(acts: Vec<Act>, call: crate::app::engine::Call) -> Step {
    Step::Done(Effects { acts, tells: vec![done(call)], ..Effects::default() })
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_stalls_nobody_and_is_cut_when_its_queue_is_full() {
    let links = Arc::new(Mutex::new(BTreeMap::new()));
    let known = Arc::clone(&links);
    let rule = on_call(move |call, name| {
        let link = known.lock().unwrap()[name];
        let frame = Bytes::from_static(&[7; FRAME_LEN]);
        vec![acts(vec![Act::Send(link, frame); 10], call)]
    });
    let mut world = World::open(rule).await;
    let mut peers = Vec::new();
    for name in ["slow", "fast"] {
        let peer = world.network.transport(name);
        peer.connect(&["memory://node".to_owned()]).await.unwrap();
        let link = world.hear(connected).await;
        links.lock().unwrap().insert(name, link.0);
        peers.push(peer);
    }
    for _ in 0..PEER_BYTES_MAX / FRAME_LEN / 10 {
        world.call("slow").await.unwrap().unwrap();
    }
    world.call("fast").await.unwrap().unwrap();
    let fast = &peers[1];
    let mut received = 0;
    while received < 10 {
        received += usize::from(matches!(fast.recv().await.unwrap(), TransportEvent::Frame(..)));
    }

    // What the link itself took is beyond what is queued.
    for _ in 0..10 {
        world.call("slow").await.unwrap().unwrap();
    }
    let slow = links.lock().unwrap()["slow"];
    let ended = world.hear(|input| match input {
        Input::Disconnected { link } => Some(*link),
        _ => None,
    });
    assert_eq!(ended.await, slow);
    while !matches!(peers[0].recv().await.unwrap(), TransportEvent::Disconnected(..)) {}
    world.call("fast").await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dial_is_answered_once_with_its_number_and_its_link_carries_frames_after_that() {
    let rule = on_call(|call, name| {
        let addresses = vec![format!("memory://{name}")];
        vec![acts(vec![Act::Dial(7, addresses)], call)]
    });
    let mut world = World::open(rule).await;
    world.call("nobody").await.unwrap().unwrap();
    let failed = world.hear(|input| match input {
        Input::DialFailed { dial } => Some(*dial),
        _ => None,
    });
    assert_eq!(failed.await, 7);

    let peer = world.network.transport("peer");
    world.call("peer").await.unwrap().unwrap();
    let TransportEvent::Connected(back) = peer.recv().await.unwrap() else { panic!() };
    peer.send(back, Bytes::from_static(b"hello")).await.unwrap();
    let (link, dial) = world.hear(connected).await;
    assert_eq!(dial, Some(7));
    assert!(matches!(world.heard.recv().await, Some(Input::Frame { link: on, .. }) if on == link));
    peer.disconnect(back).await.unwrap();
    let next = world.heard.recv().await;
    assert!(matches!(next, Some(Input::Disconnected { link: ended }) if ended == link));
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_is_sent_before_a_link_is_closed() {
    let rule = on_call(|call, name| {
        let link = name.parse().unwrap();
        let frame = Bytes::from_static(b"goodbye");
        vec![acts(vec![Act::Send(link, frame), Act::Close(link)], call)]
    });
    let mut world = World::open(rule).await;
    let peer = world.network.transport("peer");
    peer.connect(&["memory://node".to_owned()]).await.unwrap();
    let (link, _) = world.hear(connected).await;
    world.call(&link.to_string()).await.unwrap().unwrap();
    assert!(matches!(peer.recv().await.unwrap(), TransportEvent::Connected(_)));
    let goodbye = peer.recv().await.unwrap();
    assert!(matches!(goodbye, TransportEvent::Frame(_, frame) if frame == "goodbye"));
    assert!(matches!(peer.recv().await.unwrap(), TransportEvent::Disconnected(..)));
    let next = world.heard.recv().await;
    assert!(matches!(next, Some(Input::Command(..))));
    assert!(matches!(world.heard.recv().await, Some(Input::Disconnected { .. })));
    assert!(waits(world.heard.recv()).await, "it is told once");
}

fn connected(input: &Input) -> Option<(u64, Option<u64>)> {
    match input {
        Input::Connected { link, dial } => Some((*link, *dial)),
        _ => None,
    }
}
