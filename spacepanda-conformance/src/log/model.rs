use std::collections::BTreeSet;

use spacepanda_core::{
    base::{DeviceId, Floors, Frontier, LogEntry, Result, Tip},
    store::{Batch, Placement},
};

use crate::random::{Random, SEED_VARIABLE, seeds};

use super::{
    bench::Bench,
    entries::{CHANNEL, body, branch, device, without_body},
    runner::Case,
};

/// Runs of the case, with the seeds 0, 1, 2 and so on.
const SEEDS: u64 = 12;
/// Operations of one run.
const OPERATIONS: usize = 150;

pub(super) fn cases() -> Vec<Case> {
    vec![Case::new("any sequence of calls answers as a list in memory does", |bench| {
        Box::pin(calls(bench))
    })]
}

async fn calls(bench: Bench) -> Result<()> {
    let mut bench = bench;
    for seed in seeds(SEEDS) {
        let mut run = Run {
            random: Random::new(seed),
            device: 10 * (seed % 20) as u8,
            model: Model::default(),
        };
        for at in 0..OPERATIONS {
            let step = format!("operation {at} of {SEED_VARIABLE}={seed}");
            bench = run.step(bench, &step).await?;
        }
    }
    Ok(())
}

/// One run: devices of its own, so that runs share a place and not a log.
struct Run {
    random: Random,
    device: u8,
    model: Model,
}

impl Run {
    async fn step(&mut self, bench: Bench, step: &str) -> Result<Bench> {
        match self.random.below(8) {
            0..=3 => self.append(&bench, step).await?,
            4 => self.body(&bench).await?,
            5 | 6 => self.missing(&bench, step).await?,
            _ if self.random.below(4) == 0 => return bench.reopen().await,
            _ => self.tips(&bench, step).await?,
        }
        Ok(bench)
    }

    /// Asks for the place of some entries and appends those that have one, some with what follows.
    async fn append(&mut self, bench: &Bench, step: &str) -> Result<()> {
        for _ in 0..=self.random.below(3) {
            let mut batch = Batch::new();
            let entry = self.entry();
            let expected = self.model.place(&entry);
            assert_eq!(bench.placement(&entry).await?, expected, "{:?}, {step}", entry.tip());
            let begins = expected == Placement::New && self.model.before(&entry).is_none();
            let after_gap = expected == Placement::Beyond
                || begins && entry.number > 1 && self.random.below(2) == 0;
            if after_gap || matches!(expected, Placement::New | Placement::Forked) {
                if after_gap {
                    bench.store.append_after_gap(&mut batch, &CHANNEL, &entry).await?;
                } else {
                    bench.store.append(&mut batch, &CHANNEL, &entry).await?;
                }
                if begins {
                    let floor = if after_gap { 1 } else { entry.number };
                    self.model.floors.insert(entry.device, floor);
                }
                self.model.push(entry, after_gap);
                self.follow(bench, &mut batch).await?;
                bench.save(batch).await?;
            }
        }
        Ok(())
    }

    /// Appends a few more that follow the last one, to the same batch.
    async fn follow(&mut self, bench: &Bench, batch: &mut Batch) -> Result<()> {
        for _ in 0..self.random.below(3) {
            let Some(last) = self.model.entries.last() else { return Ok(()) };
            let next = self.after(&last.clone(), 0);
            if self.model.place(&next) == Placement::New {
                bench.store.append(batch, &CHANNEL, &next).await?;
                self.model.push(next, false);
            }
        }
        Ok(())
    }

    /// An entry that mostly follows one that is held.
    fn entry(&mut self) -> LogEntry {
        let variant = self.random.below(3) as u8;
        if self.model.entries.is_empty() || self.random.below(6) == 0 {
            let name = self.device + 1 + self.random.below(3) as u8;
            return branch(name, 1 + self.random.below(4) as u64, variant, 0);
        }
        // Mostly late ones, so that logs grow long.
        let len = self.model.entries.len();
        let back = self.random.below(4).min(len - 1);
        let index = if self.random.below(3) == 0 { self.random.below(len) } else { len - 1 - back };
        let before = self.model.entries[index].clone();
        self.after(&before, variant)
    }

    fn after(&self, before: &LogEntry, variant: u8) -> LogEntry {
        let name = before.device.as_bytes()[0];
        LogEntry { previous: Some(before.id), ..branch(name, before.number + 1, variant, 0) }
    }

    async fn body(&mut self, bench: &Bench) -> Result<()> {
        if self.model.entries.is_empty() {
            return Ok(());
        }
        let index = self.random.below(self.model.entries.len());
        let entry = &mut self.model.entries[index];
        if entry.body_held {
            *entry = without_body(entry);
            return bench.drop_body(entry).await;
        }
        let variant = entry.id.as_bytes()[31];
        let previous = entry.previous;
        let whole = branch(entry.device.as_bytes()[0], entry.number, variant, 0);
        *entry = LogEntry { previous, ..whole };
        let mut batch = Batch::new();
        bench.store.fill_body(&mut batch, &CHANNEL, &entry.tip(), body(entry)).await?;
        bench.save(batch).await
    }

