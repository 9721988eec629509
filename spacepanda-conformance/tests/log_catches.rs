//! The suite of the log port, tested: each broken log store fails the case that names its fault.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_conformance::log::{LogFactory, LogPlace, cases};
use spacepanda_core::{
    base::{ChannelId, Floors, Frontier, LogEntry, Result, Tip, limits::ENVELOPE_LEN_MAX},
    store::{Batch, CrdtStore, LogStore, Placement, ProviderStorageBackend},
};
use spacepanda_store_memory::MemoryStore;

/// What is wrong with a log store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    OneTip,
    OneChannel,
    NeverForked,
    NeverGap,
    NeverBeyond,
    HidesGaps,
    BeginsAtTheFirst,
    Unlimited,
    Unbounded,
    EmptyPages,
    NoFloors,
    ForgivingFloors,
    BelievesTips,
    SortsByPlace,
    AppendsAnything,
    KeepsBodies,
    NeverFills,
    ReplacesBodies,
    ForgetsBytes,
}

#[async_trait]
impl LogFactory for Fault {
    async fn place(&self) -> Result<Arc<dyn LogPlace>> {
        Ok(Arc::new(Place { store: Arc::new(MemoryStore::new()), fault: *self }))
    }
}

struct Place {
    store: Arc<MemoryStore>,
    fault: Fault,
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&self) -> Result<Arc<dyn CrdtStore>> {
        let sound = LogStore::open(self.store.clone()).await?;
        Ok(Arc::new(Broken { sound, fault: self.fault }))
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.store.save(batch).await
    }
}

/// A log store with one fault.
struct Broken {
    sound: LogStore,
    fault: Fault,
}

impl Broken {
    fn channel(&self, channel: &ChannelId) -> ChannelId {
        if self.fault == Fault::OneChannel { ChannelId::new([0; 32]) } else { *channel }
    }

    fn entry_with_fault(&self, mut entry: LogEntry) -> LogEntry {
        if self.fault == Fault::ForgetsBytes && entry.bytes.len() < 12 {
            entry.bytes = Bytes::new();
        }
        entry
    }
}

#[async_trait]
impl CrdtStore for Broken {
    async fn frontier(&self, channel: &ChannelId) -> Result<Frontier> {
        let frontier = self.sound.frontier(&self.channel(channel)).await?;
        if self.fault == Fault::HidesGaps {
            return Ok(frontier.tips().collect());
        }
        if self.fault != Fault::OneTip {
            return Ok(frontier);
        }
        let first = |tip: &Tip| frontier.of(&tip.device).next() == Some(*tip);
        Ok(frontier.tips().filter(first).collect())
    }

    async fn place(&self, channel: &ChannelId, entry: &LogEntry) -> Result<Placement> {
        let found = self.sound.place(&self.channel(channel), entry).await?;
        Ok(match (self.fault, found) {
            (Fault::NeverForked, Placement::Forked) | (Fault::NeverGap, Placement::Gap) => {
                Placement::New
            }
            (Fault::NeverBeyond, Placement::Beyond) => Placement::Gap,
            _ => found,
        })
    }

