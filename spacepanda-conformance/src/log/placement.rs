use spacepanda_core::{
    base::{EnvelopeId, Frontier, LogEntry, Result},
    store::{Batch, FORKS_MAX, Placement},
};

use super::{
    bench::{Bench, sorted},
    entries::{CHANNEL, branch, entry, floors, id},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("what follows a tip, or begins a log, is new", |bench| Box::pin(new(bench))),
        Case::new("what is held is known, tip or not", |bench| Box::pin(known(bench))),
        Case::new("what follows no tip, or takes the first place, forks the log", |bench| {
            Box::pin(forks(bench))
        }),
        Case::new("what follows something that is not held stands beyond it", |bench| {
            Box::pin(beyond(bench))
        }),
        Case::new("a log that begins after a gap takes what comes before", |bench| {
            Box::pin(begins_after_gap(bench))
        }),
        Case::new("what was missing in a gap closes it", |bench| Box::pin(closes(bench))),
        Case::new("what contradicts itself leaves a gap", |bench| Box::pin(contradicts(bench))),
        Case::new("a log begins at the number appended first, and below it is a gap", |bench| {
            Box::pin(floor(bench))
        }),
        Case::new("saying where an entry would stand changes nothing", |bench| {
            Box::pin(asks(bench))
        }),
        Case::new("one tip more than are kept of a log is a gap", |bench| Box::pin(full(bench))),
    ]
}

async fn expect(bench: &Bench, entries: &[LogEntry], expected: Placement) -> Result<()> {
    for entry in entries {
        assert_eq!(bench.placement(entry).await?, expected, "{:?}", entry.tip());
    }
    Ok(())
}

async fn new(bench: Bench) -> Result<()> {
    expect(&bench, &[entry(1, 1), branch(1, 1, 1, 0)], Placement::New).await?;
    bench.append(&[entry(1, 1)]).await?;
    expect(&bench, &[entry(1, 2), branch(1, 2, 1, 0), entry(2, 1)], Placement::New).await?;
    bench.append(&[entry(1, 2), branch(1, 2, 1, 0)]).await?;
    expect(&bench, &[branch(1, 3, 1, 1), branch(1, 3, 0, 0)], Placement::New).await?;
    // The place is taken by the other branch, but what it follows is a tip.
    bench.append(&[branch(1, 3, 1, 1)]).await?;
    expect(&bench, &[branch(1, 3, 0, 0)], Placement::New).await
}

async fn known(bench: Bench) -> Result<()> {
    let held = [entry(1, 1), entry(1, 2), entry(1, 3), branch(1, 2, 1, 0), branch(1, 3, 1, 1)];
    bench.append(&held).await?;
    expect(&bench, &held, Placement::Known).await
}

async fn forks(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2), entry(1, 3), entry(2, 9)]).await?;
    let forks = [branch(1, 1, 1, 0), branch(1, 2, 1, 0), branch(1, 3, 1, 0), branch(2, 9, 1, 0)];
    expect(&bench, &forks, Placement::Forked).await?;
    bench.append(&forks[..2]).await?;
    expect(&bench, &forks[2..], Placement::Forked).await?;
    expect(&bench, &[branch(1, 2, 2, 0), branch(1, 1, 2, 0)], Placement::Forked).await
}

async fn beyond(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2)]).await?;
    let beyond = [entry(1, 4), branch(1, 3, 0, 1), branch(1, 2, 7, 7), entry(1, u64::MAX - 1)];
    expect(&bench, &beyond, Placement::Beyond).await?;
    bench.append_after_gap(&entry(1, 5)).await?;
    expect(&bench, &[entry(1, 6), entry(1, 3), branch(1, 6, 1, 0)], Placement::New).await?;
    expect(&bench, &[branch(1, 5, 1, 0), entry(1, 4), entry(1, 8)], Placement::Beyond).await?;
    assert_eq!(bench.tips().await?, sorted(&[entry(1, 2), entry(1, 5)]));
    let frontier = bench.store.frontier(&CHANNEL).await?;
    assert_eq!(frontier.gap_before(&entry(1, 5).tip()), Some(entry(1, 4).tip()));
    assert_eq!(frontier.gap_before(&entry(1, 2).tip()), None);
    // What is after the gap covers nothing before it.
    assert_eq!(bench.missing(&floors(&[1]), &[&entry(1, 5)]).await?, [entry(1, 1), entry(1, 2)]);
    Ok(())
}

