use futures::future::{BoxFuture, join_all};
use spacepanda_core::{
    base::{ErrorKind, Result},
    store::Capability,
};

use super::{
    bench::{Bench, ONE, all, put},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    const EXCLUSIVE: Capability = Capability::NONE.exclusive();
    vec![
        Case::needing(EXCLUSIVE, "a second instance on the same place is locked out", locked),
        Case::needing(EXCLUSIVE, "a refused second instance does the first no harm", unharmed),
        Case::needing(EXCLUSIVE, "close lets go of the place", closed_opens),
        Case::needing(EXCLUSIVE, "a store that was dropped lets go of the place", dropped_opens),
        Case::needing(EXCLUSIVE, "of several that open the same place at once one succeeds", race),
    ]
}

async fn is_locked(bench: &Bench) {
    match bench.open().await {
        Ok(_) => panic!("a second instance was opened"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "{error}"),
    }
}

fn locked(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let first = bench.open().await?;
        is_locked(&bench).await;
        is_locked(&bench).await;
        first.close().await
    })
}

fn unharmed(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let first = bench.filled(&[b"a"]).await?;
        is_locked(&bench).await;
        first.save(put("b", "b")).await?;
        assert_eq!(all(&first, &ONE).await?.len(), 2);
        is_locked(&bench).await;
        Ok(())
    })
}

fn closed_opens(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        // The first is kept: it is closed, though not dropped.
        let first = bench.open().await?;
        first.close().await?;
        let second = bench.open().await?;
        is_locked(&bench).await;
        first.close().await?;
        is_locked(&bench).await;
        second.close().await
    })
}

fn dropped_opens(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        for _ in 0..5 {
            let store = bench.filled(&[b"a"]).await?;
            drop(store);
        }
        Ok(())
    })
}

fn race(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let mut opened = Vec::new();
        for outcome in join_all((0..6).map(|_| bench.open())).await {
            match outcome {
                Ok(store) => opened.push(store),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "{error}"),
            }
        }
        assert_eq!(opened.len(), 1, "{} instances are open at once", opened.len());
        Ok(())
    })
}
