use futures::future::BoxFuture;
use spacepanda_core::{
    base::{Result, limits::PAGE_LIMIT_MAX},
    store::Batch,
};

use super::{
    bench::{Bench, Entries, ONE, OTHER, Store, all, number, page, put},
    runner::Case,
};

/// Entries that the cases page through.
const ENTRIES: usize = 25;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("scan returns at most as many entries as the limit says", at_most_limit),
        Case::new("fewer entries than the limit mean that there are no more", fewer_means_end),
        Case::new("pages that follow each other return every entry once", pages_join),
        Case::new("scan returns the values with their keys", values_too),
        Case::new("scan sees every batch whose save has returned", saved_is_scanned),
        Case::new("scan returns nothing of other namespaces", namespaces_apart),
        Case::new("a page may be as long as the limit of pages", longest_page),
    ]
}

async fn numbered(bench: &Bench, entries: usize) -> Result<Store> {
    let store = bench.open().await?;
    let mut batch = Batch::new();
    for at in 0..entries {
        batch.put(ONE, number(at), number(at));
    }
    store.save(batch).await?;
    Ok(store)
}

fn at_most_limit(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = numbered(&bench, ENTRIES).await?;
        for limit in 0..=ENTRIES {
            let found = store.scan(&ONE, page(b"", None, limit)).await?;
            let expected: Entries = (0..limit).map(|at| (number(at), number(at))).collect();
            assert_eq!(found, expected, "limit {limit}");
        }
        Ok(())
    })
}

fn fewer_means_end(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = numbered(&bench, ENTRIES).await?;
        // Values far larger than keys tempt a store to end a page early.
        for at in 0..ENTRIES {
            store.save(put(number(at), vec![7; 256 * 1024])).await?;
        }
        for limit in [ENTRIES - 1, ENTRIES, ENTRIES + 1, PAGE_LIMIT_MAX] {
            let found = store.scan(&ONE, page(b"", None, limit)).await?.len();
            assert_eq!(found, limit.min(ENTRIES), "limit {limit}");
        }
        Ok(())
    })
}

fn pages_join(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = numbered(&bench, ENTRIES).await?;
        for limit in 1..=ENTRIES + 1 {
            let joined = scan_by_pages(&store, limit).await?;
            assert_eq!(joined, all(&store, &ONE).await?, "limit {limit}");
        }
        Ok(())
    })
}

async fn scan_by_pages(store: &Store, limit: usize) -> Result<Entries> {
    let mut joined = Entries::new();
    loop {
        let last = joined.last().map(|(key, _)| key.clone());
        let found = store.scan(&ONE, page(b"", last.as_deref(), limit)).await?;
        let ended = found.len() < limit;
        joined.extend(found);
        assert!(joined.len() <= ENTRIES, "pages of {limit} repeat entries");
        if ended {
            return Ok(joined);
        }
    }
}

fn values_too(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let expected = [(number(1), number(10)), (number(2), number(20)), (number(3), number(5))];
        for (key, value) in expected.iter().rev() {
            store.save(put(key.clone(), value.clone())).await?;
        }
        assert_eq!(all(&store, &ONE).await?, expected);
        Ok(())
    })
}

fn saved_is_scanned(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        for round in 0..100 {
            store.save(put("key", number(round))).await?;
            assert_eq!(all(&store, &ONE).await?, [("key".into(), number(round))]);
        }
        Ok(())
    })
}

fn namespaces_apart(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"\0", b"b", b"\xff"]).await?;
        let mut batch = Batch::new();
        batch.put(OTHER, "a", "");
        batch.put(OTHER, "c", "");
        store.save(batch).await?;
        let found: Vec<_> = all(&store, &ONE).await?.into_iter().map(|(key, _)| key).collect();
        let own: [&[u8]; 3] = [b"\0", b"b", b"\xff"];
        assert_eq!(found, own);
        assert_eq!(all(&store, &OTHER).await?.len(), 2);
        Ok(())
    })
}

fn longest_page(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = numbered(&bench, PAGE_LIMIT_MAX + 1).await?;
        let found = all(&store, &ONE).await?;
        assert_eq!(found.len(), PAGE_LIMIT_MAX);
        assert_eq!(found.last(), Some(&(number(PAGE_LIMIT_MAX - 1), number(PAGE_LIMIT_MAX - 1))));
        Ok(())
    })
}
