use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::help::{GatedStore, World, on_call, saves, tells, waits};
use crate::{
    app::engine::{AppError, Call, Effects, Input, LOAD_ROUNDS_MAX, Reads, Step, Tell},
    store::Batch,
};

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_save_in_flight_and_for_what_is_gathered() {
    let world = World::open(on_call(|call, name| vec![saves(name, Vec::new(), call)])).await;
    let mut first = world.call("a");
    assert!(waits(&mut first).await);
    let mut second = world.call("b");
    assert!(waits(&mut second).await);

    let node = world.node.clone();
    let mut closing = tokio::spawn(async move { node.close().await });
    assert!(waits(&mut closing).await);
    world.store.open_gate();
    closing.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(world.store.holds("b") && world.store.closed.load(Ordering::Relaxed));

    let error = world.call("c").await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("node.closed", false));
    assert_eq!(world.node.close().await, Ok(()));
    assert_eq!(world.node.events().next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_no_answer_yet_is_answered_when_the_node_closes() {
    let world = World::open(on_call(|_, _| Vec::new())).await;
    let mut call = world.call("a");
    assert!(waits(&mut call).await);
    world.node.close().await.unwrap();
    assert_eq!(call.await.unwrap().unwrap_err().code(), "node.closed");
}

#[tokio::test(start_paused = true)]
async fn a_node_of_which_no_handle_is_left_closes() {
    let world = World::open(on_call(|_, _| Vec::new())).await;
    let mut events = world.node.events();
    let World { node, store, .. } = world;
    drop(node);
    assert_eq!(events.next().await, None);
    assert!(waits(std::future::pending::<()>()).await);
    assert!(store.closed.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_save_that_fails_while_the_node_closes_is_told() {
    let world = World::open(on_call(|call, name| vec![saves(name, Vec::new(), call)])).await;
    let mut call = world.call("a");
    assert!(waits(&mut call).await);
    let node = world.node.clone();
    let mut closing = tokio::spawn(async move { node.close().await });
    assert!(waits(&mut closing).await);
    world.store.failing.store(true, Ordering::Relaxed);
    world.store.open_gate();
    assert_eq!(closing.await.unwrap().unwrap_err().code(), "store.failed");
    assert_eq!(call.await.unwrap().unwrap_err().code(), "store.failed");
    assert!(world.store.closed.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_in_a_row_the_node_closes_and_says_why() {
    let machines = AtomicUsize::new(0);
    let rule = move |input: &Input| {
        let first =
            matches!(input, Input::Addresses(_)) && machines.fetch_add(1, Ordering::Relaxed) == 0;
        if first {
            return Vec::new();
        }
        let mut batch = Batch::new();
        batch.put(super::help::ROWS, "key", "value");
        vec![Step::Done(Effects { batch, ..Effects::default() })]
    };
    let world = World::open(Arc::new(rule)).await;
    world.store.failing.store(true, Ordering::Relaxed);
    world.store.open_gate();
    let error = world.call("a").await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("store.failed", true));

    let error = world.call("b").await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("store.failed", true));
    while world.node.status().await.unwrap_err().is_retryable() {}
    let error = world.node.close().await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("store.failed", false));
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(world.store.saved().len(), 5);
    assert!(world.store.closed.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_while_the_node_opens_is_told_at_once_and_let_go_of() {
    let rule = |_: &Input| {
        let mut batch = Batch::new();
        batch.put(super::help::ROWS, "key", "value");
        vec![Step::Done(Effects { batch, ..Effects::default() })]
    };
    let store = Arc::new(GatedStore::new());
    store.failing.store(true, Ordering::Relaxed);
    store.open_gate();
    let opened = World::open_on(Arc::clone(&store), Arc::new(rule)).await;
    let error = opened.map(|_| ()).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("store.failed", true));
    assert_eq!(store.saved(), [1]);
    assert!(store.closed.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_go_on_closes_the_node_with_its_error() {
    let broken = || AppError::new("identity.lost", "The identity is gone.");
    let rule = on_call(move |_, _| vec![tells(vec![Tell::Started(Err(broken()))])]);
    let world = World::open(rule).await;
    assert_eq!(world.call("a").await.unwrap(), Err(broken()));
    assert_eq!(world.node.close().await, Err(broken()));
}

#[tokio::test(start_paused = true)]
async fn a_step_has_so_many_rounds_of_loading_and_no_more() {
    let load = |key: usize| {
        let rows = vec![(super::help::ROWS, key.to_string().into())];
        Step::Load(Reads { rows, ..Reads::default() })
    };
    let rule = on_call(move |call: Call, name| {
        let rounds = LOAD_ROUNDS_MAX + usize::from(name == "too many");
        let mut steps: Vec<Step> = (0..rounds).map(load).collect();
        steps.push(saves(name, Vec::new(), call));
        steps
    });
    let world = World::open(rule).await;
    world.store.open_gate();
    world.call("many").await.unwrap().unwrap();
    let rounds: Vec<usize> =
        world.loaded.lock().unwrap().iter().map(|loaded| loaded.rows.len()).collect();
    let all: Vec<usize> = (0..=LOAD_ROUNDS_MAX).chain([0]).collect();
    assert!(rounds.ends_with(&all), "{rounds:?}");

    let error = world.call("too many").await.unwrap().unwrap_err();
    assert_eq!(error.code(), "store.failed");
    assert!(!world.store.holds("too many"));
    world.call("again").await.unwrap().unwrap();
    assert_eq!(world.machines.load(Ordering::Relaxed), 2);
}
