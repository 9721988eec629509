use spacepanda_core::base::{Floors, LogEntry, Result};

use super::{
    bench::{Bench, MANY, frontier},
    entries::{CHANNEL, OTHER, STRANGER, branch, device, entry, floors},
    runner::Case,
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("missing returns what is not covered, in the order of appending", |bench| {
            Box::pin(causal(bench))
        }),
        Case::new("an empty answer means that nothing is missing", |bench| {
            Box::pin(nothing(bench))
        }),
        Case::new("missing returns at most as many entries as asked for, and goes on", |bench| {
            Box::pin(limit(bench))
        }),
        Case::new("missing returns at most as many bytes as asked for", |bench| {
            Box::pin(bytes_max(bench))
        }),
        Case::new("missing returns one entry if there is one, whatever the bounds", |bench| {
            Box::pin(always_one(bench))
        }),
        Case::new("missing begins at the floors", |bench| Box::pin(from_floors(bench))),
        Case::new("a device without a floor has nothing for the reader", |bench| {
            Box::pin(no_floor(bench))
        }),
        Case::new("one branch of a fork does not cover the other", |bench| {
            Box::pin(two_branches(bench))
        }),
        Case::new("three branches of a fork cover what they follow", |bench| {
            Box::pin(three_branches(bench))
        }),
        Case::new(
            "a tip that is not held covers nothing, and takes nothing from others",
            |bench| Box::pin(unknown_tip(bench)),
        ),
        Case::new(
            "a long log is served whole, and its end alone to whoever has the rest",
            |bench| Box::pin(long(bench)),
        ),
    ]
}

async fn causal(bench: Bench) -> Result<()> {
    let appended = [entry(3, 1), entry(1, 1), entry(3, 2), entry(2, 6), entry(1, 2), entry(2, 7)];
    bench.append(&appended).await?;
    let floors = floors(&[1, 2, 3]);
    assert_eq!(bench.missing(&floors, &[]).await?, appended);
    let have = [&appended[2], &appended[1]];
    assert_eq!(bench.missing(&floors, &have).await?, appended[3..]);
    let have = [&appended[0], &appended[5]];
    let expected = [&appended[1], &appended[2], &appended[4]].map(LogEntry::clone);
    assert_eq!(bench.missing(&floors, &have).await?, expected);
    Ok(())
}

async fn nothing(bench: Bench) -> Result<()> {
    assert_eq!(bench.missing(&floors(&[1, 2]), &[]).await?, []);
    bench.append(&[entry(1, 1), entry(2, 1), entry(1, 2)]).await?;
    assert_eq!(bench.missing(&floors(&[1, 2]), &[&entry(1, 2), &entry(2, 1)]).await?, []);
    assert_eq!(bench.missing(&Floors::new(), &[]).await?, []);
    let other = bench.store.missing(&OTHER, &floors(&[1, 2]), &frontier(&[]), MANY, MANY).await?;
    assert_eq!(other, []);
    Ok(())
}

async fn limit(bench: Bench) -> Result<()> {
    let appended: Vec<_> =
        (1..=20).flat_map(|number| [entry(2, number), entry(1, number)]).collect();
    bench.append(&appended).await?;
    for limit in [1, 3, 40, 41] {
        let mut have = frontier(&[]);
        let mut got = Vec::new();
        while got.len() < appended.len() {
            let floors = floors(&[1, 2]);
            let page = bench.store.missing(&CHANNEL, &floors, &have, limit, usize::MAX).await?;
            assert_eq!(page.len(), limit.min(appended.len() - got.len()));
            for entry in &page {
                have.advance(entry.tip(), entry.previous.as_ref());
            }
            got.extend(page);
        }
        assert_eq!(got, appended);
    }
    Ok(())
}

async fn bytes_max(bench: Bench) -> Result<()> {
    let appended = [entry(1, 1), entry(2, 1), entry(3, 1), entry(1, 2)];
    bench.append(&appended).await?;
    let floors = floors(&[1, 2, 3]);
    let two = appended[0].bytes.len() + appended[1].bytes.len();
    for (bytes_max, expected) in [(two - 1, 1), (two, 2), (two + 1, 2), (usize::MAX, 4)] {
        let have = frontier(&[]);
        let page = bench.store.missing(&CHANNEL, &floors, &have, MANY, bytes_max).await?;
        assert_eq!(page, appended[..expected], "{bytes_max} bytes");
    }
    Ok(())
}

async fn always_one(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(1, 2)]).await?;
    for (limit, bytes_max) in [(MANY, 0), (0, MANY), (0, 0), (MANY, 1)] {
        let (floors, have) = (floors(&[1]), frontier(&[&entry(1, 1)]));
        let page = bench.store.missing(&CHANNEL, &floors, &have, limit, bytes_max).await?;
        assert_eq!(page, [entry(1, 2)]);
    }
    Ok(())
}

