use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;
use spacepanda_core::{
    base::Result,
    store::{Batch, Capability, Change, Namespace, Page},
};

use crate::random::{Random, SEED_VARIABLE, seeds};

use super::{
    bench::{Bench, Entries, ONE, OTHER, Store, all},
    runner::Case,
};

/// Runs of each case, with the seeds 0, 1, 2 and so on.
const SEEDS: u64 = 3;
/// Operations of one run.
const OPERATIONS: usize = 400;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("any sequence of calls answers as a map in memory does", calls),
        Case::needing(
            Capability::NONE.durable(),
            "any sequence of calls, closings and openings answers as a map in memory does",
            calls_and_openings,
        ),
    ]
}

fn calls(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { run_seeds(&bench, false).await })
}

fn calls_and_openings(bench: Bench) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { run_seeds(&bench, true).await })
}

async fn run_seeds(bench: &Bench, reopens: bool) -> Result<()> {
    let mut run = Run { store: bench.open().await?, model: Model::default() };
    for seed in seeds(SEEDS) {
        run.clear().await?;
        let mut random = Random::new(seed);
        for at in 0..OPERATIONS {
            let step = format!("operation {at} of {SEED_VARIABLE}={seed}");
            let outcome = if reopens && random.once_in(20) {
                run.reopen(bench, &mut random).await
            } else {
                run.step(&mut random, &step).await.map(|()| run)
            };
            run = outcome.unwrap_or_else(|error| panic!("{:?}: {error}, {step}", error.kind()));
        }
    }
    Ok(())
}

struct Run {
    store: Store,
    model: Model,
}

impl Run {
    async fn step(&mut self, random: &mut Random, step: &str) -> Result<()> {
        match random.below(3) {
            0 => self.save(random).await,
            1 => self.load(random, step).await,
            _ => self.scan(random, step).await,
        }
    }

    async fn reopen(self, bench: &Bench, random: &mut Random) -> Result<Self> {
        let Self { store, model } = self;
        if random.once_in(2) {
            store.close().await?;
        }
        drop(store);
        Ok(Self { store: bench.open().await?, model })
    }

    async fn save(&mut self, random: &mut Random) -> Result<()> {
        let mut batch = Batch::new();
        for _ in 0..random.below(8) {
            if random.once_in(3) {
                batch.delete(namespace(random), key(random));
            } else {
                batch.put(namespace(random), key(random), value(random));
            }
        }
        self.model.apply(&batch);
        self.store.save(batch).await
    }

    async fn load(&self, random: &mut Random, step: &str) -> Result<()> {
        let (namespace, key) = (namespace(random), key(random));
        let loaded = self.store.load(&namespace, &key).await?;
        assert_eq!(loaded, self.model.load(&namespace, &key), "load of {key:?}, {step}");
        Ok(())
    }

    async fn scan(&self, random: &mut Random, step: &str) -> Result<()> {
        let namespace = namespace(random);
        let page = Page {
            prefix: if random.once_in(2) { Bytes::new() } else { key(random) },
            after: random.once_in(2).then(|| key(random)),
            limit: random.below(12),
        };
        let found = self.store.scan(&namespace, page.clone()).await?;
        assert_eq!(found, self.model.scan(&namespace, &page), "scan of {page:?}, {step}");
        Ok(())
    }

    async fn clear(&mut self) -> Result<()> {
        let mut batch = Batch::new();
        for namespace in [ONE, OTHER] {
            for (key, _) in all(&self.store, &namespace).await? {
                batch.delete(namespace.clone(), key);
            }
        }
        self.model.apply(&batch);
        self.store.save(batch).await
    }
}

#[derive(Default)]
struct Model(BTreeMap<(Namespace, Bytes), Bytes>);

impl Model {
    fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            let place = (change.namespace().clone(), change.key().clone());
            match change {
                Change::Put { value, .. } => self.0.insert(place, value.clone()),
                Change::Delete { .. } => self.0.remove(&place),
            };
        }
    }

    fn load(&self, namespace: &Namespace, key: &Bytes) -> Option<Bytes> {
        self.0.get(&(namespace.clone(), key.clone())).cloned()
    }

    // Looks at every entry: nothing that a store's own shortcut could share a mistake with.
    fn scan(&self, namespace: &Namespace, page: &Page) -> Entries {
        let begun = self.0.iter().filter(|((at, key), _)| {
            at == namespace
                && key.starts_with(&page.prefix)
                && page.after.as_ref().is_none_or(|after| key > after)
        });
        begun.map(|((_, key), value)| (key.clone(), value.clone())).take(page.limit).collect()
    }
}

fn namespace(random: &mut Random) -> Namespace {
    if random.once_in(3) { OTHER } else { ONE }
}

// Few and short, of the bytes at which orders go wrong, so that keys meet and begin each other.
fn key(random: &mut Random) -> Bytes {
    (0..random.below(4)).map(|_| [0, 1, b'a', 0xfe, 0xff][random.below(5)]).collect()
}

fn value(random: &mut Random) -> Bytes {
    let len = if random.once_in(20) { 20_000 } else { random.below(20) };
    let byte = random.below(256) as u8;
    Bytes::from(vec![byte; len])
}
