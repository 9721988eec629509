mod branches;
mod covered;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod missing;
mod numbers;
mod parts;
mod rows;
#[cfg(test)]
mod tests;
mod view;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Batch, CrdtStore, Page, Placement, ProviderStorageBackend, checked};
use crate::base::{
    ChannelId, DeviceId, Error, ErrorKind, Floors, Frontier, LogEntry, Result, Tip, cbor,
    limits::{BODY_LEN_MAX, ENVELOPE_LEN_MAX},
};
use branches::{Log, Spot, is_consistent};
use missing::Run;
use numbers::Numbers;
use parts::Parts;
use rows::{BODY, Form, Header, LOG, LOG_NUMBER, LOG_TIP, LogKey, Owner, corrupt, decode_log};
use view::{Found, View};

/// Tips of one log at most. Honest devices never fork; a hostile one must not make its row grow without
/// end.
pub const FORKS_MAX: usize = 2_048;

/// How many logs are read at once.
const LOGS_PAGE_LEN: usize = 256;

/// The logs, in the namespaces `log`, `body`, `log_tip` and `log_number` of any store.
///
/// It reads through the store it is given: over a [`Staged`](super::Staged) it sees what was staged
/// there. Of the logs it remembers nothing but local numbers and how many entries a channel had, so a
/// batch may be dropped at any time. One `LogStore` at a time writes to one place.
#[derive(Clone)]
pub struct LogStore {
    backend: Arc<dyn ProviderStorageBackend>,
    numbers: Arc<Mutex<Numbers>>,
}

impl LogStore {
    /// Opens the logs that `backend` holds; it reads the local numbers and nothing else.
    ///
    /// # Errors
    /// The backend's; `Corrupt` if a local number is damaged.
    pub async fn open(backend: Arc<dyn ProviderStorageBackend>) -> Result<Self> {
        let numbers = Numbers::load(&*backend).await?;
        Ok(Self { backend, numbers: Arc::new(Mutex::new(numbers)) })
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().expect("no panic while held")
    }

    fn view<'a>(&'a self, batch: Option<&'a Batch>) -> View<'a> {
        View { backend: &*self.backend, batch }
    }

    /// The log of `device` in `channel`; `None` if nothing of it is held.
    async fn log(
        &self,
        view: View<'_>,
        channel: &ChannelId,
        device: &DeviceId,
    ) -> Result<Option<(LogKey, Log)>> {
        let Some(key) = self.numbers().find(channel, device) else { return Ok(None) };
        match view.log(key).await? {
            Some(log) if log.device == *device => Ok(Some((key, log))),
            Some(_) => Err(corrupt("log's shape")),
            None => Ok(None),
        }
    }

    /// All logs of a channel.
    async fn logs(&self, channel: u32) -> Result<Vec<(LogKey, Log)>> {
        let prefix = Bytes::copy_from_slice(&channel.to_be_bytes());
        let mut page = Page { prefix, after: None, limit: LOGS_PAGE_LEN };
        let mut logs = Vec::new();
        loop {
            let rows = checked::scan(&*self.backend, &LOG_TIP, page.clone()).await?;
            for (key, row) in &rows {
                let (key, log) = (LogKey::parse(key)?, decode_log(row)?);
                if self.numbers().device(&log.device) != Some(key.device) {
                    return Err(corrupt("log's shape"));
                }
                logs.push((key, log));
            }
            if rows.len() < page.limit {
                return Ok(logs);
            }
            page.after = rows.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// Where `tip` is held: its log and its branch.
    async fn held(
        &self,
        view: View<'_>,
        channel: &ChannelId,
        tip: &Tip,
    ) -> Result<Option<(LogKey, u16)>> {
        let Some((key, log)) = self.log(view, channel, &tip.device).await? else { return Ok(None) };
        let branch = view.branch_of(key, &log, tip.number, &tip.id).await?;
        Ok(branch.map(|branch| (key, branch)))
    }

    async fn find(
        &self,
        view: View<'_>,
        channel: &ChannelId,
        entry: &LogEntry,
    ) -> Result<(Option<Log>, Found)> {
        match self.log(view, channel, &entry.device).await? {
            Some((key, log)) => {
                let found = view.find(key, &log, entry).await?;
                Ok((Some(log), found))
            }
            None if is_consistent(entry) => Ok((None, Found::Free(Spot::Begins))),
            None => Ok((None, Found::Gap)),
        }
    }

    /// The moment of the next append to a channel; the first time it asks storage for the last one.
    async fn arrival(&self, channel: u32) -> Result<u64> {
        if let Some(arrival) = self.numbers().arrive(channel) {
            return Ok(arrival);
        }
        let logs = self.logs(channel).await?;
        let last = logs.iter().map(|(_, log)| log.arrival()).max().unwrap_or(0);
        if last >= u64::MAX / 2 {
            return Err(corrupt("log's shape"));
        }
        let mut numbers = self.numbers();
        numbers.begin(channel, last);
        numbers.arrive(channel).ok_or_else(|| corrupt("log's shape"))
    }

    /// Appends an entry whose spot `fits`; a log that begins with it begins at `floor`.
    async fn append_at(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        entry: &LogEntry,
        floor: u64,
        fits: impl Fn(Spot) -> bool + Send,
    ) -> Result<()> {
        if entry.bytes.len() > ENVELOPE_LEN_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "append: an entry is above its limit"));
        }
        let (log, found) = self.find(self.view(Some(batch)), channel, entry).await?;
        let Some(spot) = found.spot().filter(|spot| fits(*spot)) else {
            let sentence = "append: the entry is held already, or the one before it is not";
            return Err(Error::new(ErrorKind::Conflict, sentence));
        };
        let key = self.numbers().give(channel, &entry.device)?;
        let arrival = self.arrival(key.channel).await?;
        let (log, branch) = match log {
            Some(mut log) => {
                let branch = log.add(spot, &entry.tip(), arrival);
                if spot == Spot::Begins {
                    log.begins_at(floor);
                }
                self.view(Some(batch)).close_gaps(key, &mut log, &entry.tip(), branch).await?;
                (log, branch)
            }
            None => {
                put_numbers(batch, key, channel, &entry.device);
                (Log::begin(&entry.tip(), floor, arrival), 0)
            }
        };
        batch.put(LOG_TIP, key.bytes(), cbor::encode(&log));
        put_entry(batch, key.entry(entry.number, branch), entry, arrival);
        Ok(())
    }

    /// What of one log `have` does not cover, from `floor` on.
    async fn runs(
        &self,
        (key, log): (LogKey, Log),
        floor: u64,
        have: &Frontier,
    ) -> Result<impl Iterator<Item = Run>> {
        let lacking = self.view(None).lacking(key, &log, floor, have).await?;
        let (device, forked) = (log.device, log.is_forked());
        Ok(lacking.into_iter().map(move |lacking| Run::new(key, device, forked, lacking)))
    }
}