async fn from_floors(bench: Bench) -> Result<()> {
    let log: Vec<_> = (1..=5).map(|number| entry(1, number)).collect();
    bench.append(&log).await?;
    bench.append(&[entry(2, 4), entry(2, 5)]).await?;
    let from = |floor| Floors::from([(device(1), floor)]);
    assert_eq!(bench.missing(&from(4), &[]).await?, log[3..]);
    assert_eq!(bench.missing(&from(2), &[&log[2]]).await?, log[3..]);
    assert_eq!(bench.missing(&from(5), &[&log[1]]).await?, log[4..]);
    assert_eq!(bench.missing(&from(0), &[]).await?, log);
    for floor in [6, u64::MAX] {
        assert_eq!(bench.missing(&from(floor), &[]).await?, []);
    }
    // A floor below the log's own hides nothing.
    let below = Floors::from([(device(2), 2)]);
    assert_eq!(bench.missing(&below, &[]).await?, [entry(2, 4), entry(2, 5)]);
    Ok(())
}

async fn no_floor(bench: Bench) -> Result<()> {
    bench.append(&[entry(1, 1), entry(2, 1), entry(1, 2)]).await?;
    assert_eq!(bench.missing(&floors(&[2, STRANGER]), &[]).await?, [entry(2, 1)]);
    assert_eq!(bench.missing(&floors(&[2]), &[&entry(2, 1)]).await?, []);
    Ok(())
}

async fn two_branches(bench: Bench) -> Result<()> {
    let trunk = [entry(1, 1), entry(1, 2)];
    let left = [entry(1, 3), entry(1, 4), entry(1, 5)];
    let right = [branch(1, 3, 1, 0), branch(1, 4, 1, 1)];
    bench.append(&[&trunk[..], &left, &right].concat()).await?;
    let floors = floors(&[1]);
    assert_eq!(bench.missing(&floors, &[&left[2]]).await?, right);
    assert_eq!(bench.missing(&floors, &[&right[1]]).await?, left);
    assert_eq!(bench.missing(&floors, &[&right[0]]).await?, [&left[..], &right[1..]].concat());
    assert_eq!(
        bench.missing(&floors, &[&left[0], &right[0]]).await?,
        [left[1].clone(), left[2].clone(), right[1].clone()]
    );
    assert_eq!(bench.missing(&floors, &[&trunk[1]]).await?, [&left[..], &right].concat());
    assert_eq!(bench.missing(&floors, &[&left[2], &right[1]]).await?, []);
    let from_four = Floors::from([(device(1), 4)]);
    assert_eq!(bench.missing(&from_four, &[&left[1]]).await?, [left[2].clone(), right[1].clone()]);
    Ok(())
}

async fn three_branches(bench: Bench) -> Result<()> {
    // 5, 6, 7; off 5: 6', 7'; off 6': 7''; and another beginning: 5'''.
    let appended = [
        entry(1, 5),
        entry(1, 6),
        branch(1, 6, 1, 0),
        entry(1, 7),
        branch(1, 7, 1, 1),
        branch(1, 7, 2, 1),
        branch(1, 5, 3, 0),
    ];
    bench.append(&appended).await?;
    let floors = floors(&[1]);
    for (have, lacks) in [
        (&[][..], &[0, 1, 2, 3, 4, 5, 6][..]),
        (&[3], &[2, 4, 5, 6]),
        (&[5], &[1, 3, 4, 6]),
        (&[4, 5], &[1, 3, 6]),
        (&[6], &[0, 1, 2, 3, 4, 5]),
        (&[2, 1], &[3, 4, 5, 6]),
        (&[3, 4, 5, 6], &[]),
    ] {
        let tips: Vec<_> = have.iter().map(|index: &usize| &appended[*index]).collect();
        let expected: Vec<_> = lacks.iter().map(|index: &usize| appended[*index].clone()).collect();
        assert_eq!(bench.missing(&floors, &tips).await?, expected, "having {have:?}");
    }
    Ok(())
}

async fn unknown_tip(bench: Bench) -> Result<()> {
    let log: Vec<_> = (1..=4).map(|number| entry(1, number)).collect();
    bench.append(&log).await?;
    bench.append(&[entry(2, 1)]).await?;
    let floors = floors(&[1]);
    for unknown in [branch(1, 2, 9, 0), entry(1, 9), entry(STRANGER, 1), entry(1, u64::MAX)] {
        assert_eq!(bench.missing(&floors, &[&unknown]).await?, log, "{:?}", unknown.tip());
        assert_eq!(bench.missing(&floors, &[&unknown, &log[2]]).await?, log[3..]);
    }
    let from_three = Floors::from([(device(1), 3)]);
    assert_eq!(bench.missing(&from_three, &[&entry(1, 9)]).await?, log[2..]);
    Ok(())
}

async fn long(bench: Bench) -> Result<()> {
    let log: Vec<_> = (1..=300).map(|number| entry(1, number)).collect();
    bench.append(&log).await?;
    let floors = floors(&[1]);
    assert_eq!(bench.missing(&floors, &[]).await?, log);
    assert_eq!(bench.missing(&floors, &[&log[298]]).await?, log[299..]);
    Ok(())
}
