use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::help::{World, done, event, on_call, saves, tells, waits};
use crate::{
    app::{
        Event, Missed,
        engine::{Act, Input, Tell},
    },
    transport::{Transport, TransportEvent},
};

fn frame(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_step_is_saved_then_sent_then_told() {
    let rule = on_call(|call, name| vec![saves(name, vec![Act::Send(1, frame("news"))], call)]);
    let mut world = World::open(rule).await;
    let peer = world.network.transport("peer");
    peer.connect(&["memory://node".to_owned()]).await.unwrap();
    peer.recv().await.unwrap();
    assert_eq!(world.hear(connected).await, 1);

    let mut call = world.call("a");
    assert!(waits(&mut call).await && waits(peer.recv()).await);
    assert_eq!((world.store.saved(), world.store.holds("a")), (vec![1], false));
    world.store.open_gate();
    assert!(matches!(peer.recv().await.unwrap(), TransportEvent::Frame(_, news) if news == "news"));
    assert!(world.store.holds("a"));
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_save_is_in_flight_and_later_steps_are_gathered_for_the_next() {
    let world = World::open(on_call(|call, name| vec![saves(name, Vec::new(), call)])).await;
    let mut first = world.call("a");
    assert!(waits(&mut first).await);
    let (mut second, mut third) = (world.call("b"), world.call("c"));
    assert!(waits(&mut second).await);
    assert_eq!(world.store.saved(), [1]);

    world.store.gate.add_permits(1);
    first.await.unwrap().unwrap();
    assert!(waits(&mut second).await && waits(&mut third).await);
    assert_eq!(world.store.saved(), [1, 2]);
    world.store.gate.add_permits(1);
    second.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_keeps_nothing_is_told_at_once_unless_a_save_is_in_flight() {
    let rule = on_call(|call, name| match name {
        "read" => vec![tells(vec![done(call)])],
        _ => vec![saves(name, Vec::new(), call)],
    });
    let world = World::open(rule).await;
    world.call("read").await.unwrap().unwrap();
    let mut write = world.call("a");
    assert!(waits(&mut write).await);
    let mut read = world.call("read");
    assert!(waits(&mut read).await);
    world.store.open_gate();
    read.await.unwrap().unwrap();
    assert!(write.is_finished());
    assert_eq!(world.store.saved(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_save_drops_everything_and_nothing_of_it_was_sent() {
    let rule = on_call(|call, name| vec![saves(name, vec![Act::Send(1, frame("news"))], call)]);
    let mut world = World::open(rule).await;
    let peer = world.network.transport("peer");
    peer.connect(&["memory://node".to_owned()]).await.unwrap();
    peer.recv().await.unwrap();
    assert_eq!(world.hear(connected).await, 1);

    let mut events = world.node.events();
    let mut first = world.call("a");
    assert!(waits(&mut first).await);
    let mut second = world.call("b");
    assert!(waits(&mut second).await);
    world.store.failing.store(true, Ordering::Relaxed);
    world.store.gate.add_permits(1);
    for call in [first, second] {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("store.failed", true));
        assert!(error.to_string().contains("Nothing of it was sent"), "{error}");
    }
    // The link ends without a frame.
    assert!(matches!(peer.recv().await.unwrap(), TransportEvent::Disconnected(..)));

    world.store.failing.store(false, Ordering::Relaxed);
    world.store.open_gate();
    world.call("c").await.unwrap().unwrap();
    assert_eq!(events.next().await, Some(Ok(Event::Reloaded)));
    assert_eq!(events.next().await, Some(Ok(event("c"))));
    assert_eq!(world.machines.load(Ordering::Relaxed), 2);
    assert_eq!(["a", "b", "c"].map(|key| world.store.holds(key)), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_told_to_every_listener_and_a_slow_one_is_told_what_it_missed() {
    let rule = on_call(move |call, name| {
        let count: usize = name.parse().unwrap_or(0);
        let events = (0..count).map(|_| Tell::Event(event("")));
        vec![tells(events.chain([done(call)]).collect())]
    });
    let world = World::open(rule).await;
    let (mut quick, mut slow) = (world.node.events(), world.node.events());
    world.call("1000").await.unwrap().unwrap();
    for _ in 0..1_000 {
        assert_eq!(quick.next().await, Some(Ok(event(""))));
    }
    world.call("100").await.unwrap().unwrap();
    assert_eq!(slow.next().await, Some(Err(Missed(76))));
    assert_eq!(slow.next().await, Some(Ok(event(""))));
    assert_eq!(quick.next().await, Some(Ok(event(""))));
}

fn connected(input: &Input) -> Option<u64> {
    match input {
        Input::Connected { link, .. } => Some(*link),
        _ => None,
    }
}
