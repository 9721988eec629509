use bytes::Bytes;
use spacepanda_core::{
    base::{ErrorKind, LogEntry, Result, limits::BODY_LEN_MAX},
    store::Batch,
};

use crate::case::refused;

use super::{
    bench::{Bench, sorted},
    entries::{CHANNEL, body, branch, entry, floors, without_body},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("without its body an entry is served with header and signature", |bench| {
            Box::pin(dropped(bench))
        }),
        Case::new("dropping a body that is not there is no error", |bench| {
            Box::pin(nothing_to_drop(bench))
        }),
        Case::new("an entry that came without its body is served so", |bench| {
            Box::pin(came_without(bench))
        }),
        Case::new("an entry whose body is filled is served with it byte for byte", |bench| {
            Box::pin(filled(bench))
        }),
        Case::new(
            "filling what is not held, has its body or needs none changes nothing",
            |bench| Box::pin(nothing_to_fill(bench)),
        ),
        Case::new("a body above its limit is refused", |bench| Box::pin(too_large(bench))),
        Case::new("bodies are dropped and filled in the batch of their append", |bench| {
            Box::pin(one_batch(bench))
        }),
        Case::new("a body belongs to one branch of a fork", |bench| Box::pin(forked(bench))),
    ]
}

async fn fill(bench: &Bench, entry: &LogEntry, body: Bytes) -> Result<()> {
    let mut batch = Batch::new();
    bench.store.fill_body(&mut batch, &CHANNEL, &entry.tip(), body).await?;
    bench.save(batch).await
}

async fn expect(bench: &Bench, expected: &[LogEntry]) -> Result<()> {
    assert_eq!(bench.missing(&floors(&[1, 2]), &[]).await?, expected);
    for entry in expected {
        assert_eq!(bench.entry(entry).await?.as_ref(), Some(entry));
    }
    Ok(())
}

async fn dropped(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2), entry(1, 3)]).await?;
    bench.drop_body(&entry(1, 2)).await?;
    let expected = [entry(1, 1), without_body(&entry(1, 2)), entry(1, 3)];
    expect(&bench, &expected).await?;
    assert_eq!(bench.tips().await?, sorted(&expected[2..]));
    let bench = bench.reopen().await?;
    expect(&bench, &expected).await
}

async fn nothing_to_drop(bench: Bench) -> Result<()> {
    // An envelope that needs no body is held whole without one; so are bytes that are no envelope.
    let needs_none = LogEntry { body_held: true, ..without_body(&entry(1, 2)) };
    let opaque = LogEntry { bytes: Bytes::from("opaque"), ..entry(1, 3) };
    let held = [without_body(&entry(1, 1)), needs_none, opaque];
    bench.append(&held).await?;
    for entry in held.iter().chain([&branch(1, 1, 9, 0), &entry(1, 9), &entry(2, 1)]) {
        bench.drop_body(entry).await?;
        bench.drop_body(entry).await?;
    }
    expect(&bench, &held).await
}

async fn came_without(bench: Bench) -> Result<()> {
    let opaque = LogEntry { bytes: Bytes::from("opaque"), body_held: false, ..entry(1, 2) };
    let held = [without_body(&entry(1, 1)), opaque];
    bench.append(&held).await?;
    expect(&bench, &held).await
}

async fn filled(bench: Bench) -> Result<()> {
    bench.append(&[without_body(&entry(1, 1)), entry(2, 1)]).await?;
    fill(&bench, &entry(1, 1), body(&entry(1, 1))).await?;
    expect(&bench, &[entry(1, 1), entry(2, 1)]).await?;
    bench.drop_body(&entry(2, 1)).await?;
    fill(&bench, &entry(2, 1), body(&entry(2, 1))).await?;
    expect(&bench, &[entry(1, 1), entry(2, 1)]).await?;
    let bench = bench.reopen().await?;
    expect(&bench, &[entry(1, 1), entry(2, 1)]).await
}

async fn nothing_to_fill(bench: Bench) -> Result<()> {
    let needs_none = LogEntry { body_held: true, ..without_body(&entry(1, 2)) };
    let opaque = LogEntry { bytes: Bytes::from("opaque"), body_held: false, ..entry(1, 3) };
    let held = [entry(1, 1), needs_none, opaque];
    bench.append(&held).await?;
    for entry in held.iter().chain([&branch(1, 1, 9, 0), &entry(1, 9), &entry(2, 1)]) {
        fill(&bench, entry, Bytes::from("body")).await?;
    }
    expect(&bench, &held).await
}

async fn too_large(bench: Bench) -> Result<()> {
    bench.append(&[without_body(&entry(1, 1))]).await?;
    let mut batch = Batch::new();
    let body = vec![0; BODY_LEN_MAX + 1].into();
    let fills = bench.store.fill_body(&mut batch, &CHANNEL, &entry(1, 1).tip(), body).await;
    refused("a body above the limit", fills, ErrorKind::TooLarge);
    assert!(batch.is_empty());
    Ok(())
}

async fn one_batch(bench: Bench) -> Result<()> {
    let (store, mut batch) = (&bench.store, Batch::new());
    store.append(&mut batch, &CHANNEL, &entry(1, 1)).await?;
    store.append(&mut batch, &CHANNEL, &without_body(&entry(2, 1))).await?;
    store.drop_body(&mut batch, &CHANNEL, &entry(1, 1).tip()).await?;
    let body = body(&entry(2, 1));
    store.fill_body(&mut batch, &CHANNEL, &entry(2, 1).tip(), body).await?;
    bench.save(batch).await?;
    expect(&bench, &[without_body(&entry(1, 1)), entry(2, 1)]).await
}

async fn forked(bench: Bench) -> Result<()> {
    let (left, right) = (entry(1, 2), branch(1, 2, 1, 0));
    bench.append(&[entry(1, 1), left.clone(), right.clone()]).await?;
    bench.drop_body(&right).await?;
    expect(&bench, &[entry(1, 1), left.clone(), without_body(&right)]).await?;
    bench.drop_body(&left).await?;
    fill(&bench, &right, body(&right)).await?;
    expect(&bench, &[entry(1, 1), without_body(&left), right]).await
}
