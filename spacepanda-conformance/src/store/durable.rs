use bytes::Bytes;
use futures::future::BoxFuture;
use spacepanda_core::{
    base::Result,
    store::{Batch, Capability},
};

use super::{
    bench::{Bench, ONE, OTHER, all, number, put},
    runner::Case,
};

/// Batches saved before the store is opened again.
const BATCHES: usize = 50;

pub(super) fn cases() -> Vec<Case> {
    const DURABLE: Capability = Capability::NONE.durable();
    vec![
        Case::needing(DURABLE, "what was saved is there when the store is opened again", reopened),
        Case::needing(DURABLE, "what save returned for outlives a store that was dropped", dropped),
        Case::needing(DURABLE, "what was deleted stays deleted when opened again", deleted),
        Case::needing(
            DURABLE,
            "a refused batch leaves nothing to be found when opened again",
            refused,
        ),
    ]
}

fn reopened(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"", b"a", b"\xff"]).await?;
        let mut batch = put("empty", "");
        batch.put(OTHER, "a", vec![1; 100_000]);
        store.save(batch).await?;
        let before = (all(&store, &ONE).await?, all(&store, &OTHER).await?);
        store.close().await?;
        let store = bench.open().await?;
        assert_eq!((all(&store, &ONE).await?, all(&store, &OTHER).await?), before);
        Ok(())
    })
}

fn dropped(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        for round in 0..3 {
            let store = bench.open().await?;
            for at in 0..BATCHES {
                store.save(put(number(round * BATCHES + at), "")).await?;
            }
            drop(store);
            let store = bench.open().await?;
            let found: Vec<_> = all(&store, &ONE).await?.into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, (0..(round + 1) * BATCHES).map(number).collect::<Vec<Bytes>>());
        }
        Ok(())
    })
}

fn deleted(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"b"]).await?;
        store.close().await?;
        let store = bench.open().await?;
        let mut batch = Batch::new();
        batch.delete(ONE, "a");
        store.save(batch).await?;
        store.close().await?;
        let store = bench.open().await?;
        assert_eq!(store.load(&ONE, b"a").await?, None);
        assert_eq!(store.load(&ONE, b"b").await?, Some(Bytes::from("b")));
        Ok(())
    })
}

fn refused(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a"]).await?;
        let mut batch = put("b", "b");
        batch.put(ONE, vec![0; spacepanda_core::base::limits::KEY_LEN_MAX + 1], "");
        assert!(store.save(batch).await.is_err(), "a key above its limit was accepted");
        store.close().await?;
        assert_eq!(all(&bench.open().await?, &ONE).await?, [("a".into(), "a".into())]);
        Ok(())
    })
}
