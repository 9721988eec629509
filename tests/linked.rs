//! The plug-ins of a build's features are linked, though nobody names them.
#![cfg(all(feature = "store-sqlite", feature = "transport-quic"))]
#![allow(clippy::unwrap_used)]

use spacepanda::Node;

#[tokio::test]
async fn urls_open_without_a_registry_being_asked_for() {
    let error = Node::builder().store("sqlite:").open().await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "store.url_invalid", "{error}");
}
