use super::*;

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
