use futures::{
    future::{BoxFuture, join, join_all},
    poll,
};
use spacepanda_core::{
    base::{ErrorKind, Result},
    store::{Batch, Capability},
};

use crate::case::refused;

use super::{
    bench::{Bench, ONE, all, number, page, put},
    runner::Case,
};

/// Saves under way when the store is closed.
const SAVES: usize = 40;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("after close every call is refused as closed", closed),
        Case::new("a second close does nothing", second_close),
        Case::new("close waits for what is under way", waits),
        Case::needing(
            Capability::NONE.durable(),
            "what was under way when close was called is there after it",
            kept,
        ),
    ]
}

fn closed(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a"]).await?;
        store.close().await?;
        refused("load", store.load(&ONE, b"a").await, ErrorKind::Closed);
        refused("scan", store.scan(&ONE, page(b"", None, 1)).await, ErrorKind::Closed);
        refused("save", store.save(put("b", "b")).await, ErrorKind::Closed);
        refused("empty save", store.save(Batch::new()).await, ErrorKind::Closed);
        Ok(())
    })
}

fn second_close(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let (first, second) = join(store.close(), store.close()).await;
        first.and(second)?;
        store.close().await?;
        refused("load", store.load(&ONE, b"a").await, ErrorKind::Closed);
        Ok(())
    })
}

fn waits(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { close_amid_saves(&bench).await })
}

fn kept(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        close_amid_saves(&bench).await?;
        let found = all(&bench.open().await?, &ONE).await?;
        let expected: Vec<_> = (0..SAVES).map(|at| (number(at), number(at))).collect();
        assert_eq!(found, expected);
        Ok(())
    })
}

async fn close_amid_saves(bench: &Bench) -> Result<()> {
    let store = bench.open().await?;
    let mut under_way = Vec::new();
    for at in 0..SAVES {
        let mut save = store.save(put(number(at), number(at)));
        // Polled once, a save has begun; one that ended at once needs no waiting for.
        match poll!(&mut save) {
            std::task::Poll::Ready(saved) => saved?,
            std::task::Poll::Pending => under_way.push(save),
        }
    }
    let (closed, saved) = join(store.close(), join_all(under_way)).await;
    saved.into_iter().collect::<Result<()>>()?;
    closed
}
