//! The statements over the one table. Each of them sees one state of the database.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params};
use spacepanda_core::{
    base::limits::{KEY_LEN_MAX, VALUE_LEN_MAX},
    store::{Change, Namespace, Page},
};

/// Reads one value.
pub(crate) fn load(
    connection: &Connection,
    namespace: &Namespace,
    key: &[u8],
) -> rusqlite::Result<Option<Bytes>> {
    connection
        .prepare_cached("SELECT value FROM entry WHERE namespace = ?1 AND key = ?2")?
        .query_row(params![namespace.as_str(), key], |row| blob(row, 0, VALUE_LEN_MAX))
        .optional()
}

/// Reads one page.
pub(crate) fn scan(
    connection: &Connection,
    namespace: &Namespace,
    page: &Page,
) -> rusqlite::Result<Vec<(Bytes, Bytes)>> {
    let (name, first) = (namespace.as_str(), first_key(page));
    // A page is at most `PAGE_LIMIT_MAX` long, so the limit fits.
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    // Two statements: an open end written into the one would cost it the index for the closed end.
    match successor(&page.prefix) {
        Some(end) => entries(
            connection.prepare_cached(
                "SELECT key, value FROM entry
                 WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
            )?,
            params![name, first, end, limit],
        ),
        None => entries(
            connection.prepare_cached(
                "SELECT key, value FROM entry
                 WHERE namespace = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
            )?,
            params![name, first, limit],
        ),
    }
}

/// Makes one change, inside whatever transaction is open.
pub(crate) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    let (namespace, key) = (change.namespace().as_str(), &change.key()[..]);
    match change.value() {
        Some(value) => connection
            .prepare_cached(
                "INSERT INTO entry (namespace, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![namespace, key, &value[..]])?,
        None => connection
            .prepare_cached("DELETE FROM entry WHERE namespace = ?1 AND key = ?2")?
            .execute(params![namespace, key])?,
    };
    Ok(())
}

fn entries(
    mut statement: CachedStatement<'_>,
    params: &[&dyn ToSql],
) -> rusqlite::Result<Vec<(Bytes, Bytes)>> {
    statement
        .query_map(params, |row| Ok((blob(row, 0, KEY_LEN_MAX)?, blob(row, 1, VALUE_LEN_MAX)?)))?
        .collect()
}

/// Copies a column out, unless it is longer than anything this store ever wrote.
fn blob(row: &Row<'_>, column: usize, len_max: usize) -> rusqlite::Result<Bytes> {
    let bytes = row.get_ref(column)?.as_blob()?;
    if bytes.len() > len_max {
        return Err(rusqlite::Error::IntegralValueOutOfRange(column, bytes.len() as i64));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

/// The least key that may be on the page.
fn first_key(page: &Page) -> Vec<u8> {
    match &page.after {
        // Nothing lies between a key and the same key followed by a zero.
        Some(after) if *after >= page.prefix => [after, &[0][..]].concat(),
        _ => page.prefix.to_vec(),
    }
}

/// The least key that is greater than all that begin with `prefix`; none if there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_of_a_prefix_drops_what_cannot_grow() {
        assert_eq!(successor(b"a"), Some(b"b".to_vec()));
        assert_eq!(successor(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(successor(b"\xff\xfe\xff"), Some(b"\xff\xff".to_vec()));
        assert_eq!(successor(b"\xff\xff"), None);
        assert_eq!(successor(b""), None);
    }

    #[test]
    fn a_page_begins_at_the_greater_of_prefix_and_beginning() {
        let first = |prefix: &'static [u8], after: Option<&'static [u8]>| {
            first_key(&Page {
                prefix: Bytes::from_static(prefix),
                after: after.map(Bytes::from_static),
                limit: 1,
            })
        };
        assert_eq!(first(b"b", None), b"b");
        assert_eq!(first(b"b", Some(b"a\xff")), b"b");
        assert_eq!(first(b"b", Some(b"b")), b"b\0");
        assert_eq!(first(b"b", Some(b"c")), b"c\0");
    }
}
