use std::{path::Path, sync::Arc};

use super::help::{GatedStore, Rule, World, done, on_call, saves, tells, waits};
use crate::{
    app::{
        Event,
        engine::{Call, Finding, Input, Tell},
        node::mirror::Place,
    },
    base::DeviceId,
};

/// The device that every scripted machine has.
const DEVICE: DeviceId = DeviceId::new([4; 32]);

/// A machine that keeps what was found, and lets the mirror be written unless another run writes it.
fn stops_when_shared() -> Rule {
    let on_calls = on_call(|call, name| vec![saves(name, Vec::new(), call)]);
    Arc::new(move |input: &Input| match input {
        Input::Found(Finding::Shared) => vec![saves("shared", Vec::new(), Call(0))],
        Input::Found(_) => vec![tells(vec![Tell::Judged])],
        input => on_calls(input),
    })
}

/// A world whose machine takes what was found into account at once.
async fn open(store: &Arc<GatedStore>, folder: &Path) -> World {
    let on_calls = on_call(|call, name| match name {
        "read" => vec![tells(vec![done(call)])],
        _ => vec![saves(name, Vec::new(), call)],
    });
    let rule = move |input: &Input| match input {
        Input::Found(_) => vec![tells(vec![Tell::Judged])],
        input => on_calls(input),
    };
    World::open_in(Arc::clone(store), Arc::new(rule), Some(folder.to_owned())).await.unwrap()
}

fn found(input: &Input) -> Option<Finding> {
    match input {
        Input::Found(finding) => Some(*finding),
        _ => None,
    }
}

fn generation(folder: &Path) -> Option<u64> {
    Place::new(folder, &DEVICE).read().unwrap().map(|mirror| mirror.generation)
}

#[tokio::test(start_paused = true)]
async fn every_batch_is_numbered_and_the_mirror_follows_and_never_leads() {
    let (store, folder) = (Arc::new(GatedStore::new()), tempfile::tempdir().unwrap());
    let mut world = open(&store, folder.path()).await;
    assert_eq!(world.hear(found).await, Finding::Agrees);
    let mut call = world.call("a");
    assert!(waits(&mut call).await);
    assert!(waits(std::future::pending::<()>()).await);
    // The save has begun and is not durable.
    assert_eq!((store.generation(), generation(folder.path())), (None, None));
    store.open_gate();
    call.await.unwrap().unwrap();
    world.call("b").await.unwrap().unwrap();
    assert_eq!(store.generation(), Some(2));
    assert!(generation(folder.path()) <= Some(2));
    world.node.close().await.unwrap();
    assert_eq!(generation(folder.path()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_outside_the_store_is_found_when_the_node_opens() {
    let (store, folder) = (Arc::new(GatedStore::new()), tempfile::tempdir().unwrap());
    store.open_gate();
    let world = open(&store, folder.path()).await;
    world.call("a").await.unwrap().unwrap();
    let copy = Arc::new(store.copy());
    world.call("b").await.unwrap().unwrap();
    world.node.close().await.unwrap();

    let mut same = open(&store, folder.path()).await;
    assert_eq!(same.hear(found).await, Finding::Agrees);
    let mut older = open(&copy, folder.path()).await;
    assert_eq!(older.hear(found).await, Finding::Ahead);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut unknown = open(&copy, elsewhere.path()).await;
    assert_eq!(unknown.hear(found).await, Finding::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_failed_counts_for_nothing() {
    let (store, folder) = (Arc::new(GatedStore::new()), tempfile::tempdir().unwrap());
    store.open_gate();
    let world = open(&store, folder.path()).await;
    world.call("a").await.unwrap().unwrap();
    store.failing.store(true, std::sync::atomic::Ordering::Relaxed);
    world.call("b").await.unwrap().unwrap_err();
    store.failing.store(false, std::sync::atomic::Ordering::Relaxed);
    world.call("c").await.unwrap().unwrap();
    assert_eq!(store.generation(), Some(2));
    world.node.close().await.unwrap();
    assert_eq!(generation(folder.path()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn another_run_is_found_again_if_that_was_not_saved() {
    let (store, folder) = (Arc::new(GatedStore::new()), tempfile::tempdir().unwrap());
    store.open_gate();
    let mut one =
        World::open_in(Arc::clone(&store), stops_when_shared(), Some(folder.path().into()))
            .await
            .unwrap();
    assert_eq!(one.hear(found).await, Finding::Agrees);
    one.call("a").await.unwrap().unwrap();
    while generation(folder.path()) != Some(1) {
        assert!(waits(std::future::pending::<()>()).await);
    }
    store.failing.store(true, std::sync::atomic::Ordering::Relaxed);
    let _two = open(&Arc::new(store.copy()), folder.path()).await;
    assert_eq!(one.hear(found).await, Finding::Shared);
    store.failing.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(one.hear(found).await, Finding::Shared);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_state_folder_cannot_be_used_says_so_and_goes_on() {
    let (store, file) = (Arc::new(GatedStore::new()), tempfile::NamedTempFile::new().unwrap());
    store.open_gate();
    let world = open(&store, file.path()).await;
    let mut events = world.node.events();
    world.call("a").await.unwrap().unwrap();
    loop {
        if let Ok(Event::MirrorFailed { message }) = events.next().await.unwrap() {
            assert!(message.contains("cannot be used"), "{message}");
            break;
        }
    }
    world.call("b").await.unwrap().unwrap();
}