    async fn missing(&mut self, bench: &Bench, step: &str) -> Result<()> {
        let mut floors = Floors::new();
        for name in 1..=3 {
            if self.random.below(5) > 0 {
                floors.insert(device(self.device + name), self.random.below(5) as u64);
            }
        }
        let mut have = Frontier::new();
        for _ in 0..self.random.below(6) {
            let tip = self.entry().tip();
            have.advance(tip, None);
            if let Some(held) = self.model.entries.get(self.random.below(80)) {
                have.advance(held.tip(), None);
            }
        }
        let (limit, bytes_max) = (self.random.below(30), 200 * self.random.below(40));
        let found = bench.store.missing(&CHANNEL, &floors, &have, limit, bytes_max).await?;
        let expected = self.model.missing(&floors, &have, limit, bytes_max);
        assert_eq!(found, expected, "{floors:?} {have:?} {limit} {bytes_max}, {step}");
        Ok(())
    }

    async fn tips(&mut self, bench: &Bench, step: &str) -> Result<()> {
        let frontier = bench.store.frontier(&CHANNEL).await?;
        let own = |tip: &Tip| (1..=3).any(|name| tip.device == device(self.device + name));
        let found: BTreeSet<_> = frontier.tips().filter(own).collect();
        assert_eq!(found, self.model.tips(), "{step}");
        for tip in found {
            assert_eq!(frontier.gap_before(&tip), self.model.gap_before(&tip), "{step}");
            // Whoever keeps a frontier by the calls alone may take a fork for one behind a gap.
            let gap = self.model.frontier.gap_before(&tip);
            assert!(gap.is_some() || frontier.gap_before(&tip).is_none(), "{tip:?}, {step}");
        }
        let kept: BTreeSet<_> = self.model.frontier.tips().collect();
        assert_eq!(kept, self.model.tips(), "{step}");
        for entry in &self.model.entries {
            assert_eq!(bench.entry(entry).await?.as_ref(), Some(entry), "{step}");
        }
        Ok(())
    }
}

/// Every entry, in the order of appending. It looks at all of them each time: no short cut that a log
/// store could share.
#[derive(Default)]
struct Model {
    entries: Vec<LogEntry>,
    floors: Floors,
    frontier: Frontier,
}

impl Model {
    fn push(&mut self, entry: LogEntry, after_gap: bool) {
        self.frontier.append(entry.tip(), entry.previous.as_ref(), after_gap);
        self.entries.push(entry);
    }

    fn find(&self, tip: &Tip) -> Option<&LogEntry> {
        self.entries.iter().find(|entry| entry.tip() == *tip)
    }

    fn floor(&self, device: &DeviceId) -> Option<u64> {
        self.floors.get(device).copied()
    }

    fn before(&self, entry: &LogEntry) -> Option<&LogEntry> {
        let id = entry.previous?;
        self.find(&Tip { device: entry.device, number: entry.number - 1, id })
    }

    fn place(&self, entry: &LogEntry) -> Placement {
        let log = || self.entries.iter().filter(|held| held.device == entry.device);
        if self.find(&entry.tip()).is_some() {
            return Placement::Known;
        }
        let Some(floor) = self.floor(&entry.device) else { return Placement::New };
        if entry.number == floor {
            return Placement::Forked;
        }
        let Some(before) = self.before(entry) else {
            return match () {
                () if entry.number < floor => Placement::Gap,
                () if log().all(|held| held.number > entry.number) => Placement::New,
                () => Placement::Beyond,
            };
        };
        let followed = log().any(|held| self.before(held) == Some(before));
        if followed { Placement::Forked } else { Placement::New }
    }

    fn tips(&self) -> BTreeSet<Tip> {
        let followed: Vec<_> = self.entries.iter().filter_map(|entry| self.before(entry)).collect();
        let tips = self.entries.iter().filter(|entry| !followed.contains(entry));
        tips.map(LogEntry::tip).collect()
    }

    fn gap_before(&self, tip: &Tip) -> Option<Tip> {
        let mut first = self.find(tip)?;
        while let Some(before) = self.before(first) {
            first = before;
        }
        let missing = Tip { number: first.number - 1, id: first.previous?, device: tip.device };
        (first.number > self.floor(&tip.device)?).then_some(missing)
    }

    fn missing(
        &self,
        floors: &Floors,
        have: &Frontier,
        limit: usize,
        bytes_max: usize,
    ) -> Vec<LogEntry> {
        let mut covered = BTreeSet::new();
        for tip in have.tips() {
            let mut next = self.find(&tip);
            while let Some(entry) = next {
                covered.insert(entry.tip());
                next = self.before(entry);
            }
        }
        let (mut missing, mut bytes) = (Vec::new(), 0);
        for entry in &self.entries {
            let above = floors.get(&entry.device).is_some_and(|floor| entry.number >= *floor);
            if !above || covered.contains(&entry.tip()) {
                continue;
            }
            bytes += entry.bytes.len();
            if !missing.is_empty() && (missing.len() >= limit || bytes > bytes_max) {
                break;
            }
            missing.push(entry.clone());
        }
        missing
    }
}
