use bytes::Bytes;

use super::{Namespace, Page, ProviderStorageBackend};
use crate::base::{
    Error, ErrorKind, Result,
    limits::{KEY_LEN_MAX, PAGE_LIMIT_MAX, VALUE_LEN_MAX},
};

/// Loads a value and refuses an answer that breaks the port's contract.
///
/// # Errors
/// The backend's; `Corrupt` for a value above `VALUE_LEN_MAX`.
pub(super) async fn load<S: ProviderStorageBackend + ?Sized>(
    backend: &S,
    namespace: &Namespace,
    key: &[u8],
) -> Result<Option<Bytes>> {
    let value = backend.load(namespace, key).await?;
    match value {
        Some(value) if value.len() > VALUE_LEN_MAX => Err(broken("load", namespace)),
        value => Ok(value),
    }
}

/// Scans a page and refuses an answer that breaks the port's contract.
///
/// # Errors
/// The backend's; `Corrupt` for too many entries, entries out of order, twice, outside the page or too
/// large.
pub(super) async fn scan<S: ProviderStorageBackend + ?Sized>(
    backend: &S,
    namespace: &Namespace,
    page: Page,
) -> Result<Vec<(Bytes, Bytes)>> {
    let entries = backend.scan(namespace, page.clone()).await?;
    if entries.len() > page.limit.min(PAGE_LIMIT_MAX) {
        return Err(broken("scan", namespace));
    }
    let mut last = page.after.as_ref();
    for (key, value) in &entries {
        let fits = key.len() <= KEY_LEN_MAX && value.len() <= VALUE_LEN_MAX;
        if !fits || !key.starts_with(&page.prefix) || last.is_some_and(|last| last >= key) {
            return Err(broken("scan", namespace));
        }
        last = Some(key);
    }
    Ok(entries)
}

fn broken(verb: &str, namespace: &Namespace) -> Error {
    let sentence = format!("{verb} `{namespace}`: the store's answer breaks its contract");
    Error::new(ErrorKind::Corrupt, sentence)
}
