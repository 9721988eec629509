//! Opens backends by URL, and says to people why one did not open.

use std::sync::Arc;

use super::engine::AppError;
use crate::{
    base::{Error, ErrorKind},
    registry::{Kind, Registry, Setup, Url},
    store::ProviderStorageBackend,
    transport::Transport,
};

/// The schemes there are, and the Cargo feature of `spacepanda` that brings each.
const FEATURES: [(Kind, &str, &str); 3] = [
    (Kind::Store, "memory", "store-memory"),
    (Kind::Store, "sqlite", "store-sqlite"),
    (Kind::Transport, "quic", "transport-quic"),
];

/// Everything that was linked, and which feature brings what is missing.
pub(super) fn linked() -> Registry {
    let mut registry = Registry::linked();
    hint(&mut registry);
    registry
}

/// Tells `registry` which Cargo feature of `spacepanda` brings each scheme there is.
pub fn hint(registry: &mut Registry) {
    for (kind, scheme, feature) in FEATURES {
        registry.hint(kind, scheme, feature);
    }
}

pub(super) async fn store(
    registry: &Registry,
    url: &str,
    setup: Setup,
) -> Result<Arc<dyn ProviderStorageBackend>, AppError> {
    let known = knows(registry.stores().map(|store| store.scheme), url);
    registry.open_store(url, setup).await.map_err(|error| store_failed(&shown(url), known, &error))
}

pub(super) async fn transport(
    registry: &Registry,
    url: &str,
    setup: Setup,
) -> Result<Arc<dyn Transport>, AppError> {
    let known = knows(registry.transports().map(|transport| transport.scheme), url);
    let opened = registry.open_transport(url, setup).await;
    opened.map_err(|error| listen_failed(&shown(url), known, &error))
}

/// Closes what was opened for a node that does not open.
pub(super) async fn let_go(store: &dyn ProviderStorageBackend, transports: &[Arc<dyn Transport>]) {
    for transport in transports {
        // The error that is told is why the node did not open.
        let _ = transport.close().await;
    }
    let _ = store.close().await;
}

pub(super) fn no_store() -> AppError {
    AppError::new(
        "store.none",
        "No store was named for the node, and nothing was opened. Name one, such as `memory:` or \
         `sqlite:///folder/file.db`.",
    )
}

/// A store that opened and whose logs cannot be read.
pub(super) fn unread(error: &Error) -> AppError {
    let (code, then) = match error.kind() {
        ErrorKind::Corrupt => {
            ("store.corrupt", " Restore it from a backup, or name another store.")
        }
        _ => ("store.unavailable", " Look at the store, then try again."),
    };
    said(code, "What the store keeps cannot be read", error, then)
}

fn store_failed(url: &str, known: bool, error: &Error) -> AppError {
    // What a backend says of a newer store or a wrong URL says also what to do.
    let (code, then) = match error.kind() {
        ErrorKind::Locked => return locked(url),
        ErrorKind::Unsupported if !known => ("store.scheme_unknown", ""),
        ErrorKind::Unsupported => ("store.newer", ""),
        ErrorKind::Config => ("store.url_invalid", ""),
        ErrorKind::Corrupt => {
            ("store.corrupt", " Restore it from a backup, or name another store.")
        }
        _ => ("store.unavailable", " Look at the place that it names, then try again."),
    };
    said(code, &format!("The store {url} did not open"), error, then)
}

fn locked(url: &str) -> AppError {
    let sentence = format!(
        "The store {url} is open in another node, which goes on with it. Nothing was changed, and \
         this node is not open. Close the other one, or name another store."
    );
    AppError::new("store.locked", sentence)
}

fn listen_failed(url: &str, known: bool, error: &Error) -> AppError {
    let (code, then) = match error.kind() {
        ErrorKind::Unsupported if !known => ("listen.scheme_unknown", ""),
        ErrorKind::Config => ("listen.url_invalid", " Correct the URL, then open the node again."),
        _ => ("listen.failed", " Name another address or port, or try again."),
    };
    said(code, &format!("The node cannot listen on {url}"), error, then)
}

fn said(code: &'static str, what: &str, error: &Error, then: &str) -> AppError {
    let sentence = format!("{what}: {error}. The node is not open.{then}");
    match error.is_retryable() {
        true => AppError::retryable(code, sentence),
        false => AppError::new(code, sentence),
    }
}

fn knows(mut schemes: impl Iterator<Item = &'static str>, url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| schemes.any(|scheme| scheme == url.scheme()))
}

/// A URL as people are shown it: without what may be a secret.
fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(no URL)".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    if url.password().is_some() || !url.username().is_empty() {
        return format!("{}:(with a name or password)", url.scheme());
    }
    format!("`{url}`")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_open_has_a_stable_code_and_is_named() {
        let code = |kind, known| {
            let error = store_failed("`sqlite:a`", known, &Error::new(kind, "open"));
            assert!(error.to_string().contains("`sqlite:a`"), "{error}");
            error.code()
        };
        assert_eq!(code(ErrorKind::Locked, true), "store.locked");
        assert_eq!(code(ErrorKind::Unsupported, false), "store.scheme_unknown");
        assert_eq!(code(ErrorKind::Unsupported, true), "store.newer");
        assert_eq!(code(ErrorKind::Config, true), "store.url_invalid");
        assert_eq!(code(ErrorKind::Corrupt, true), "store.corrupt");
        assert_eq!(code(ErrorKind::Unavailable, true), "store.unavailable");
        let error = listen_failed("`quic:`", true, &Error::new(ErrorKind::Unavailable, "bind"));
        assert_eq!((error.code(), error.is_retryable()), ("listen.failed", true));
    }

    #[test]
    fn what_may_be_a_secret_in_a_url_is_not_shown() {
        assert_eq!(shown("sqlite:///a/b.db?key=secret#secret"), "`sqlite:///a/b.db`");
        assert!(!shown("postgres://me:secret@host/a").contains("secret"));
        assert!(!shown("secret").contains("secret"));
    }

    #[tokio::test]
    async fn a_scheme_that_is_missing_is_named_with_the_feature_that_brings_it() {
        let mut registry = Registry::new();
        hint(&mut registry);
        let opened = store(&registry, "sqlite:a", Setup::new()).await;
        let error = opened.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "store.scheme_unknown");
        assert!(error.to_string().contains("`store-sqlite`"), "{error}");
        let opened = transport(&registry, "quic://0.0.0.0:0", Setup::new()).await;
        let error = opened.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), "listen.scheme_unknown");
        assert!(error.to_string().contains("`transport-quic`"), "{error}");
    }
}
