use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    future::{BoxFuture, try_join_all},
    poll,
};
use spacepanda_core::{base::Result, store::Batch};

use super::{
    bench::{Bench, ONE, OTHER, Store, all, number, put},
    runner::Case,
};

/// Keys that each batch sets together.
const KEYS: usize = 200;
/// Scans of each task that scans, while others write.
const SCANS: usize = 1_000;
/// Tasks that write, and tasks that scan.
const TASKS: usize = 3;
/// Saves that are dropped.
const DROPPED: usize = 200;
/// One more than how often one of them is polled.
const POLLS_MAX: usize = 7;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a scan sees a batch whole or not at all", scanned_whole),
        Case::new("a save that is dropped was applied whole or not at all", dropped_is_whole),
        Case::new("a save that is dropped before it is polled does no harm", dropped_unpolled),
    ]
}

/// A batch that sets all keys to `value`; some are deleted first, which no scan may see.
fn uniform(value: usize) -> Batch {
    let mut batch = Batch::new();
    for key in (0..KEYS).step_by(2) {
        batch.delete(ONE, number(key));
    }
    for key in 0..KEYS {
        batch.put(ONE, number(key), number(value));
    }
    batch
}

async fn values(store: &Store) -> Result<Vec<bytes::Bytes>> {
    Ok(all(store, &ONE).await?.into_iter().map(|(_, value)| value).collect())
}

fn scanned_whole(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        store.save(uniform(0)).await?;
        let scanned = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write_until(store.clone(), task, Arc::clone(&scanned))))
            .collect();
        let read = try_join_all((0..TASKS).map(|_| tokio::spawn(scan(store.clone())))).await;
        scanned.store(true, Ordering::Release);
        let written = try_join_all(writers).await.expect("a writer panicked");
        let read = read.expect("a scan saw part of a batch");
        read.into_iter().chain(written).collect()
    })
}

async fn write_until(store: Store, task: usize, scanned: Arc<AtomicBool>) -> Result<()> {
    for round in 0.. {
        if scanned.load(Ordering::Acquire) {
            break;
        }
        store.save(uniform(task + TASKS * round)).await?;
        // A store that never waits would otherwise keep the scans from their turn.
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn scan(store: Store) -> Result<()> {
    for _ in 0..SCANS {
        let seen = values(&store).await?;
        assert_eq!(seen.len(), KEYS, "a scan saw {} of {KEYS} keys", seen.len());
        assert!(seen.iter().all(|value| *value == seen[0]), "a scan saw two batches: {seen:?}");
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn dropped_is_whole(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        store.save(marked(0)).await?;
        for at in 1..=DROPPED {
            let mut save = store.save(marked(at));
            for _ in 0..at % POLLS_MAX {
                if poll!(&mut save).is_ready() {
                    break;
                }
            }
            drop(save);
        }
        // Batches are applied in order: once this one is, nothing of those before it is under way.
        store.save(put("last", "")).await?;
        let marks = all(&store, &OTHER).await?;
        let newest = marks.last().expect("the first batch was not dropped").1.clone();
        let mut expected: Vec<_> = (0..KEYS).map(|key| (number(key), newest.clone())).collect();
        expected.push(("last".into(), "".into()));
        assert!(all(&store, &ONE).await? == expected, "the newest batch {newest:?} is not whole");
        Ok(())
    })
}

/// A uniform batch that leaves a mark of itself behind everything else.
fn marked(value: usize) -> Batch {
    let mut batch = uniform(value);
    batch.put(OTHER, number(value), number(value));
    batch
}

fn dropped_unpolled(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        for at in 0..DROPPED {
            drop(store.save(uniform(at)));
        }
        store.save(put("last", "")).await?;
        let seen = all(&store, &ONE).await?.len();
        assert!(seen == 1 || seen == KEYS + 1, "{seen} keys are there");
        Ok(())
    })
}
