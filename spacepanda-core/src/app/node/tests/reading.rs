use std::sync::Arc;

use bytes::Bytes;

use super::help::{CHANNEL, GatedStore, ROWS};
use crate::{
    app::{
        engine::{Effects, Missing, Reads},
        node::reads::Kept,
    },
    base::{DeviceId, EnvelopeId, Floors, Frontier, LogEntry},
    store::{Page, Placement},
};

#[tokio::test]
async fn every_kind_of_read_sees_what_is_staged() {
    let kept = Kept::open(Arc::new(GatedStore::new())).await.unwrap();
    let entry = LogEntry {
        device: DeviceId::new([5; 32]),
        number: 1,
        id: EnvelopeId::new([6; 32]),
        previous: None,
        body_held: true,
        bytes: Bytes::from_static(b"envelope"),
    };
    let mut effects = Effects { log: vec![(CHANNEL, entry.clone())], ..Effects::default() };
    for number in 0..2_500_u16 {
        effects.batch.put(ROWS, [&b"row"[..], &number.to_be_bytes()].concat(), "value");
    }
    effects.batch.put(ROWS, "other", "value");
    assert!(kept.stage(&mut effects).await.unwrap() > 2_500 * 10);

    let page = Page { prefix: Bytes::from_static(b"row"), after: None, limit: 2 };
    let missing = Missing {
        channel: CHANNEL,
        floors: Floors::from([(entry.device, 1)]),
        have: Frontier::new(),
        limit: 10,
        bytes_max: 1_000,
    };
    let reads = Reads {
        rows: vec![(ROWS, "other".into()), (ROWS, "absent".into())],
        prefixes: vec![(ROWS, "row".into())],
        pages: vec![(ROWS, page.clone())],
        frontiers: vec![CHANNEL],
        entries: vec![(CHANNEL, entry.tip())],
        missing: vec![missing.clone()],
        places: vec![(CHANNEL, entry.clone())],
    };
    let loaded = kept.load(reads).await.unwrap();
    assert_eq!(loaded.rows[&(ROWS, "other".into())].as_deref(), Some(&b"value"[..]));
    assert_eq!(loaded.rows[&(ROWS, "absent".into())], None);
    assert_eq!(loaded.prefixes[&(ROWS, "row".into())].len(), 2_500);
    assert_eq!((&loaded.pages[0].0, loaded.pages[0].1.len()), (&page, 2));
    assert_eq!(loaded.frontiers[&CHANNEL], Frontier::from_iter([entry.tip()]));
    assert_eq!(loaded.entries[&(CHANNEL, entry.tip())].as_ref(), Some(&entry));
    assert_eq!(loaded.places[&(CHANNEL, entry.id)], Placement::Known);
    assert_eq!(loaded.missing, [(missing, vec![entry])]);
}
