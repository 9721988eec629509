use rusqlite::ErrorCode;
use spacepanda_core::base::{Error, ErrorKind};

/// Says that `attempt` failed in SQLite: `Corrupt` if the file is damaged, else `Unavailable`.
pub(crate) fn failed(attempt: impl Into<String>, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        _ if is_damaged_row(&error) => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, attempt).with_source(error)
}

/// Says that the store at hand was closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the SQLite store is closed")
}

/// Says that a thread of the store ended before it answered.
pub(crate) fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "a thread of the SQLite store ended without an answer")
}

fn is_damaged_row(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..)
    )
}
