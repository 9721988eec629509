use spacepanda_core::{base::Result, store::Batch};

use super::{
    bench::{Bench, sorted},
    entries::{CHANNEL, OTHER, branch, entry},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("the frontier of a channel of which nothing is held is empty", |bench| {
            Box::pin(empty(bench))
        }),
        Case::new("the frontier is the tip of every log", |bench| Box::pin(tips(bench))),
        Case::new("a log that forked has every tip in the frontier", |bench| {
            Box::pin(forked(bench))
        }),
        Case::new("channels share nothing", |bench| Box::pin(channels(bench))),
        Case::new("a store opened again holds what was saved and goes on from there", |bench| {
            Box::pin(reopened(bench))
        }),
    ]
}

async fn empty(bench: Bench) -> Result<()> {
    assert!(bench.tips().await?.is_empty());
    bench.append(&[entry(1, 1)]).await?;
    assert!(bench.store.frontier(&OTHER).await?.is_empty());
    Ok(())
}

async fn tips(bench: Bench) -> Result<()> {
    bench.append(&[entry(2, 1), entry(1, 1), entry(2, 2), entry(2, 3), entry(3, 7)]).await?;
    assert_eq!(bench.tips().await?, sorted(&[entry(1, 1), entry(2, 3), entry(3, 7)]));
    Ok(())
}

async fn forked(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2), entry(1, 3)]).await?;
    bench.append(&[branch(1, 2, 1, 0)]).await?;
    assert_eq!(bench.tips().await?, sorted(&[entry(1, 3), branch(1, 2, 1, 0)]));
    // Off the fork, at the place where it took off, and at the beginning.
    bench.append(&[branch(1, 3, 1, 1), branch(1, 3, 2, 1), branch(1, 1, 3, 0)]).await?;
    let three = [entry(1, 3), branch(1, 3, 1, 1), branch(1, 3, 2, 1), branch(1, 1, 3, 0)];
    assert_eq!(bench.tips().await?, sorted(&three));
    Ok(())
}

async fn channels(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2)]).await?;
    let mut batch = Batch::new();
    bench.store.append(&mut batch, &OTHER, &branch(1, 1, 1, 0)).await?;
    bench.save(batch).await?;
    assert_eq!(bench.tips().await?, sorted(&[entry(1, 2)]));
    let other: Vec<_> = bench.store.frontier(&OTHER).await?.tips().collect();
    assert_eq!(other, sorted(&[branch(1, 1, 1, 0)]));
    assert_eq!(bench.store.entry(&OTHER, &entry(1, 1).tip()).await?, None);
    Ok(())
}

async fn reopened(bench: Bench) -> Result<()> {
    let first = [entry(2, 4), entry(1, 1), entry(2, 5), branch(2, 5, 1, 0)];
    bench.append(&first).await?;
    let bench = bench.reopen().await?;
    assert_eq!(bench.tips().await?, sorted(&first[1..]));
    let second = [entry(3, 1), branch(2, 6, 1, 1), entry(1, 2)];
    bench.append(&second).await?;
    let bench = bench.reopen().await?;
    let floors = super::entries::floors(&[1, 2, 3]);
    let expected: Vec<_> = first.into_iter().chain(second).collect();
    assert_eq!(bench.missing(&floors, &[]).await?, expected);
    let entry = bench.store.entry(&CHANNEL, &expected[4].tip()).await?;
    assert_eq!(entry.as_ref(), Some(&expected[4]));
    Ok(())
}
