//! Two identities in one process never see each other's keys.

use bytes::Bytes;
use minicbor::Decode;
use spacepanda::{
    backends,
    registry::Setup,
    store::{Batch, Namespace, Page, ProviderStorageBackend},
    transport::memory::MemoryNetwork,
};

use crate::{
    over_both_stores,
    world::{Person, Place, converged, found, join, messages, reads},
};

over_both_stores!(no_store_holds_a_secret_of_another_and_its_own_rows_are_enough);

const NAMESPACES: [&str; 11] = [
    "node",
    "log",
    "log_tip",
    "log_number",
    "body",
    "timeline",
    "name",
    "mls",
    "tree",
    "draft",
    "view",
];
const PAGE: usize = 500;

async fn no_store_holds_a_secret_of_another_and_its_own_rows_are_enough(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let (alice, bob) = (alices.open().await, bobs.open().await);
    assert_ne!(alice.identity(), bob.identity());
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    for node in [&alice, &bob] {
        node.send_message(server, channel, "hello").await.unwrap();
    }
    converged(&[&alice, &bob], server).await;
    let listed = messages(&bob, server, channel).await;
    alice.close().await.unwrap();
    bob.close().await.unwrap();

    let (alices_rows, bobs_rows) = (rows(&alices.place).await, rows(&bobs.place).await);
    for (own, others) in [(&alices_rows, &bobs_rows), (&bobs_rows, &alices_rows)] {
        for secret in account(own) {
            assert!(holds(own, &secret), "the secret is looked for where it is");
            assert!(!holds(others, &secret), "another's store holds this secret");
        }
        for private in private_rows(own) {
            assert!(!others.iter().any(|(_, _, value)| *value == private), "a private row");
        }
    }
    assert!(!private_rows(&bobs_rows).is_empty(), "the key package by which Bob came");

    // A store of its own rows alone goes on, in the same group.
    let copy = backends().open_store("memory:", Setup::new()).await.unwrap();
    copy_into(&*copy, bobs_rows).await;
    let alice = alices.open().await;
    let bob = bobs.open_over(copy).await;
    assert_eq!(messages(&bob, server, channel).await.len(), listed.len());
    bob.send_message(server, channel, "from a copy").await.unwrap();
    reads(&alice, server, channel, "from a copy").await;
    converged(&[&alice, &bob], server).await;
}

type Row = (Namespace, Bytes, Bytes);

async fn rows(place: &Place) -> Vec<Row> {
    let store = place.store().await;
    let mut rows = Vec::new();
    for name in NAMESPACES {
        let namespace = Namespace::new(name);
        let mut after = None;
        loop {
            let page = Page { prefix: Bytes::new(), after, limit: PAGE };
            let found = store.scan(&namespace, page).await.unwrap();
            after = found.last().map(|(key, _)| key.clone());
            let full = found.len() == PAGE;
            rows.extend(found.into_iter().map(|(key, value)| (namespace.clone(), key, value)));
            if !full {
                break;
            }
        }
    }
    store.close().await.unwrap();
    rows
}

async fn copy_into(store: &dyn ProviderStorageBackend, rows: Vec<Row>) {
    let mut batch = Batch::new();
    for (namespace, key, value) in rows {
        batch.put(namespace, key, value);
    }
    store.save(batch).await.unwrap();
}

/// The secrets in the account's row: of the identity and of the device.
#[derive(Decode)]
#[cbor(map)]
struct Account {
    #[cbor(n(0), with = "minicbor::bytes")]
    identity: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 32],
}

fn account(rows: &[Row]) -> [[u8; 32]; 2] {
    let row = rows.iter().find(|(at, key, _)| at.as_str() == "node" && **key == *b"account");
    let account: Account = minicbor::decode(&row.unwrap().2).unwrap();
    [account.identity, account.device]
}

/// The private parts of key packages: of what OpenMLS keeps the rows that no two members share.
fn private_rows(rows: &[Row]) -> Vec<Bytes> {
    let is_private = |(at, key, _): &&Row| {
        at.as_str() == "mls"
            && [&b"key-package"[..], b"encryption-key"]
                .iter()
                .any(|name| key.windows(name.len()).any(|window| window == *name))
    };
    rows.iter().filter(is_private).map(|(_, _, value)| value.clone()).collect()
}

fn holds(rows: &[Row], secret: &[u8; 32]) -> bool {
    rows.iter().any(|(_, key, value)| [key, value].iter().any(|bytes| contains(bytes, secret)))
}

fn contains(bytes: &[u8], secret: &[u8; 32]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}
