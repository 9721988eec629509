#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    base::EnvelopeId,
    store::{Capability, Change, Namespace},
};

const CHANNEL: ChannelId = ChannelId::new([9; 32]);

type Entries = Vec<(Bytes, Bytes)>;
type Lie = fn(&mut Entries);

/// Rows in memory; it counts what is read, and can be told to lie about one page.
#[derive(Default)]
struct Counting {
    rows: Mutex<BTreeMap<(Namespace, Bytes), Bytes>>,
    read: AtomicUsize,
    lies: Mutex<Option<Lie>>,
}

impl Counting {
    fn apply(&self, batch: &Batch) {
        let mut rows = self.rows.lock().unwrap();
        for change in batch.changes() {
            let place = (change.namespace().clone(), change.key().clone());
            match change {
                Change::Put { value, .. } => rows.insert(place, value.clone()),
                Change::Delete { .. } => rows.remove(&place),
            };
        }
    }

    fn read(&self) -> usize {
        self.read.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl ProviderStorageBackend for Counting {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        let place = (namespace.clone(), Bytes::copy_from_slice(key));
        Ok(self.rows.lock().unwrap().get(&place).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let rows = self.rows.lock().unwrap();
        let inside = rows.iter().filter(|((at, key), _)| {
            at == namespace
                && key.starts_with(&page.prefix)
                && page.after.as_ref().is_none_or(|after| key > after)
        });
        let found = inside.map(|((_, key), value)| (key.clone(), value.clone()));
        let mut found: Vec<_> = found.take(page.limit).collect();
        self.read.fetch_add(1 + found.len(), Ordering::Relaxed);
        if let Some(lie) = *self.lies.lock().unwrap() {
            lie(&mut found);
        }
        Ok(found)
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.apply(&batch);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE
    }
}

fn entry(name: u8, number: u64) -> LogEntry {
    let id = |number: u64| {
        let mut bytes = [name; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        EnvelopeId::new(bytes)
    };
    LogEntry {
        device: DeviceId::new([name; 32]),
        number,
        id: id(number),
        previous: (number > 1).then(|| id(number - 1)),
        body_held: true,
        bytes: Bytes::from_static(&[0x83, 0x41, 1, 0x41, 2, 0x41, 3]),
    }
}

async fn append(store: &LogStore, backend: &Counting, entries: impl Iterator<Item = LogEntry>) {
    for entry in entries {
        let mut batch = Batch::new();
        store.append(&mut batch, &CHANNEL, &entry).await.unwrap();
        backend.apply(&batch);
    }
}

async fn filled(len: u64) -> (LogStore, Arc<Counting>) {
    let backend = Arc::new(Counting::default());
    let store = LogStore::open(backend.clone()).await.unwrap();
    append(&store, &backend, (1..=len).map(|number| entry(1, number))).await;
    append(&store, &backend, std::iter::once(entry(2, 1))).await;
    backend.read();
    (store, backend)
}

async fn missing(store: &LogStore, have: &[LogEntry]) -> Result<Vec<LogEntry>> {
    let floors = Floors::from([1, 2].map(|name| (DeviceId::new([name; 32]), 1)));
    let have = have.iter().map(LogEntry::tip).collect();
    store.missing(&CHANNEL, &floors, &have, 1_000, usize::MAX).await
}

#[tokio::test]
async fn what_an_operation_reads_does_not_grow_with_history() {
    let mut reads = Vec::new();
    for len in [100, 1_000] {
        let (store, backend) = filled(len).await;
        append(&store, &backend, std::iter::once(entry(1, len + 1))).await;
        let appending = backend.read();
        // The first entry of device 2 is missing, which by now is old.
        append(&store, &backend, (len + 2..=2 * len).map(|number| entry(1, number))).await;
        backend.read();
        assert_eq!(missing(&store, &[entry(1, 2 * len - 3)]).await.unwrap().len(), 4);
        let serving = backend.read();
        store.frontier(&CHANNEL).await.unwrap();
        reads.push((appending, serving, backend.read()));
    }
    assert_eq!(reads[0], reads[1]);
}

#[tokio::test]
async fn serving_a_log_reads_what_is_served_and_little_more() {
    let (store, backend) = filled(500).await;
    assert_eq!(missing(&store, &[]).await.unwrap().len(), 501);
    // Header and body of each, one request per page, and what is read ahead.
    assert!(backend.read() < 2 * 501 + 100);
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_corrupt() {
    let lies: [Lie; 5] = [
        |rows| rows.reverse(),
        |rows| rows.extend(rows.clone()),
        |rows| rows.push((Bytes::from_static(&[0xff; 8]), Bytes::new())),
        |rows| rows.iter_mut().for_each(|(_, row)| *row = row.slice(1..)),
        |rows| rows.iter_mut().for_each(|(key, _)| *key = key.slice(..key.len() - 1)),
    ];
    for lie in lies {
        let (store, backend) = filled(3).await;
        *backend.lies.lock().unwrap() = Some(lie);
        let kind = |error: Error| error.kind();
        assert_eq!(missing(&store, &[]).await.map_err(kind), Err(ErrorKind::Corrupt));
        let frontier = store.frontier(&CHANNEL).await;
        assert_eq!(frontier.map_err(kind), Err(ErrorKind::Corrupt));
        assert_eq!(
            LogStore::open(backend).await.map(|_| ()).map_err(kind),
            Err(ErrorKind::Corrupt)
        );
    }
}

#[tokio::test]
async fn a_row_that_is_absent_damaged_or_moved_is_corrupt() {
    let (store, backend) = filled(3).await;
    let key = store.numbers().find(&CHANNEL, &entry(1, 1).device).unwrap();
    let row = backend.load(&LOG, &key.entry(1, 0)).await.unwrap().unwrap();
    for damage in [None, Some(Bytes::from("no row")), Some(row)] {
        let mut batch = Batch::new();
        match damage {
            Some(row) => batch.put(LOG, key.entry(3, 0), row),
            None => batch.delete(LOG, key.entry(3, 0)),
        }
        backend.apply(&batch);
        let found = store.entry(&CHANNEL, &entry(1, 3).tip()).await;
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
        let found = missing(&store, &[entry(1, 2)]).await;
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
