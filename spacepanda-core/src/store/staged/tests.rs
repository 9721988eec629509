#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use tokio::sync::{Semaphore, watch};

use super::*;

const NAMESPACES: [Namespace; 2] = [Namespace::new("a"), Namespace::new("b")];

type Rows = BTreeMap<(Namespace, Bytes), Bytes>;

/// A store in memory whose saves wait at a gate, and fail when told.
struct Gated {
    rows: Mutex<Rows>,
    gate: Semaphore,
    fails: Mutex<bool>,
    arrived: watch::Sender<usize>,
}

impl Gated {
    fn new(open: bool) -> Arc<Self> {
        let gate = Semaphore::new(if open { Semaphore::MAX_PERMITS } else { 0 });
        let (rows, fails) = (Mutex::default(), Mutex::new(false));
        Arc::new(Self { rows, gate, fails, arrived: watch::Sender::new(0) })
    }
}

fn apply(rows: &mut Rows, batch: Batch) {
    for change in batch.into_changes() {
        let place = (change.namespace().clone(), change.key().clone());
        match change.value() {
            Some(value) => rows.insert(place, value.clone()),
            None => rows.remove(&place),
        };
    }
}

fn page_of(rows: &Rows, namespace: &Namespace, page: &Page) -> Vec<(Bytes, Bytes)> {
    rows.iter()
        .filter(|((at, key), _)| {
            at == namespace
                && key.starts_with(&page.prefix)
                && page.after.as_ref().is_none_or(|after| key > after)
        })
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .take(page.limit)
        .collect()
}

#[async_trait]
impl ProviderStorageBackend for Gated {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        let place = (namespace.clone(), Bytes::copy_from_slice(key));
        Ok(self.rows.lock().unwrap().get(&place).cloned())
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        let found = page_of(&self.rows.lock().unwrap(), namespace, &page);
        tokio::task::yield_now().await;
        Ok(found)
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.arrived.send_modify(|count| *count += 1);
        self.gate.acquire().await.unwrap().forget();
        if *self.fails.lock().unwrap() {
            return Err(Error::new(ErrorKind::Unavailable, "save"));
        }
        apply(&mut self.rows.lock().unwrap(), batch);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability::NONE
    }
}

fn put(key: &'static str, value: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(NAMESPACES[0].clone(), key, value);
    batch
}

fn all(limit: usize) -> Page {
    Page { prefix: Bytes::new(), after: None, limit }
}

async fn value(staged: &Staged<Gated>, key: &str) -> Option<Bytes> {
    staged.load(&NAMESPACES[0], key.as_bytes()).await.unwrap()
}

fn random_key(rng: &mut ChaCha20Rng) -> Bytes {
    let len = rng.next_u32() as usize % 4;
    (0..len).map(|_| b"xyz"[rng.next_u32() as usize % 3]).collect::<Vec<u8>>().into()
}

fn random_batch(rng: &mut ChaCha20Rng) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..rng.next_u32() % 6 {
        let namespace = NAMESPACES[rng.next_u32() as usize % 2].clone();
        match rng.next_u32() % 3 {
            0 => batch.delete(namespace, random_key(rng)),
            _ => batch.put(namespace, random_key(rng), rng.next_u64().to_be_bytes().to_vec()),
        }
    }
    batch
}

