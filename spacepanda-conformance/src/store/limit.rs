use bytes::Bytes;
use futures::future::BoxFuture;
use spacepanda_core::{
    base::{
        ErrorKind, Result,
        limits::{KEY_LEN_MAX, PAGE_LIMIT_MAX, VALUE_LEN_MAX},
    },
    store::{Batch, Change},
};

use crate::case::refused;

use super::{
    bench::{Bench, ONE, all, page, put},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("the longest key and the largest value are kept", longest),
        Case::new("several large values in one batch come back as they were", large_values),
        Case::new("load refuses a key above its limit as too large", load_key),
        Case::new("scan refuses a beginning above the limit of keys as too large", scan_after),
        Case::new("scan refuses a limit above its own as too large", scan_limit),
        Case::new("a key above its limit is too large and nothing is applied", save_key),
        Case::new("deleting a key above its limit is too large and nothing is applied", delete_key),
        Case::new("a value above its limit is too large and nothing is applied", save_value),
    ]
}

fn long_key(len: usize) -> Bytes {
    Bytes::from(vec![0xff; len])
}

fn longest(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let value = large(0, VALUE_LEN_MAX);
        store.save(put(long_key(KEY_LEN_MAX), value.clone())).await?;
        let loaded = store.load(&ONE, &long_key(KEY_LEN_MAX)).await?;
        assert!(loaded.as_ref() == Some(&value), "load returned other bytes");
        let found = store.scan(&ONE, page(&long_key(KEY_LEN_MAX), None, 2)).await?;
        assert!(found == [(long_key(KEY_LEN_MAX), value)], "scan returned other bytes");
        let rest = store.scan(&ONE, page(b"", Some(&long_key(KEY_LEN_MAX)), 1)).await?;
        assert!(rest.is_empty(), "something comes after the greatest key");
        Ok(())
    })
}

/// Bytes that repeat at no page's length and differ by `tag`.
fn large(tag: usize, len: usize) -> Bytes {
    (0..len).map(|at| ((at + tag) % 251) as u8).collect()
}

fn large_values(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let mut batch = Batch::new();
        for (tag, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
            batch.put(ONE, key, large(tag, 1024 * 1024 + tag));
        }
        store.save(batch).await?;
        for (tag, (_, value)) in all(&store, &ONE).await?.into_iter().enumerate() {
            assert!(value == large(tag, 1024 * 1024 + tag), "value {tag} has other bytes");
        }
        Ok(())
    })
}

fn load_key(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        refused("load", store.load(&ONE, &long_key(KEY_LEN_MAX + 1)).await, ErrorKind::TooLarge);
        Ok(())
    })
}

fn scan_after(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let beyond = page(b"", Some(&long_key(KEY_LEN_MAX + 1)), 1);
        refused("scan", store.scan(&ONE, beyond).await, ErrorKind::TooLarge);
        Ok(())
    })
}

fn scan_limit(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        for limit in [PAGE_LIMIT_MAX + 1, usize::MAX] {
            refused("scan", store.scan(&ONE, page(b"", None, limit)).await, ErrorKind::TooLarge);
        }
        Ok(())
    })
}

fn save_key(bench: Bench) -> BoxFuture<'static, Result<()>> {
    let key = long_key(KEY_LEN_MAX + 1);
    refuses_whole(bench, Change::Put { namespace: ONE, key, value: Bytes::new() })
}

fn delete_key(bench: Bench) -> BoxFuture<'static, Result<()>> {
    refuses_whole(bench, Change::Delete { namespace: ONE, key: long_key(KEY_LEN_MAX + 1) })
}

fn save_value(bench: Bench) -> BoxFuture<'static, Result<()>> {
    let value = Bytes::from(vec![0; VALUE_LEN_MAX + 1]);
    refuses_whole(bench, Change::Put { namespace: ONE, key: Bytes::from("b"), value })
}

/// Hides `bad` between good changes and expects that none of them is applied.
fn refuses_whole(bench: Bench, bad: Change) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"b"]).await?;
        let before = all(&store, &ONE).await?;
        let mut batch = put("a", "changed");
        match bad {
            Change::Put { namespace, key, value } => batch.put(namespace, key, value),
            Change::Delete { namespace, key } => batch.delete(namespace, key),
        }
        batch.delete(ONE, "b");
        refused("save", store.save(batch).await, ErrorKind::TooLarge);
        assert_eq!(all(&store, &ONE).await?, before);
        store.save(put("c", "c")).await?;
        assert_eq!(all(&store, &ONE).await?.len(), 3, "the store goes on after a refusal");
        Ok(())
    })
}
