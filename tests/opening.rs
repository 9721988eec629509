//! Opening a node by URLs: what is told when a backend does not open.
#![cfg(all(feature = "store-memory", feature = "store-sqlite", feature = "transport-quic"))]
#![allow(clippy::unwrap_used)]

use spacepanda::{AppError, Node, backends, registry::Setup};

async fn refused(store: &str, listen: &str) -> AppError {
    let builder = Node::builder().name("Alice").store(store).listen(listen);
    builder.open().await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_store_that_another_node_has_open_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/alice.db", folder.path().display());
    let other = backends().open_store(&url, Setup::new()).await.unwrap();
    let error = refused(&url, "quic://127.0.0.1:0").await;
    assert_eq!((error.code(), error.is_retryable()), ("store.locked", false));
    assert!(error.to_string().contains(&url), "{error}");
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_transport_that_does_not_open_lets_go_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/alice.db", folder.path().display());
    for (listen, code) in [
        ("quic://example.org", "listen.url_invalid"),
        ("carrier-pigeon:", "listen.scheme_unknown"),
        ("quic://192.0.2.1:0", "listen.url_invalid"),
    ] {
        assert_eq!(refused(&url, listen).await.code(), code, "{listen}");
    }
    backends().open_store(&url, Setup::new()).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_and_named() {
    let other = backends().open_transport("quic://127.0.0.1:0", Setup::new()).await.unwrap();
    let [address] = &other.addresses()[..] else { panic!("one address") };
    let error = refused("memory:", address).await;
    assert_eq!(error.code(), "listen.failed");
    assert!(error.to_string().contains(address.as_str()), "{error}");
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_needed_and_its_url_must_be_one() {
    let error = Node::builder().open().await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "store.none");
    assert_eq!(refused("here", "quic://127.0.0.1:0").await.code(), "store.url_invalid");
    assert_eq!(refused("memory:/a", "quic://127.0.0.1:0").await.code(), "store.url_invalid");
    assert_eq!(refused("stone:tablet", "quic://127.0.0.1:0").await.code(), "store.scheme_unknown");
}
