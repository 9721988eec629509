use bytes::Bytes;

use super::{
    branches::{Log, Spot, is_consistent},
    parts::Parts,
    rows::{BODY, Header, LOG, LOG_TIP, LogKey, corrupt, decode_log},
};
use crate::{
    base::{EnvelopeId, LogEntry, Result, Tip},
    store::{Batch, Namespace, Placement, ProviderStorageBackend, checked},
};

/// What an entry finds at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Known,
    Gap,
    Free(Spot),
}

impl Found {
    pub(super) fn spot(self) -> Option<Spot> {
        match self {
            Self::Free(spot) => Some(spot),
            Self::Known | Self::Gap => None,
        }
    }

    pub(super) fn placement(self) -> Placement {
        match self {
            Self::Known => Placement::Known,
            Self::Gap => Placement::Gap,
            Self::Free(Spot::Forks(_)) => Placement::Forked,
            Self::Free(Spot::Beyond) => Placement::Beyond,
            Self::Free(Spot::Begins | Spot::Follows(_)) => Placement::New,
        }
    }
}

/// The rows as they will be once a batch is saved.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) backend: &'a dyn ProviderStorageBackend,
    pub(super) batch: Option<&'a Batch>,
}

impl View<'_> {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let staged = self.batch.and_then(|batch| {
            // From the end: of two changes the later holds, and what is asked for is mostly recent.
            let mut changes = batch.changes().iter().rev();
            changes.find(|change| change.key() == key && change.namespace() == namespace)
        });
        match staged {
            Some(change) => Ok(change.value().cloned()),
            None => checked::load(self.backend, namespace, key).await,
        }
    }

    pub(super) async fn log(&self, key: LogKey) -> Result<Option<Log>> {
        self.load(&LOG_TIP, &key.bytes()).await?.map(|row| decode_log(&row)).transpose()
    }

    pub(super) async fn header(&self, key: LogKey, number: u64, branch: u16) -> Result<Header> {
        let row = self.load(&LOG, &key.entry(number, branch)).await?;
        Header::decode(&row.ok_or_else(|| corrupt("log, of which an entry is absent,"))?, number)
    }

    pub(super) async fn body(
        &self,
        key: LogKey,
        number: u64,
        branch: u16,
    ) -> Result<Option<Bytes>> {
        self.load(&BODY, &key.entry(number, branch)).await
    }

    /// The branch on which the entry `id` stands at `number`. Where it ends one, nothing is read.
    pub(super) async fn branch_of(
        &self,
        key: LogKey,
        log: &Log,
        number: u64,
        id: &EnvelopeId,
    ) -> Result<Option<u16>> {
        if let Some((branch, _)) = log.at(number).find(|(_, tip)| *tip == Some(*id)) {
            return Ok(Some(branch));
        }
        for (branch, _) in log.at(number).filter(|(_, tip)| tip.is_none()) {
            if self.header(key, number, branch).await?.id == *id {
                return Ok(Some(branch));
            }
        }
        Ok(None)
    }

    /// Where `entry` would stand in `log`.
    pub(super) async fn find(&self, key: LogKey, log: &Log, entry: &LogEntry) -> Result<Found> {
        if self.branch_of(key, log, entry.number, &entry.id).await?.is_some() {
            return Ok(Found::Known);
        }
        if !is_consistent(entry) {
            return Ok(Found::Gap);
        }
        if entry.number == log.floor() {
            let full = log.is_full();
            return Ok(if full { Found::Gap } else { Found::Free(Spot::Forks(None)) });
        }
        let Some(previous) = entry.previous else { return Ok(Found::Gap) };
        let before = entry.number - 1;
        let spot = match self.branch_of(key, log, before, &previous).await? {
            Some(branch) => log.after(branch, before),
            None if before < log.floor() || log.takes_no_gap() => None,
            None if entry.number < log.first() => Some(Spot::Begins),
            None => Some(Spot::Beyond),
        };
        Ok(spot.map_or(Found::Gap, Found::Free))
    }

    /// Closes the gaps of `log` in which `tip`, now the last of `branch`, was missing.
    pub(super) async fn close_gaps(
        &self,
        key: LogKey,
        log: &mut Log,
        tip: &Tip,
        branch: u16,
    ) -> Result<()> {
        let first = tip.number + 1;
        let after: Vec<u16> = log.after_gap_at(first).collect();
        for after in after {
            if self.header(key, first, after).await?.previous == Some(tip.id) {
                log.close_gap(after, branch);
            }
        }
        Ok(())
    }

    /// The entry that `header` begins, as it travels.
    pub(super) async fn served(
        &self,
        key: LogKey,
        at: (Tip, u16),
        header: Header,
    ) -> Result<LogEntry> {
        let (Tip { device, number, id }, branch) = at;
        if header.id != id {
            return Err(corrupt("header"));
        }
        let Header { previous, form, header, signature, .. } = header;
        let body = self.body(key, number, branch).await?;
        let (bytes, body_held) = Parts { form, header, signature, body }.join();
        Ok(LogEntry { device, number, id, previous, body_held, bytes })
    }
}
