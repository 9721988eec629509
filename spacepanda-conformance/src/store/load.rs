use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use spacepanda_core::{
    base::Result,
    store::{Batch, Namespace},
};

use super::{
    bench::{Bench, ONE, OTHER, all, number, put},
    runner::Case,
};

/// Namespaces written by the case about many of them.
const NAMESPACES: usize = 300;
/// Tasks that write and read at once.
const TASKS: usize = 8;
/// Batches of each of them.
const ROUNDS: usize = 20;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("load returns nothing for what was never saved, and no error", absent),
        Case::new("load sees every batch whose save has returned", saved_is_seen),
        Case::new("load returns the bytes that were saved, whatever they are", bytes_come_back),
        Case::new("an empty value is a value and not absence", empty_value),
        Case::new("the empty key is a key like any other", empty_key),
        Case::new("the same key in two namespaces names two values", two_namespaces),
        Case::new("a namespace needs no creation, and there may be many", many_namespaces),
        Case::new("a namespace never written is empty", unwritten_namespace),
        Case::new("methods may be called from several tasks at once", several_tasks),
    ]
}

fn absent(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"b"]).await?;
        for key in [&b""[..], b"a", b"b\0", b"c", b"B"] {
            assert_eq!(store.load(&ONE, key).await?, None, "{key:?}");
        }
        Ok(())
    })
}

fn saved_is_seen(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        for round in 0..100 {
            store.save(put("key", number(round))).await?;
            assert_eq!(store.load(&ONE, b"key").await?, Some(number(round)));
        }
        Ok(())
    })
}

fn bytes_come_back(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let every = Bytes::from_iter(0..=255);
        let values = [every.clone(), Bytes::from_static(&[0; 3]), Bytes::from_static(b"\xff\xfe")];
        for value in values {
            store.save(put(every.clone(), value.clone())).await?;
            assert_eq!(store.load(&ONE, &every).await?, Some(value));
        }
        Ok(())
    })
}

fn empty_value(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        store.save(put("key", "")).await?;
        assert_eq!(store.load(&ONE, b"key").await?, Some(Bytes::new()));
        assert_eq!(all(&store, &ONE).await?, [(Bytes::from("key"), Bytes::new())]);
        store.save(put("key", "full")).await?;
        store.save(put("key", "")).await?;
        assert_eq!(store.load(&ONE, b"key").await?, Some(Bytes::new()));
        Ok(())
    })
}

fn empty_key(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"\0"]).await?;
        store.save(put("", "empty")).await?;
        assert_eq!(store.load(&ONE, b"").await?, Some(Bytes::from("empty")));
        let first = all(&store, &ONE).await?.into_iter().next();
        assert_eq!(first, Some((Bytes::new(), Bytes::from("empty"))));
        Ok(())
    })
}

fn two_namespaces(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let mut batch = Batch::new();
        batch.put(ONE, "key", "1");
        batch.put(OTHER, "key", "2");
        store.save(batch).await?;
        assert_eq!(store.load(&ONE, b"key").await?, Some(Bytes::from("1")));
        assert_eq!(store.load(&OTHER, b"key").await?, Some(Bytes::from("2")));
        let mut batch = Batch::new();
        batch.delete(ONE, "key");
        store.save(batch).await?;
        assert_eq!(store.load(&ONE, b"key").await?, None);
        assert_eq!(all(&store, &OTHER).await?, [(Bytes::from("key"), Bytes::from("2"))]);
        Ok(())
    })
}

fn many_namespaces(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        // Of two such names one often begins the other, and together with a key they can spell another.
        let name = |index: usize| Namespace::from(format!("n{index}"));
        let mut batch = Batch::new();
        for index in 0..NAMESPACES {
            batch.put(name(index), "1", number(index));
        }
        store.save(batch).await?;
        for index in 0..NAMESPACES {
            let expected = [(Bytes::from("1"), number(index))];
            assert_eq!(all(&store, &name(index)).await?, expected, "{}", name(index));
        }
        Ok(())
    })
}

fn unwritten_namespace(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a"]).await?;
        for name in [OTHER, Namespace::new("on"), Namespace::new("one1"), Namespace::new("ONE")] {
            assert_eq!(all(&store, &name).await?, [], "{name}");
            assert_eq!(store.load(&name, b"a").await?, None, "{name}");
        }
        Ok(())
    })
}

fn several_tasks(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.open().await?;
        let tasks = (0..TASKS).map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let key = number(task * ROUNDS + round);
                    store.save(put(key.clone(), key.clone())).await?;
                    assert_eq!(store.load(&ONE, &key).await?, Some(key));
                }
                Result::Ok(())
            })
        });
        for outcome in try_join_all(tasks).await.expect("a task panicked") {
            outcome?;
        }
        let expected: Vec<_> = (0..TASKS * ROUNDS).map(|at| (number(at), number(at))).collect();
        assert_eq!(all(&store, &ONE).await?, expected);
        Ok(())
    })
}
