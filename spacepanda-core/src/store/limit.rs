//! What every backend refuses before it touches anything.

use bytes::Bytes;

use super::{Batch, Page};
use crate::base::{
    Error, ErrorKind, Result,
    limits::{KEY_LEN_MAX, PAGE_LIMIT_MAX, VALUE_LEN_MAX},
};

/// Refuses a key that is too long.
///
/// # Errors
/// `TooLarge` above `KEY_LEN_MAX`.
pub fn check_key(key: &[u8]) -> Result<()> {
    refuse_above("key", key.len(), KEY_LEN_MAX)
}

/// Refuses a batch of which any key or value is too long.
///
/// # Errors
/// `TooLarge` above `KEY_LEN_MAX` or `VALUE_LEN_MAX`.
pub fn check_batch(batch: &Batch) -> Result<()> {
    for change in batch.changes() {
        check_key(change.key())?;
        refuse_above("value", change.value().map_or(0, Bytes::len), VALUE_LEN_MAX)?;
    }
    Ok(())
}

/// Refuses a page that is too long, or bounded by something longer than a key.
///
/// # Errors
/// `TooLarge` above `PAGE_LIMIT_MAX` or `KEY_LEN_MAX`.
pub fn check_page(page: &Page) -> Result<()> {
    check_key(&page.prefix)?;
    page.after.as_ref().map_or(Ok(()), |after| check_key(after))?;
    refuse_above("page", page.limit, PAGE_LIMIT_MAX)
}

fn refuse_above(what: &str, len: usize, max: usize) -> Result<()> {
    if len <= max {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, format!("a {what} of {len}, where {max} is the most")))
}