    async fn missing(
        &self,
        channel: &ChannelId,
        floors: &Floors,
        have: &Frontier,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>> {
        let channel = self.channel(channel);
        let held = self.sound.frontier(&channel).await?;
        let (mut floors, mut have) = (floors.clone(), have.clone());
        let (mut limit, mut bytes_max) = (limit, bytes_max);
        match self.fault {
            Fault::Unlimited => limit = usize::MAX,
            Fault::Unbounded => bytes_max = usize::MAX,
            Fault::EmptyPages if bytes_max == 0 || limit == 0 => return Ok(Vec::new()),
            Fault::NoFloors => floors.values_mut().for_each(|floor| *floor = 0),
            Fault::ForgivingFloors => {
                held.tips().for_each(|tip| _ = floors.entry(tip.device).or_insert(1));
            }
            Fault::BelievesTips => {
                let ahead = |tip: &Tip| have.number(&tip.device) >= tip.number;
                have = held.tips().filter(ahead).chain(have.tips()).collect();
            }
            _ => {}
        }
        let mut found = self.sound.missing(&channel, &floors, &have, limit, bytes_max).await?;
        if self.fault == Fault::SortsByPlace {
            found.sort_by_key(|entry| (entry.device, entry.number));
        }
        Ok(found.into_iter().map(|entry| self.entry_with_fault(entry)).collect())
    }

    async fn entry(&self, channel: &ChannelId, tip: &Tip) -> Result<Option<LogEntry>> {
        let found = self.sound.entry(&self.channel(channel), tip).await?;
        Ok(found.map(|entry| self.entry_with_fault(entry)))
    }

    async fn append(&self, batch: &mut Batch, channel: &ChannelId, entry: &LogEntry) -> Result<()> {
        let appended = self.sound.append(batch, &self.channel(channel), entry).await;
        let forgives = self.fault == Fault::AppendsAnything && entry.bytes.len() < ENVELOPE_LEN_MAX;
        if forgives { Ok(()) } else { appended }
    }

    async fn append_after_gap(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        entry: &LogEntry,
    ) -> Result<()> {
        let channel = self.channel(channel);
        let placed = self.sound.place(&channel, entry).await?;
        if self.fault == Fault::BeginsAtTheFirst && placed == Placement::New {
            return self.sound.append(batch, &channel, entry).await;
        }
        self.sound.append_after_gap(batch, &channel, entry).await
    }

    async fn drop_body(&self, batch: &mut Batch, channel: &ChannelId, tip: &Tip) -> Result<()> {
        if self.fault == Fault::KeepsBodies {
            return Ok(());
        }
        self.sound.drop_body(batch, &self.channel(channel), tip).await
    }

    async fn fill_body(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        tip: &Tip,
        body: Bytes,
    ) -> Result<()> {
        let channel = self.channel(channel);
        match self.fault {
            Fault::NeverFills => return Ok(()),
            Fault::ReplacesBodies => self.sound.drop_body(batch, &channel, tip).await?,
            _ => {}
        }
        self.sound.fill_body(batch, &channel, tip, body).await
    }
}

#[test]
fn each_fault_fails_the_case_that_names_it() {
    for (fault, name) in [
        (Fault::OneTip, "a log that forked has every tip in the frontier"),
        (Fault::OneChannel, "channels share nothing"),
        (Fault::NeverForked, "what follows no tip, or takes the first place, forks the log"),
        (Fault::NeverGap, "a log begins at the number appended first, and below it is a gap"),
        (Fault::NeverBeyond, "what follows something that is not held stands beyond it"),
        (Fault::HidesGaps, "what follows something that is not held stands beyond it"),
        (Fault::BeginsAtTheFirst, "a log that begins after a gap takes what comes before"),
        (Fault::Unlimited, "missing returns at most as many entries as asked for, and goes on"),
        (Fault::Unbounded, "missing returns at most as many bytes as asked for"),
        (Fault::EmptyPages, "missing returns one entry if there is one, whatever the bounds"),
        (Fault::NoFloors, "missing begins at the floors"),
        (Fault::ForgivingFloors, "a device without a floor has nothing for the reader"),
        (
            Fault::BelievesTips,
            "a tip that is not held covers nothing, and takes nothing from others",
        ),
        (Fault::SortsByPlace, "missing returns what is not covered, in the order of appending"),
        (Fault::AppendsAnything, "appending what is known or leaves a gap is a conflict"),
        (Fault::KeepsBodies, "without its body an entry is served with header and signature"),
        (Fault::NeverFills, "an entry whose body is filled is served with it byte for byte"),
        (
            Fault::ReplacesBodies,
            "filling what is not held, has its body or needs none changes nothing",
        ),
        (Fault::ForgetsBytes, "an entry is served byte for byte, whatever its bytes are"),
    ] {
        let case = cases().into_iter().find(|case| case.name() == name);
        let case = case.unwrap_or_else(|| panic!("no case is named {name:?}"));
        assert!(case.run(Arc::new(fault)).is_err(), "{fault:?} passes {name:?}");
    }
}
