#![allow(clippy::unwrap_used)]

mod kept;
mod pages;

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::{entry::tests::entry, *};
use crate::{
    base::EnvelopeId,
    store::{Batch, Namespace, Page},
};

/// A store that answers at once, and counts what was asked of it.
#[derive(Default)]
struct Store {
    rows: BTreeMap<(Namespace, Bytes), Bytes>,
    loads: usize,
    /// How often the last step asked for rows.
    rounds: usize,
}

impl Store {
    fn run<T>(
        &mut self,
        step: impl Fn(&mut Batch, &Rows) -> Result<Step<T>, RowError>,
    ) -> (T, Batch) {
        let mut rows = Rows::new();
        self.rounds = 0;
        loop {
            let mut batch = Batch::new();
            match step(&mut batch, &rows).unwrap() {
                Step::Done(done) => {
                    self.save(batch.clone());
                    return (done, batch);
                }
                Step::Load(keys) => {
                    assert!(batch.is_empty(), "nothing changes before all is there");
                    assert!(!keys.is_empty());
                    self.rounds += 1;
                    for key in keys {
                        let value = self.rows.get(&key).cloned();
                        self.loads += 1;
                        assert!(rows.insert(key, value).is_none(), "no row is asked for twice");
                    }
                }
            }
        }
    }

    fn save(&mut self, batch: Batch) {
        for change in batch.into_changes() {
            let row = (change.namespace().clone(), change.key().clone());
            match change.value() {
                Some(value) => self.rows.insert(row, value.clone()),
                None => self.rows.remove(&row),
            };
        }
    }

    fn put(&mut self, place: &Place, entry: &Entry) -> Entry {
        self.run(|batch, rows| put(batch, rows, place, entry.clone())).0
    }

    fn find(&mut self, place: &Place, number: u8) -> Option<Entry> {
        self.run(|_, rows| find(rows, place, &EnvelopeId::new([number; 32]))).0
    }

    fn scan(&self, (namespace, page): &(Namespace, Page)) -> Vec<(Bytes, Bytes)> {
        self.rows
            .iter()
            .filter(|((space, key), _)| space == namespace && key.starts_with(&page.prefix))
            .filter(|((_, key), _)| page.after.as_ref().is_none_or(|after| key > after))
            .take(page.limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect()
    }

    fn read(&self, channel: u32, cursor: Option<&Cursor>, limit: usize) -> Entries {
        let mut history = History::new(channel, cursor, limit);
        loop {
            let rows = self.scan(&history.scan());
            match history.take(rows).unwrap() {
                Turn::Done(entries) => return entries,
                Turn::More(more) => history = more,
            }
        }
    }

    /// Pages from the end to the beginning, and what they hold together, oldest first.
    fn read_all(&self, channel: u32, limit: usize) -> (Vec<usize>, Vec<Row>) {
        let (mut sizes, mut all, mut cursor) = (Vec::new(), Vec::new(), None);
        loop {
            let page = self.read(channel, cursor.as_ref(), limit);
            sizes.push(page.entries.len());
            all.splice(0..0, page.entries);
            match page.earlier {
                Some(earlier) => cursor = Some(earlier),
                None => return (sizes, all),
            }
        }
    }
}

fn place(order: u64, device: u32, number: u64) -> Place {
    Place { channel: 1, order, device, number }
}

fn orders(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.place.order).collect()
}

/// (order, device, number, id, message, counts), all small so that they meet.
type Sent = (u64, u32, u64, u8, u8, bool);

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = (0u64..6, 1u32..4, 1u64..4, any::<u8>(), 0u8..6, any::<bool>());
    proptest::collection::btree_map(any::<u8>(), one, 0..24).prop_map(|sent| {
        let with_id = |(id, sent): (u8, Sent)| (sent.0, sent.1, sent.2, id, sent.4, sent.5);
        sent.into_iter().map(with_id).collect()
    })
}

/// What is shown, by the definition: what counts and is the first of its name, by (`order`, id).
fn expected(sent: &[Sent]) -> Vec<(u64, u8)> {
    let mut shown: Vec<_> = sent
        .iter()
        .filter(|one| one.5)
        .filter(|one| {
            let same = |other: &&Sent| (other.1, other.4) == (one.1, one.4);
            sent.iter().filter(same).all(|other| (one.0, one.3) <= (other.0, other.3))
        })
        .map(|one| (one.0, one.3))
        .collect();
    shown.sort_unstable();
    shown
}

proptest! {
    #[test]
    fn pages_of_any_size_show_the_same_timeline_in_any_order_of_arrival(
        (sent, shuffled) in sent().prop_flat_map(|sent| {
            (Just(sent.clone()), Just(sent).prop_shuffle())
        }),
        limit in 1usize..9,
    ) {
        for arrival in [&sent, &shuffled] {
            let mut store = Store::default();
            for (order, device, number, id, message, counts) in arrival {
                let entry = Entry { counts: *counts, ..entry(*id, *message) };
                store.put(&place(*order, *device, *number), &entry);
            }
            let (sizes, all) = store.read_all(1, limit);
            let ties = (0..6).map(|order| sent.iter().filter(|one| one.0 == order).count());
            let largest = ties.max().unwrap_or(0).max(limit);
            prop_assert!(sizes.iter().all(|size| *size <= largest));
            let all: Vec<_> =
                all.iter().map(|row| (row.place.order, row.entry.envelope.as_bytes()[0])).collect();
            prop_assert_eq!(all, expected(&sent));
        }
    }

    #[test]
    fn hostile_rows_never_panic(
        rows in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), proptest::collection::vec(any::<u8>(), 0..40)),
            0..4,
        ),
    ) {
        let rows = rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let _ = History::new(1, None, 3).take(rows);
    }
}
