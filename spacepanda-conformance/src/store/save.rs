use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use spacepanda_core::{base::Result, store::Batch};

use super::{
    bench::{Bench, Entries, ONE, OTHER, all, number, put},
    runner::Case,
};

/// Saves under way at once: more than a queue is likely to hold.
const SAVES: usize = 300;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("save applies every change of a batch", every_change),
        Case::new("of two changes to one key in a batch the later holds", later_holds),
        Case::new("deleting what is absent is no error", delete_absent),
        Case::new("an empty batch does nothing", empty_batch),
        Case::new("batches are applied in the order in which save was called", call_order),
        Case::new("what save returned for is visible to every task", visible_to_all),
    ]
}

fn every_change(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"gone", b"kept", b"set"]).await?;
        let mut batch = Batch::new();
        batch.delete(ONE, "gone");
        batch.put(ONE, "set", "anew");
        batch.put(ONE, "new", "1");
        batch.put(OTHER, "new", "2");
        store.save(batch).await?;
        let expected: Entries = [("kept", "kept"), ("new", "1"), ("set", "anew")]
            .map(|(key, value)| (Bytes::from(key), Bytes::from(value)))
            .to_vec();
        assert_eq!(all(&store, &ONE).await?, expected);
        assert_eq!(store.load(&OTHER, b"new").await?, Some(Bytes::from("2")));
        Ok(())
    })
}

fn later_holds(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"c"]).await?;
        let mut batch = Batch::new();
        batch.put(ONE, "a", "1");
        batch.put(ONE, "b", "1");
        batch.delete(ONE, "c");
        batch.put(ONE, "a", "2");
        batch.delete(ONE, "b");
        batch.put(ONE, "c", "2");
        store.save(batch).await?;
        assert_eq!(store.load(&ONE, b"a").await?, Some(Bytes::from("2")), "put, then put");
        assert_eq!(store.load(&ONE, b"b").await?, None, "put, then delete");
        assert_eq!(store.load(&ONE, b"c").await?, Some(Bytes::from("2")), "delete, then put");
        Ok(())
    })
}

fn delete_absent(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a"]).await?;
        let mut batch = Batch::new();
        batch.delete(ONE, "absent");
        batch.delete(OTHER, "a");
        batch.put(ONE, "b", "b");
        store.save(batch).await?;
        assert_eq!(all(&store, &ONE).await?.len(), 2);
        assert_eq!(all(&store, &OTHER).await?, []);
        Ok(())
    })
}

fn empty_batch(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"b"]).await?;
        let before = all(&store, &ONE).await?;
        store.save(Batch::new()).await?;
        assert_eq!(all(&store, &ONE).await?, before);
        Ok(())
    })
}

fn call_order(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        // Each batch takes away the mark of the one before it, so that any disorder leaves a mark.
        let saves = (0..SAVES).map(|at| {
            let mut batch = put("last", number(at));
            batch.put(OTHER, number(at), "");
            if let Some(before) = at.checked_sub(1) {
                batch.delete(OTHER, number(before));
            }
            store.save(batch)
        });
        try_join_all(saves.collect::<Vec<_>>()).await?;
        assert_eq!(store.load(&ONE, b"last").await?, Some(number(SAVES - 1)));
        assert_eq!(all(&store, &OTHER).await?, [(number(SAVES - 1), Bytes::new())]);
        Ok(())
    })
}

fn visible_to_all(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        for round in 0..20 {
            store.save(put("key", number(round))).await?;
            let readers = (0..8).map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let loaded = store.load(&ONE, b"key").await?;
                    Ok((loaded, all(&store, &ONE).await?))
                })
            });
            for seen in try_join_all(readers).await.expect("a task panicked") {
                let (loaded, scanned) = seen?;
                assert_eq!(loaded, Some(number(round)));
                assert_eq!(scanned, [(Bytes::from("key"), number(round))]);
            }
        }
        Ok(())
    })
}
