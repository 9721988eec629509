use std::sync::Arc;

use spacepanda_core::{
    base::{Floors, Frontier, LogEntry, Result, Tip},
    store::{Batch, CrdtStore, Placement},
};

use super::{LogFactory, LogPlace, entries::CHANNEL};

/// More than any case appends.
pub(super) const MANY: usize = 10_000;

/// What a case is given: an open log store in a place of its own.
pub(super) struct Bench {
    place: Arc<dyn LogPlace>,
    pub(super) store: Arc<dyn CrdtStore>,
}

impl Bench {
    pub(super) async fn new(factory: &dyn LogFactory) -> Result<Self> {
        let place = factory.place().await?;
        let store = place.open().await?;
        Ok(Self { place, store })
    }

    /// Drops the store and opens the place again.
    pub(super) async fn reopen(self) -> Result<Self> {
        let Self { place, store } = self;
        drop(store);
        let store = place.open().await?;
        Ok(Self { place, store })
    }

    pub(super) async fn save(&self, batch: Batch) -> Result<()> {
        self.place.save(batch).await
    }

    /// Appends each entry in a batch of its own.
    pub(super) async fn append(&self, entries: &[LogEntry]) -> Result<()> {
        for entry in entries {
            let mut batch = Batch::new();
            self.store.append(&mut batch, &CHANNEL, entry).await?;
            self.save(batch).await?;
        }
        Ok(())
    }

    pub(super) async fn append_after_gap(&self, entry: &LogEntry) -> Result<()> {
        let mut batch = Batch::new();
        self.store.append_after_gap(&mut batch, &CHANNEL, entry).await?;
        self.save(batch).await
    }

    pub(super) async fn drop_body(&self, entry: &LogEntry) -> Result<()> {
        let mut batch = Batch::new();
        self.store.drop_body(&mut batch, &CHANNEL, &entry.tip()).await?;
        self.save(batch).await
    }

    pub(super) async fn placement(&self, entry: &LogEntry) -> Result<Placement> {
        self.store.place(&CHANNEL, entry).await
    }

    pub(super) async fn tips(&self) -> Result<Vec<Tip>> {
        Ok(self.store.frontier(&CHANNEL).await?.tips().collect())
    }

    pub(super) async fn entry(&self, entry: &LogEntry) -> Result<Option<LogEntry>> {
        self.store.entry(&CHANNEL, &entry.tip()).await
    }

    /// Everything that is missing.
    pub(super) async fn missing(
        &self,
        floors: &Floors,
        have: &[&LogEntry],
    ) -> Result<Vec<LogEntry>> {
        self.store.missing(&CHANNEL, floors, &frontier(have), MANY, usize::MAX).await
    }
}

/// The frontier with these tips.
pub(super) fn frontier(tips: &[&LogEntry]) -> Frontier {
    tips.iter().map(|entry| entry.tip()).collect()
}

/// The tips of these entries, in the order of a frontier.
pub(super) fn sorted(entries: &[LogEntry]) -> Vec<Tip> {
    entries.iter().map(LogEntry::tip).collect::<Frontier>().tips().collect()
}