#[tokio::test]
async fn whatever_is_staged_and_saved_it_answers_like_one_map() {
    for seed in 0..60 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let staged = Staged::new(Gated::new(true));
        let mut model = Rows::new();
        for _ in 0..120 {
            let namespace = &NAMESPACES[rng.next_u32() as usize % 2];
            match rng.next_u32() % 4 {
                0 => {
                    let batch = random_batch(&mut rng);
                    apply(&mut model, batch.clone());
                    staged.stage(batch);
                }
                1 => staged.flush().await.unwrap(),
                2 => {
                    let key = random_key(&mut rng);
                    let found = staged.load(namespace, &key).await.unwrap();
                    let expected = model.get(&(namespace.clone(), key)).cloned();
                    assert_eq!(found, expected, "seed {seed}");
                }
                _ => {
                    let after = (rng.next_u32() % 2 == 0).then(|| random_key(&mut rng));
                    let (prefix, limit) = (random_key(&mut rng), rng.next_u32() as usize % 9);
                    let page = Page { prefix: prefix.slice(..prefix.len() / 2), after, limit };
                    let found = staged.scan(namespace, page.clone()).await.unwrap();
                    assert_eq!(found, page_of(&model, namespace, &page), "seed {seed}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_row_is_visible_from_staging_on_and_saves_gather() {
    let backend = Gated::new(false);
    let mut arrived = backend.arrived.subscribe();
    let staged = Arc::new(Staged::new(backend.clone()));
    staged.stage(put("1", "one"));
    assert!(!staged.is_empty());
    let flushing = tokio::spawn({
        let staged = staged.clone();
        async move { staged.flush().await }
    });
    arrived.wait_for(|count| *count == 1).await.unwrap();
    assert!(staged.is_empty());
    assert_eq!(value(&staged, "1").await.unwrap(), "one");

    staged.stage(put("2", "two"));
    staged.stage(put("1", "uno"));
    assert_eq!(value(&staged, "1").await.unwrap(), "uno");
    assert_eq!(staged.scan(&NAMESPACES[0], all(9)).await.unwrap().len(), 2);
    backend.gate.add_permits(2);
    flushing.await.unwrap().unwrap();
    assert_eq!(value(&staged, "1").await.unwrap(), "uno");
    staged.flush().await.unwrap();
    assert_eq!(*arrived.borrow(), 2);
    assert_eq!(backend.load(&NAMESPACES[0], b"1").await.unwrap().unwrap(), "uno");
}

#[tokio::test]
async fn a_failed_save_drops_everything_staged_and_tells_whoever_waits() {
    let backend = Gated::new(false);
    let mut arrived = backend.arrived.subscribe();
    let staged = Arc::new(Staged::new(backend.clone()));
    let save = |batch: Batch| {
        let staged = staged.clone();
        tokio::spawn(async move { staged.save(batch).await })
    };
    let first = save(put("1", "one"));
    arrived.wait_for(|count| *count == 1).await.unwrap();
    let second = save(put("2", "two"));
    while staged.is_empty() {
        tokio::task::yield_now().await;
    }
    *backend.fails.lock().unwrap() = true;
    backend.gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(second.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(staged.is_empty());
    assert_eq!(value(&staged, "1").await, None);
    assert_eq!(value(&staged, "2").await, None);

    *backend.fails.lock().unwrap() = false;
    backend.gate.add_permits(1);
    staged.save(put("3", "three")).await.unwrap();
    assert_eq!(value(&staged, "3").await.unwrap(), "three");
}

#[tokio::test]
async fn a_dropped_save_counts_as_failed() {
    let staged = Staged::new(Gated::new(false));
    staged.stage(put("1", "one"));
    {
        let mut flush = std::pin::pin!(staged.flush());
        assert!(futures::poll!(&mut flush).is_pending());
        staged.stage(put("2", "two"));
    }
    assert!(staged.is_empty());
    assert_eq!(value(&staged, "1").await, None);
}

#[tokio::test]
async fn a_scan_sees_a_batch_whole_though_it_is_saved_meanwhile() {
    let staged = Staged::new(Gated::new(true));
    let mut batch = put("1", "old");
    batch.append(put("2", "old"));
    staged.save(batch).await.unwrap();

    // One entry per page of the backend: the first is read before the save, the second after it.
    let namespace = &NAMESPACES[0];
    let mut delete = Batch::new();
    delete.delete(NAMESPACES[0].clone(), "1");
    delete.append(put("2", "new"));
    let mut scan = std::pin::pin!(staged.scan(namespace, all(1)));
    assert!(futures::poll!(&mut scan).is_pending());
    staged.save(delete).await.unwrap();
    assert_eq!(scan.await.unwrap(), [(Bytes::from("2"), Bytes::from("new"))]);
}

#[tokio::test]
async fn readers_see_every_batch_whole_while_a_writer_goes_on() {
    let staged = Arc::new(Staged::new(Gated::new(true)));
    let pair = |round: u32| [0, 1].map(|half| Bytes::from(format!("{round:05}{half}")));
    let step = move |round: u32| {
        let mut batch = Batch::new();
        for (old, new) in pair(round).into_iter().zip(pair(round + 1)) {
            batch.delete(NAMESPACES[0].clone(), old);
            batch.put(NAMESPACES[0].clone(), new, "");
        }
        batch
    };
    staged.save(step(0)).await.unwrap();
    let writer = tokio::spawn({
        let staged = staged.clone();
        async move {
            for round in 1..400 {
                staged.stage(step(round));
                if round % 3 > 0 {
                    tokio::task::yield_now().await;
                }
                if round % 5 > 0 {
                    staged.flush().await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        }
    });
    while !writer.is_finished() {
        for limit in [2, 5] {
            let found = staged.scan(&NAMESPACES[0], all(limit)).await.unwrap();
            let keys: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), 2, "{keys:?}");
            assert_eq!(keys[0][..5], keys[1][..5]);
        }
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_staged() {
    let staged = Staged::new(Gated::new(true));
    let mut batch = put("1", "one");
    batch.put(NAMESPACES[0].clone(), vec![0; KEY_LEN_MAX + 1], "");
    assert_eq!(staged.save(batch).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(value(&staged, "1").await, None);
    let scan = staged.scan(&NAMESPACES[0], all(PAGE_LIMIT_MAX + 1)).await;
    assert_eq!(scan.unwrap_err().kind(), ErrorKind::TooLarge);
}
