use bytes::Bytes;
use futures::future::BoxFuture;
use spacepanda_core::base::{Result, limits::PAGE_LIMIT_MAX};

use super::{
    bench::{Bench, keys, page},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("scan returns keys in the order of their bytes", by_bytes),
        Case::new("the shorter key comes first where one begins the other", shorter_first),
        Case::new("scan returns only keys that begin with the prefix", only_prefix),
        Case::new("a prefix that ends in 0xff bounds a scan like any other", prefix_of_0xff),
        Case::new("scan begins after the given key, exclusive", after_is_exclusive),
        Case::new("scan may begin after a key that is not there", after_absent),
        Case::new("prefix and beginning hold both", prefix_and_after),
    ]
}

fn by_bytes(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let shuffled: [&[u8]; 8] = [b"\xff", b"a", b"\x80", b"B", b"\0", b"10", b"\x7f", b"9"];
        let store = bench.filled(&shuffled).await?;
        let ordered: [&[u8]; 8] = [b"\0", b"10", b"9", b"B", b"a", b"\x7f", b"\x80", b"\xff"];
        assert_eq!(keys(&store, page(b"", None, PAGE_LIMIT_MAX)).await?, ordered);
        Ok(())
    })
}

fn shorter_first(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let shuffled: [&[u8]; 7] = [b"a\xff", b"a\0\0", b"ab", b"a", b"a\0", b"\xff\xff", b"\xff"];
        let store = bench.filled(&shuffled).await?;
        let ordered: [&[u8]; 7] = [b"a", b"a\0", b"a\0\0", b"ab", b"a\xff", b"\xff", b"\xff\xff"];
        assert_eq!(keys(&store, page(b"", None, PAGE_LIMIT_MAX)).await?, ordered);
        Ok(())
    })
}

fn only_prefix(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store =
            bench.filled(&[b"", b"a", b"aa", b"ab", b"ab\0", b"ab\xff", b"ac", b"b"]).await?;
        let begun: [&[u8]; 3] = [b"ab", b"ab\0", b"ab\xff"];
        assert_eq!(keys(&store, page(b"ab", None, PAGE_LIMIT_MAX)).await?, begun);
        let none: [Bytes; 0] = [];
        assert_eq!(keys(&store, page(b"abc", None, PAGE_LIMIT_MAX)).await?, none);
        assert_eq!(keys(&store, page(b"", None, PAGE_LIMIT_MAX)).await?.len(), 8);
        Ok(())
    })
}

fn prefix_of_0xff(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench
            .filled(&[b"a\xfe", b"a\xff", b"a\xff\0", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"])
            .await?;
        let begun: [&[u8]; 3] = [b"a\xff", b"a\xff\0", b"a\xff\xff"];
        assert_eq!(keys(&store, page(b"a\xff", None, PAGE_LIMIT_MAX)).await?, begun);
        let begun: [&[u8]; 2] = [b"\xff", b"\xff\xff\x01"];
        assert_eq!(keys(&store, page(b"\xff", None, PAGE_LIMIT_MAX)).await?, begun);
        assert_eq!(keys(&store, page(b"\xff\xff", None, PAGE_LIMIT_MAX)).await?, begun[1..]);
        Ok(())
    })
}

fn after_is_exclusive(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"", b"a", b"a\0", b"b"]).await?;
        let rest: [&[u8]; 3] = [b"a", b"a\0", b"b"];
        assert_eq!(keys(&store, page(b"", Some(b""), PAGE_LIMIT_MAX)).await?, rest);
        assert_eq!(keys(&store, page(b"", Some(b"a"), PAGE_LIMIT_MAX)).await?, rest[1..]);
        assert_eq!(keys(&store, page(b"", Some(b"b"), PAGE_LIMIT_MAX)).await?, rest[3..]);
        Ok(())
    })
}

fn after_absent(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"c", b"e"]).await?;
        let rest: [&[u8]; 2] = [b"c", b"e"];
        assert_eq!(keys(&store, page(b"", Some(b"b"), PAGE_LIMIT_MAX)).await?, rest);
        assert_eq!(keys(&store, page(b"", Some(b"c\0"), PAGE_LIMIT_MAX)).await?, rest[1..]);
        assert_eq!(keys(&store, page(b"", Some(b"\xff"), PAGE_LIMIT_MAX)).await?, rest[2..]);
        Ok(())
    })
}

fn prefix_and_after(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let store = bench.filled(&[b"a", b"b", b"b1", b"b2", b"c"]).await?;
        let begun: [&[u8]; 3] = [b"b", b"b1", b"b2"];
        // "a" lies between the beginning and the prefix.
        assert_eq!(keys(&store, page(b"b", Some(b""), PAGE_LIMIT_MAX)).await?, begun);
        assert_eq!(keys(&store, page(b"b", Some(b"a"), PAGE_LIMIT_MAX)).await?, begun);
        assert_eq!(keys(&store, page(b"b", Some(b"b"), PAGE_LIMIT_MAX)).await?, begun[1..]);
        assert_eq!(keys(&store, page(b"b", Some(b"b1"), PAGE_LIMIT_MAX)).await?, begun[2..]);
        assert_eq!(keys(&store, page(b"b", Some(b"bz"), PAGE_LIMIT_MAX)).await?, begun[3..]);
        assert_eq!(keys(&store, page(b"b", Some(b"c"), PAGE_LIMIT_MAX)).await?, begun[3..]);
        Ok(())
    })
}
