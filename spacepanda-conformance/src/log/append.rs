use bytes::Bytes;
use spacepanda_core::{
    base::{ErrorKind, LogEntry, Result, limits::ENVELOPE_LEN_MAX},
    store::{Batch, Placement},
};

use crate::case::refused;

use super::{
    bench::{Bench, sorted},
    entries::{CHANNEL, OTHER, branch, entry, envelope, floors},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("an entry is returned at its tip, and at no other", |bench| {
            Box::pin(by_tip(bench))
        }),
        Case::new("an append sees the one before it in the same batch", |bench| {
            Box::pin(one_batch(bench))
        }),
        Case::new("an append is seen once its batch is saved, and not before", |bench| {
            Box::pin(dropped(bench))
        }),
        Case::new("appending what is known or leaves a gap is a conflict", |bench| {
            Box::pin(conflict(bench))
        }),
        Case::new("an entry is served byte for byte, whatever its bytes are", |bench| {
            Box::pin(bytes(bench))
        }),
        Case::new("the largest envelope is kept, and a larger one refused", |bench| {
            Box::pin(largest(bench))
        }),
    ]
}

async fn by_tip(bench: Bench) -> Result<()> {
    let held = [entry(1, 1), entry(1, 2), branch(1, 2, 1, 0), entry(1, 3), branch(1, 1, 2, 0)];
    bench.append(&held).await?;
    for entry in &held {
        assert_eq!(bench.entry(entry).await?.as_ref(), Some(entry));
        assert_eq!(bench.store.entry(&OTHER, &entry.tip()).await?, None);
    }
    for absent in [branch(1, 2, 9, 0), entry(1, 4), branch(1, 3, 1, 1), entry(2, 1)] {
        assert_eq!(bench.entry(&absent).await?, None, "{:?}", absent.tip());
    }
    Ok(())
}

async fn one_batch(bench: Bench) -> Result<()> {
    let appended = [
        entry(1, 1),
        entry(2, 3),
        entry(1, 2),
        branch(1, 2, 1, 0),
        branch(1, 3, 1, 1),
        entry(1, 3),
    ];
    let mut batch = Batch::new();
    for entry in &appended {
        bench.store.append(&mut batch, &CHANNEL, entry).await?;
    }
    for known in &appended {
        let again = bench.store.append(&mut batch.clone(), &CHANNEL, known).await;
        refused("a second append", again, ErrorKind::Conflict);
    }
    bench.save(batch).await?;
    assert_eq!(bench.missing(&floors(&[1, 2]), &[]).await?, appended);
    assert_eq!(bench.tips().await?, sorted(&[entry(2, 3), branch(1, 3, 1, 1), entry(1, 3)]));
    Ok(())
}

async fn dropped(bench: Bench) -> Result<()> {
    for _ in 0..2 {
        let mut batch = Batch::new();
        bench.store.append(&mut batch, &CHANNEL, &entry(1, 1)).await?;
        bench.store.append(&mut batch, &CHANNEL, &entry(1, 2)).await?;
        assert!(bench.tips().await?.is_empty());
        assert_eq!(bench.placement(&entry(1, 2)).await?, Placement::New);
    }
    bench.append(&[entry(2, 1), entry(1, 1)]).await?;
    let bench = bench.reopen().await?;
    assert_eq!(bench.missing(&floors(&[1, 2]), &[]).await?, [entry(2, 1), entry(1, 1)]);
    Ok(())
}

async fn conflict(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2)]).await?;
    let contradiction = LogEntry { previous: None, ..entry(1, 3) };
    let nowhere = [entry(1, 1), entry(1, 2), contradiction];
    for entry in nowhere.iter().chain(&[entry(1, 4), branch(1, 3, 0, 1)]) {
        let mut batch = Batch::new();
        let append = bench.store.append(&mut batch, &CHANNEL, entry).await;
        refused(&format!("{:?}", entry.tip()), append, ErrorKind::Conflict);
    }
    for entry in nowhere.iter().chain(&[entry(1, 3), branch(1, 2, 1, 0), entry(2, 1)]) {
        let mut batch = Batch::new();
        let append = bench.store.append_after_gap(&mut batch, &CHANNEL, entry).await;
        refused(&format!("{:?} after a gap", entry.tip()), append, ErrorKind::Conflict);
    }
    Ok(())
}

async fn bytes(bench: Bench) -> Result<()> {
    let odd: [&[u8]; 7] = [
        b"",
        b"no envelope",
        &[0x83, 0x40, 0x40, 0x40],
        &[0x83, 0x58, 0x01, 0x00, 0x40, 0x40],
        &[0x83, 0x40, 0x40, 0x40, 0x00],
        &[0x9f, 0x40, 0x40, 0x40, 0xff],
        &[0x83, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let odd = (1..).zip(odd).map(|(number, bytes)| LogEntry {
        bytes: Bytes::copy_from_slice(bytes),
        ..entry(1, number)
    });
    let odd: Vec<_> = odd.collect();
    bench.append(&odd).await?;
    assert_eq!(bench.missing(&floors(&[1]), &[]).await?, odd);
    for entry in &odd {
        assert_eq!(bench.entry(entry).await?.as_ref(), Some(entry));
    }
    Ok(())
}

async fn largest(bench: Bench) -> Result<()> {
    let spare = envelope(&[0; 1_000], Some(&[0; 100_000])).len() - 100_000;
    let bytes = envelope(&[0; 1_000], Some(&vec![7; ENVELOPE_LEN_MAX - spare]));
    assert_eq!(bytes.len(), ENVELOPE_LEN_MAX);
    let largest = LogEntry { bytes, ..entry(1, 1) };
    bench.append(std::slice::from_ref(&largest)).await?;
    assert_eq!(bench.entry(&largest).await?, Some(largest));

    let above = LogEntry { bytes: vec![0; ENVELOPE_LEN_MAX + 1].into(), ..entry(1, 2) };
    let mut batch = Batch::new();
    let append = bench.store.append(&mut batch, &CHANNEL, &above).await;
    refused("an entry above the limit", append, ErrorKind::TooLarge);
    assert!(batch.is_empty());
    Ok(())
}