async fn begins_after_gap(bench: Bench) -> Result<()> {
    bench.append_after_gap(&entry(1, 3)).await?;
    expect(&bench, &[entry(1, 4)], Placement::New).await?;
    expect(&bench, &[entry(1, 1)], Placement::Forked).await?;
    expect(&bench, &[entry(1, 2)], Placement::New).await?;
    expect(&bench, &[branch(1, 3, 1, 7), entry(1, 9)], Placement::Beyond).await?;
    let missing = |frontier: Frontier| frontier.gap_before(&entry(1, 3).tip());
    assert_eq!(missing(bench.store.frontier(&CHANNEL).await?), Some(entry(1, 2).tip()));
    bench.append_after_gap(&entry(1, 2)).await?;
    assert_eq!(bench.tips().await?, [entry(1, 3).tip()]);
    assert_eq!(missing(bench.store.frontier(&CHANNEL).await?), Some(entry(1, 1).tip()));
    bench.append(&[entry(1, 1)]).await?;
    assert_eq!(missing(bench.store.frontier(&CHANNEL).await?), None);

    // Whatever comes before may be where it begins.
    bench.append_after_gap(&entry(2, 7)).await?;
    bench.append(&[entry(2, 6)]).await?;
    expect(&bench, &[entry(2, 5)], Placement::Gap).await?;
    let frontier = bench.store.frontier(&CHANNEL).await?;
    assert_eq!(frontier.gap_before(&entry(2, 7).tip()), None);
    Ok(())
}

async fn closes(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1)]).await?;
    bench.append_after_gap(&entry(1, 4)).await?;
    bench.append(&[entry(1, 5), entry(1, 2)]).await?;
    expect(&bench, &[entry(1, 3)], Placement::New).await?;
    bench.append(&[branch(1, 3, 1, 0)]).await?;
    // Another branch closes no gap.
    assert_eq!(bench.tips().await?, sorted(&[branch(1, 3, 1, 0), entry(1, 5)]));
    let missing = |frontier: Frontier| frontier.gap_before(&entry(1, 5).tip());
    assert_eq!(missing(bench.store.frontier(&CHANNEL).await?), Some(entry(1, 3).tip()));
    bench.append(&[entry(1, 3)]).await?;
    assert_eq!(bench.tips().await?, sorted(&[branch(1, 3, 1, 0), entry(1, 5)]));
    assert_eq!(missing(bench.store.frontier(&CHANNEL).await?), None);
    let lacks = bench.missing(&floors(&[1]), &[&entry(1, 5)]).await?;
    assert_eq!(lacks, [branch(1, 3, 1, 0)]);
    expect(&bench, &[branch(1, 4, 1, 0)], Placement::Forked).await
}

async fn contradicts(bench: Bench) -> Result<()> {
    let none = LogEntry { previous: None, ..entry(1, 2) };
    let some = LogEntry { previous: Some(id(1, 0, 0)), ..entry(1, 1) };
    let zero = LogEntry { number: 0, ..entry(1, 1) };
    let contradictions = [none, some, zero];
    expect(&bench, &contradictions, Placement::Gap).await?;
    bench.append(&[branch(1, 1, 9, 0)]).await?;
    expect(&bench, &contradictions, Placement::Gap).await
}

async fn floor(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 5)]).await?;
    expect(&bench, &[entry(1, 4), entry(1, 1)], Placement::Gap).await?;
    expect(&bench, &[entry(1, 6)], Placement::New).await?;
    bench.append(&[entry(1, 6), branch(1, 5, 1, 0), branch(1, 6, 1, 1)]).await?;
    expect(&bench, &[entry(1, 4)], Placement::Gap).await?;
    assert_eq!(bench.tips().await?, sorted(&[entry(1, 6), branch(1, 6, 1, 1)]));
    Ok(())
}

async fn asks(bench: Bench) -> Result<()> {
    for _ in 0..2 {
        expect(&bench, &[entry(1, 1), entry(2, 1), entry(2, 3)], Placement::New).await?;
        assert!(bench.tips().await?.is_empty());
    }
    Ok(())
}

async fn full(bench: Bench) -> Result<()> {
    for chunk in (0..FORKS_MAX).collect::<Vec<_>>().chunks(64) {
        let mut batch = Batch::new();
        for index in chunk {
            bench.store.append(&mut batch, &CHANNEL, &fork(*index)).await?;
        }
        bench.save(batch).await?;
    }
    assert_eq!(bench.tips().await?.len(), FORKS_MAX);
    expect(&bench, &[fork(FORKS_MAX)], Placement::Gap).await?;
    expect(&bench, &[fork(FORKS_MAX - 1)], Placement::Known).await?;
    let follows = LogEntry { previous: Some(fork(9).id), ..entry(1, 2) };
    expect(&bench, &[follows], Placement::New).await
}

/// One of many first entries of one log.
fn fork(index: usize) -> LogEntry {
    let mut bytes = [0x0f; EnvelopeId::LEN];
    bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
    LogEntry { id: EnvelopeId::new(bytes), ..entry(1, 1) }
}
