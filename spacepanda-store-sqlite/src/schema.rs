//! Whose file it is, which version, and how connections to it behave.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use spacepanda_core::base::{Error, ErrorKind, Result};

use crate::error::failed;

/// Says in the file's header whose it is: "SPND".
const APPLICATION_ID: i32 = 0x5350_4e44;
/// The layout this program reads and writes.
const SCHEMA_VERSION: i32 = 1;
/// Bytes that the journal keeps on disk after a large batch.
const JOURNAL_LEN_KEPT: u32 = 16 * 1024 * 1024;

// A key is found by namespace and key alone, so the rows themselves are the index.
const CREATE: &str = "CREATE TABLE entry (
    namespace TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID";

/// Opens the connection that writes, after it has checked that the file is this program's and of a
/// version it knows, or made an empty file so.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let mut connection = connect(path)?;
    check_or_create(&mut connection, path)?;
    use_wal(&connection, path)?;
    Ok(connection)
}

/// Opens one that reads. The writer must be open.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    set(&connection, path, "query_only", &true)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection> {
    // Without `SQLITE_OPEN_URI`: a file may be called `file:a`. Without a mutex: one thread has it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| failed(format!("open the store {}", path.display()), error))?;
    // The file may come from anywhere; nothing in its schema may run functions.
    set(&connection, path, "trusted_schema", &false)?;
    // FULL: a commit is on the disk when it returns. On macOS, only with `fullfsync`.
    set(&connection, path, "synchronous", &"FULL")?;
    set(&connection, path, "fullfsync", &true)?;
    set(&connection, path, "checkpoint_fullfsync", &true)?;
    Ok(connection)
}

fn set(
    connection: &Connection,
    path: &Path,
    name: &str,
    value: &dyn rusqlite::ToSql,
) -> Result<()> {
    connection
        .pragma_update(None, name, value)
        .map_err(|error| failed(format!("set {name} of the store {}", path.display()), error))
}

fn check_or_create(connection: &mut Connection, path: &Path) -> Result<()> {
    let header = Header::read(connection).map_err(|error| {
        failed(format!("read the header of the store {}", path.display()), error)
    })?;
    match header {
        Header { application: 0, version: 0, tables: 0 } => create(connection)
            .map_err(|error| failed(format!("make the store {}", path.display()), error)),
        Header { application: APPLICATION_ID, version: SCHEMA_VERSION, tables: 1 } => Ok(()),
        Header { application: APPLICATION_ID, version, .. } if version > SCHEMA_VERSION => {
            Err(newer(path, version))
        }
        Header { application: APPLICATION_ID, .. } => Err(Error::new(
            ErrorKind::Corrupt,
            format!("the store {} is damaged: its table is missing or another", path.display()),
        )),
        Header { .. } => Err(Error::new(
            ErrorKind::Config,
            format!(
                "{} is the SQLite file of another program. Nothing in it was changed. \
                 Name another file for the store",
                path.display()
            ),
        )),
    }
}

fn newer(path: &Path, version: i32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the store {} was written by a newer version of this program (layout {version}; this \
             one knows {SCHEMA_VERSION}). Nothing in it was changed. Start the newer version, or \
             name another file",
            path.display()
        ),
    )
}

struct Header {
    application: i32,
    version: i32,
    tables: i64,
}

impl Header {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            application: connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
            version: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
            tables: connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        })
    }
}

// One transaction: a file is either empty still or wholly a store.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(CREATE)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

// WAL: readers go on while the one writer commits, and a commit is one write.
fn use_wal(connection: &Connection, path: &Path) -> Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(
            |error| failed(format!("set the journal of the store {}", path.display()), error),
        )?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the store {} cannot have a write-ahead log where it is. Nothing in it was changed. \
                 Name a file on a local disk",
                path.display()
            ),
        ));
    }
    connection
        .pragma_update_and_check(None, "journal_size_limit", JOURNAL_LEN_KEPT, |_| Ok(()))
        .map_err(|error| failed(format!("bound the journal of {}", path.display()), error))
}
