use super::*;

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
fn where_logs_fork_and_use_a_name_twice_four_rounds_of_loading_and_no_more_are_needed() {
    let (early, late) = (place(5, 1, 3), place(6, 1, 4));
    let mut store = Store::default();
    store.put(&early, &entry(1, 1));
    store.put(&late, &entry(2, 2));
    store.put(&late, &entry(3, 3));
    // Beside another, and its name is taken from one that stands beside another.
    store.put(&early, &entry(4, 3));
    assert_eq!(store.rounds, 4);
    assert!(store.find(&early, 4).unwrap().first && !store.find(&late, 3).unwrap().first);
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
fn a_damaged_row_is_an_error_and_no_panic() {
    let at = place(1, 1, 1);
    let damaged = Rows::from([
        ((TIMELINE, row_key(&at)), Some(Bytes::from_static(b"\xff"))),
        ((NAMES, name_key(1, 1, &entry(1, 1).message)), None),
    ]);
    let refused = put(&mut Batch::new(), &damaged, &at, entry(1, 1));
    assert!(matches!(refused, Err(RowError::Value(_))), "{refused:?}");
}