#[async_trait]
impl CrdtStore for LogStore {
    async fn frontier(&self, channel: &ChannelId) -> Result<Frontier> {
        let Some(channel) = self.numbers().channel(channel) else { return Ok(Frontier::new()) };
        let mut frontier = Frontier::new();
        for (key, log) in self.logs(channel).await? {
            for (branch, tip) in log.tips() {
                match log.gap_behind(branch) {
                    Some((branch, first)) => {
                        let header = self.view(None).header(key, first, branch).await?;
                        let id = header.previous.ok_or_else(|| corrupt("log's shape"))?;
                        let missing = Tip { device: log.device, number: first - 1, id };
                        frontier.advance_after_gap(tip, missing);
                    }
                    None => frontier.advance(tip, None),
                }
            }
        }
        Ok(frontier)
    }

    async fn place(&self, channel: &ChannelId, entry: &LogEntry) -> Result<Placement> {
        let (_, found) = self.find(self.view(None), channel, entry).await?;
        Ok(found.placement())
    }

    async fn missing(
        &self,
        channel: &ChannelId,
        floors: &Floors,
        have: &Frontier,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>> {
        let Some(channel) = self.numbers().channel(channel) else { return Ok(Vec::new()) };
        let mut runs = Vec::new();
        for (key, log) in self.logs(channel).await? {
            if let Some(floor) = floors.get(&log.device) {
                runs.extend(self.runs((key, log), *floor, have).await?);
            }
        }
        missing::merge(self.view(None), runs, limit, bytes_max).await
    }

    async fn entry(&self, channel: &ChannelId, tip: &Tip) -> Result<Option<LogEntry>> {
        let view = self.view(None);
        let Some((key, branch)) = self.held(view, channel, tip).await? else { return Ok(None) };
        let header = view.header(key, tip.number, branch).await?;
        view.served(key, (*tip, branch), header).await.map(Some)
    }

    async fn append(&self, batch: &mut Batch, channel: &ChannelId, entry: &LogEntry) -> Result<()> {
        let fits = |spot| spot != Spot::Beyond;
        self.append_at(batch, channel, entry, entry.number, fits).await
    }

    async fn append_after_gap(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        entry: &LogEntry,
    ) -> Result<()> {
        let fits = |spot| matches!(spot, Spot::Beyond | Spot::Begins) && entry.number > 1;
        self.append_at(batch, channel, entry, 1, fits).await
    }

    async fn drop_body(&self, batch: &mut Batch, channel: &ChannelId, tip: &Tip) -> Result<()> {
        if let Some((key, branch)) = self.held(self.view(Some(batch)), channel, tip).await? {
            batch.delete(BODY, key.entry(tip.number, branch));
        }
        Ok(())
    }

    async fn fill_body(
        &self,
        batch: &mut Batch,
        channel: &ChannelId,
        tip: &Tip,
        body: Bytes,
    ) -> Result<()> {
        if body.len() > BODY_LEN_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "fill: a body is above its limit"));
        }
        let view = self.view(Some(batch));
        let Some((key, branch)) = self.held(view, channel, tip).await? else { return Ok(()) };
        let form = view.header(key, tip.number, branch).await?.form;
        if form == Form::Split && view.body(key, tip.number, branch).await?.is_none() {
            batch.put(BODY, key.entry(tip.number, branch), body);
        }
        Ok(())
    }
}

/// Stages the local numbers of a log. Every log's first entry does, so that numbers are saved with
/// whatever uses them, whichever batch is dropped.
fn put_numbers(batch: &mut Batch, key: LogKey, channel: &ChannelId, device: &DeviceId) {
    for (number, owner) in
        [(key.channel, Owner::Channel(*channel)), (key.device, Owner::Device(*device))]
    {
        batch.put(LOG_NUMBER, number.to_be_bytes().to_vec(), cbor::encode(&owner));
    }
}

fn put_entry(batch: &mut Batch, key: Bytes, entry: &LogEntry, arrival: u64) {
    let LogEntry { number, id, previous, .. } = *entry;
    let Parts { form, header, signature, body } = Parts::of(entry);
    let header = Header { number, id, previous, arrival, form, header, signature };
    batch.put(LOG, key.clone(), header.encode());
    if let Some(body) = body {
        batch.put(BODY, key, body);
    }
}
