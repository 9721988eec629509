//! What is refused when a store is opened, and how that is said.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rusqlite::Connection;
use spacepanda_core::{
    base::{Error, ErrorKind},
    store::{Batch, Namespace, Page, ProviderStorageBackend},
};
use spacepanda_store_sqlite::SqliteStore;
use tempfile::TempDir;

const NAMES: Namespace = Namespace::new("names");

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

async fn make(path: &Path, entries: u32) {
    let store = SqliteStore::open(path).await.unwrap();
    let mut batch = Batch::new();
    for entry in 0..entries {
        batch.put(NAMES, entry.to_be_bytes().to_vec(), vec![7; 1_000]);
    }
    store.save(batch).await.unwrap();
    store.close().await.unwrap();
}

async fn refusal(path: &Path) -> Error {
    SqliteStore::open(path).await.unwrap_err()
}

fn overwrite(path: &Path, from: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_newer_layout_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    make(&path, 1).await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(&path).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let message = error.to_string();
    for part in
        ["store.db", "newer version", "layout 2", "Nothing in it was changed", "name another"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(&path).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_not_sqlite_is_corrupt() {
    let (_folder, path) = place();
    fs::write(&path, "a letter to my grandmother, ".repeat(100)).unwrap();
    assert_eq!(refusal(&path).await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_store_without_its_table_is_corrupt() {
    let (_folder, path) = place();
    make(&path, 1).await;
    Connection::open(&path).unwrap().execute_batch("DROP TABLE entry").unwrap();
    assert_eq!(refusal(&path).await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_damaged_header_is_corrupt() {
    let (_folder, path) = place();
    make(&path, 1).await;
    overwrite(&path, 0, &[0xaa; 16]);
    assert_eq!(refusal(&path).await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn damaged_pages_are_corrupt_when_they_are_read_and_panic_nobody() {
    let (_folder, path) = place();
    make(&path, 200).await;
    let len = fs::metadata(&path).unwrap().len();
    overwrite(&path, 4_096, &vec![0xaa; (len - 4_096) as usize]);
    let store = SqliteStore::open(&path).await.unwrap();
    let load = store.load(&NAMES, &[0; 4]).await.unwrap_err();
    assert_eq!(load.kind(), ErrorKind::Corrupt);
    let page = Page { prefix: Bytes::new(), after: None, limit: 10 };
    assert_eq!(store.scan(&NAMES, page).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_row_larger_than_any_that_is_written_is_corrupt() {
    let (_folder, path) = place();
    make(&path, 0).await;
    let sql = "INSERT INTO entry VALUES ('names', x'00', zeroblob(8 * 1024 * 1024 + 1))";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.load(&NAMES, &[0]).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_locked_store_is_named_with_what_to_do() {
    let (_folder, path) = place();
    let _first = SqliteStore::open(&path).await.unwrap();
    let error = refusal(&path).await;
    assert_eq!(error.kind(), ErrorKind::Locked);
    let message = error.to_string();
    for part in ["store.db", "in use by another node", "Nothing was changed", "Stop the other node"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_one_is_refused() {
    let (folder, _) = place();
    let missing = folder.path().join("missing").join("store.db");
    for path in [folder.path(), &missing, Path::new("")] {
        assert_eq!(refusal(path).await.kind(), ErrorKind::Config, "{}", path.display());
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let (_folder, path) = place();
    fs::write(&path, "").unwrap();
    make(&path, 1).await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.load(&NAMES, &[0; 4]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_closed_store_is_one_file_beside_its_lock() {
    let (folder, path) = place();
    for entries in 1..20 {
        make(&path, entries).await;
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["store.db", "store.db.lock"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn two_names_of_one_file_are_one_place() {
    let (folder, path) = place();
    make(&path, 1).await;
    let other = folder.path().join("other.db");
    std::os::unix::fs::symlink(&path, &other).unwrap();
    let _first = SqliteStore::open(&path).await.unwrap();
    assert_eq!(refusal(&other).await.kind(), ErrorKind::Locked);
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_belongs_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut batch = Batch::new();
    batch.put(NAMES, "a", "a");
    store.save(batch).await.unwrap();
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        files += 1;
    }
    assert_eq!(files, 4, "database, lock, log and its index");
}
