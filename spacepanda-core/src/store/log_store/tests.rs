#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

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

/// Entries of one log of which each follows one of those before it, or begins the log, by chance.
fn tree(rng: &mut ChaCha8Rng, len: usize) -> Vec<LogEntry> {
    let mut tree = vec![entry(1, 1)];
    for n in 1..len {
        let after = match rng.next_u32() % 8 {
            0 => rng.next_u32() as usize % n,
            _ => n - 1,
        };
        let (number, previous) = match rng.next_u32() % 32 {
            0 => (1, None),
            _ => (tree[after].number + 1, Some(tree[after].id)),
        };
        let id = EnvelopeId::new(*blake3::hash(&rng.next_u64().to_be_bytes()).as_bytes());
        tree.push(LogEntry { number, previous, id, ..entry(1, 1) });
    }
    tree
}

/// A store that took `entries` as they came, after gaps where it must; those it took, in order.
async fn taken(entries: Vec<LogEntry>) -> (LogStore, Arc<Counting>, Vec<LogEntry>) {
    let backend = Arc::new(Counting::default());
    let store = LogStore::open(backend.clone()).await.unwrap();
    let mut taken = Vec::new();
    for entry in entries {
        let mut batch = Batch::new();
        match store.place(&CHANNEL, &entry).await.unwrap() {
            Placement::New | Placement::Forked => store.append(&mut batch, &CHANNEL, &entry).await,
            Placement::Beyond => store.append_after_gap(&mut batch, &CHANNEL, &entry).await,
            Placement::Known | Placement::Gap => continue,
        }
        .unwrap();
        backend.apply(&batch);
        taken.push(entry);
    }
    (store, backend, taken)
}

/// Whichever of `entries` are in the past of `tips`.
fn past(entries: &[LogEntry], tips: &[Tip]) -> Vec<EnvelopeId> {
    let mut past = Vec::new();
    let mut next: Vec<Tip> = tips.to_vec();
    while let Some(tip) = next.pop() {
        if let Some(entry) = entries.iter().find(|entry| entry.tip() == tip) {
            past.push(entry.id);
            next.extend(entry.before());
        }
    }
    past
}

#[tokio::test]
async fn of_forked_logs_with_gaps_the_tips_and_what_is_missing_are_as_its_entries_say() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut entries = tree(&mut rng, 40);
        for n in (1..entries.len()).rev().filter(|n| n % 3 == 0) {
            entries.swap(n, n - 1 - rng.next_u32() as usize % n.min(4));
        }
        let (store, _, entries) = taken(entries).await;
        let followed = |tip: &Tip| entries.iter().any(|entry| entry.before() == Some(*tip));
        let tips = entries.iter().map(LogEntry::tip).filter(|tip| !followed(tip)).collect();
        let frontier: Frontier = store.frontier(&CHANNEL).await.unwrap().tips().collect();
        assert_eq!(frontier, tips, "seed {seed}");

        for shown in 0..6 {
            let shown = (0..shown).map(|_| entries[rng.next_u32() as usize % entries.len()].tip());
            let shown: Vec<Tip> = shown.collect();
            let untrue = shown.iter().map(|tip| Tip { id: EnvelopeId::new([9; 32]), ..*tip });
            let have = shown.iter().copied().chain(untrue.take(1)).collect();
            let floor = 1 + u64::from(rng.next_u32() % 6);
            let floors = Floors::from([(entry(1, 1).device, floor)]);
            let missing = store.missing(&CHANNEL, &floors, &have, 1_000, usize::MAX).await.unwrap();
            let past = past(&entries, &shown);
            let lacked = |it: &&LogEntry| it.number >= floor && !past.contains(&it.id);
            let lacked: Vec<LogEntry> = entries.iter().filter(lacked).cloned().collect();
            assert_eq!(missing, lacked, "seed {seed}, from {floor}, {shown:?}");
        }
    }
}

#[tokio::test]
async fn tips_that_nobody_wrote_cost_what_is_held_and_not_what_was_sent() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (store, backend, entries) = taken(tree(&mut rng, 300)).await;
    let device = entry(1, 1).device;
    let untrue = (0..2 * FORKS_MAX as u64).map(|n| {
        let id = EnvelopeId::new(*blake3::hash(&n.to_be_bytes()).as_bytes());
        Tip { device, number: 1 + n % 60, id }
    });
    let (floors, have) = (Floors::from([(device, 1)]), untrue.collect());
    backend.read();
    assert_eq!(store.missing(&CHANNEL, &floors, &have, 1, 1).await.unwrap(), entries[..1]);
    // Every header at most once, and, to begin with, one more of each branch.
    let read = backend.read();
    assert!(read < 2 * entries.len(), "{read} rows were read");
}
