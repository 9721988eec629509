#![allow(clippy::unwrap_used)]

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
}

impl Store {
    fn run<T>(
        &mut self,
        step: impl Fn(&mut Batch, &Rows) -> Result<Step<T>, RowError>,
    ) -> (T, Batch) {
        let mut rows = Rows::new();
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

#[test]
fn a_message_costs_two_reads_and_two_writes_at_any_size() {
    let mut store = Store::default();
    for number in 1..=100u8 {
        store.loads = 0;
        let at = place(u64::from(number), 1, u64::from(number));
        let (_, batch) = store.run(|batch, rows| put(batch, rows, &at, entry(number, number)));
        assert_eq!((store.loads, batch.changes().len()), (2, 2));
    }
}

#[test]
fn history_is_read_from_the_newest_back() {
    let mut store = Store::default();
    for number in 1..=5 {
        store.put(&place(u64::from(number), 1, u64::from(number)), &entry(number, number));
    }
    store.put(&Place { channel: 2, ..place(9, 1, 1) }, &entry(9, 9));
    let page = store.read(1, None, 2);
    assert_eq!(orders(&page.entries), [4, 5]);
    let page = store.read(1, page.earlier.as_ref(), 2);
    assert_eq!(orders(&page.entries), [2, 3]);
    let page = store.read(1, page.earlier.as_ref(), 2);
    assert_eq!(orders(&page.entries), [1]);
    assert_eq!(page.earlier, None);
}

#[test]
fn a_cursor_says_what_comes_before_an_order() {
    let mut store = Store::default();
    for number in 1..=5 {
        store.put(&place(u64::from(number), 1, u64::from(number)), &entry(number, number));
    }
    let page = store.read(1, Some(&Cursor::before(1, 4)), 2);
    assert_eq!(orders(&page.entries), [2, 3]);
    let other = store.read(1, Some(&Cursor::before(2, 4)), 2);
    assert_eq!(orders(&other.entries), [4, 5]);
    assert_eq!(store.read(1, Some(&Cursor::before(1, 0)), 2), Entries::default());
}

#[test]
fn equal_orders_are_sorted_by_id_and_never_parted() {
    let mut store = Store::default();
    store.put(&place(1, 1, 1), &entry(50, 50));
    for (device, id) in [(1, 30), (2, 10), (3, 20)] {
        store.put(&place(7, device, 5), &entry(id, id));
    }
    store.put(&place(8, 1, 6), &entry(60, 60));
    let page = store.read(1, None, 2);
    assert_eq!(orders(&page.entries), [8]);
    let page = store.read(1, page.earlier.as_ref(), 2);
    let ids: Vec<_> = page.entries.iter().map(|row| row.entry.envelope.as_bytes()[0]).collect();
    assert_eq!(ids, [10, 20, 30]);
    let page = store.read(1, page.earlier.as_ref(), 2);
    assert_eq!((orders(&page.entries), page.earlier), (vec![1], None));
}

#[test]
fn more_ties_than_can_be_sorted_are_still_all_read() {
    let mut store = Store::default();
    let count = 2 * TIES_MAX + 10;
    for number in 1..=count {
        let mut tied = entry(1, 1);
        tied.envelope = EnvelopeId::new(blake3::hash(&number.to_be_bytes()).into());
        tied.message = crate::base::MessageId::new((number as u128).to_be_bytes());
        store.put(&place(7, 1, number as u64), &tied);
    }
    store.put(&place(1, 1, 1), &entry(9, 9));
    let (sizes, all) = store.read_all(1, 10);
    assert_eq!(all.len(), count + 1);
    assert!(sizes.iter().all(|size| *size <= 2 * TIES_MAX));
}

#[test]
fn what_does_not_count_is_kept_and_not_shown() {
    let mut store = Store::default();
    let at = place(1, 1, 1);
    store.put(&at, &entry(1, 1));
    let id = EnvelopeId::new([1; 32]);
    let (revised, _) = store.run(|batch, rows| set_counts(batch, rows, &at, &id, false));
    assert!(!revised.unwrap().counts);
    assert!(store.read(1, None, 5).entries.is_empty());
    let (again, batch) = store.run(|batch, rows| set_counts(batch, rows, &at, &id, false));
    assert!(again.is_some() && batch.is_empty());
    store.run(|batch, rows| set_counts(batch, rows, &at, &id, true));
    assert_eq!(store.read(1, None, 5).entries[0].entry, entry(1, 1));
}

#[test]
fn a_page_of_hidden_entries_is_empty_and_goes_on() {
    let mut store = Store::default();
    for number in 1..=4u8 {
        let hidden = Entry { counts: number < 2, ..entry(number, number) };
        store.put(&place(u64::from(number), 1, u64::from(number)), &hidden);
    }
    let page = store.read(1, None, 2);
    assert!(page.entries.is_empty() && page.earlier.is_some());
    assert_eq!(orders(&store.read_all(1, 2).1), [1]);
}

#[test]
fn what_was_waiting_gets_its_text() {
    let mut store = Store::default();
    let at = place(1, 1, 1);
    store.put(&at, &Entry { reading: Reading::Waiting, ..entry(1, 1) });
    let reading = entry(1, 1).reading;
    let id = EnvelopeId::new([1; 32]);
    store.run(|batch, rows| set_reading(batch, rows, &at, &id, reading.clone()));
    assert_eq!(store.find(&at, 1), Some(entry(1, 1)));
    let missing =
        store.run(|batch, rows| set_reading(batch, rows, &place(2, 1, 2), &id, reading.clone()));
    assert_eq!(missing, (None, Batch::new()));
}

#[test]
fn both_branches_of_a_forked_log_have_an_entry() {
    let mut store = Store::default();
    let at = place(5, 1, 3);
    store.put(&at, &entry(1, 1));
    store.put(&at, &entry(2, 2));
    store.put(&at, &entry(2, 2));
    assert_eq!(store.find(&at, 1), Some(entry(1, 1)));
    assert_eq!(store.find(&at, 2), Some(entry(2, 2)));
    assert_eq!(store.find(&at, 3), None);
    assert_eq!(orders(&store.read(1, None, 9).entries), [5, 5]);
}

#[test]
fn of_two_envelopes_with_one_name_the_first_has_it_whichever_came_first() {
    let (early, late) = ((place(1, 1, 1), entry(8, 1)), (place(2, 1, 2), entry(2, 1)));
    for order in [[&early, &late], [&late, &early]] {
        let mut store = Store::default();
        for (place, entry) in order {
            store.put(place, entry);
        }
        let all = store.read(1, None, 9).entries;
        assert_eq!(orders(&all), [1]);
        assert!(!store.find(&late.0, 2).unwrap().first);
    }
}

#[test]
fn one_name_in_two_channels_or_of_two_devices_is_two_names() {
    let mut store = Store::default();
    store.put(&place(1, 1, 1), &entry(1, 1));
    assert!(store.put(&place(2, 2, 1), &entry(2, 1)).first);
    assert!(store.put(&Place { channel: 2, ..place(3, 1, 2) }, &entry(3, 1)).first);
}

#[test]
fn a_store_that_gives_other_rows_is_found_out() {
    let mut store = Store::default();
    for number in 1..=4 {
        store.put(&place(u64::from(number), 1, u64::from(number)), &entry(number, number));
    }
    let history = || History::new(1, None, 3);
    let good = store.scan(&history().scan());
    let refused = |rows: Vec<(Bytes, Bytes)>| history().take(rows).err() == Some(RowError::Scan);
    assert!(history().take(good.clone()).is_ok());
    assert!(refused(good.iter().rev().cloned().collect()));
    assert!(refused(vec![good[0].clone(), good[0].clone()]));
    assert!(refused([good.clone(), good.clone()].concat()));
    let foreign = row_key(&Place { channel: 2, ..place(1, 1, 1) });
    assert!(refused(vec![(foreign, good[0].1.clone())]));
}

#[test]
fn a_damaged_row_is_an_error_and_no_panic() {
    let at = place(1, 1, 1);
    let damaged = Rows::from([
        ((TIMELINE, row_key(&at)), Some(Bytes::from_static(b"\xff"))),
        ((NAMES, name_key(1, 1, &entry(1, 1).message)), None),
    ]);
    let refused = put(&mut Batch::new(), &damaged, &at, entry(1, 1));
    assert!(matches!(refused, Err(RowError::Value(_))), "{refused:?}");
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
