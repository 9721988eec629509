//! The file a store is kept in, and the lock on it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use spacepanda_core::base::{Error, ErrorKind, Result};

/// A database file that nobody else has while this value lives.
///
/// The lock is the operating system's, on a file beside the database, and ends with the process
/// however it ends. That file stays: to remove it would let two processes lock two files of one name.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    lock: File,
}

impl Place {
    /// Locks the place and makes the file if there is none, readable by its owner alone.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let path = resolve(path)?;
        let lock = lock(&path)?;
        let place = Self { path, lock };
        place.create()?;
        Ok(place)
    }

    /// The file, by its one true name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    // SQLite gives its other files the database's mode, so it is set before SQLite sees the file.
    fn create(&self) -> Result<()> {
        match owners_alone().write(true).create_new(true).open(&self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(unusable("make", &self.path, error)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Closing would do, were it not for a child process that is just being started with a copy.
        let _ = self.lock.unlock();
    }
}

// Two names of one file must not lead to two locks.
fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) if path.is_dir() => Err(Error::new(
            ErrorKind::Config,
            format!("{} is a folder: name a file in it for the store", path.display()),
        )),
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => resolve_new(path),
        Err(error) => Err(unusable("find", path, error)),
    }
}

fn resolve_new(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::new(ErrorKind::Config, "the path of the store names no file"));
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder).map_err(|error| unusable("find", folder, error))?;
    Ok(folder.join(name))
}

fn lock(path: &Path) -> Result<File> {
    let lock_path = beside(path, ".lock");
    let lock = owners_alone()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| unusable("make", &lock_path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            format!(
                "the store {} is in use by another node. Nothing was changed. Stop the other node, \
                 or name another file",
                path.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(unusable("lock", &lock_path, error)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

fn owners_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unusable(verb: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let kind = match error.kind() {
        Io::NotFound | Io::NotADirectory | Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            ErrorKind::Config
        }
        Io::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{verb} {} for the store", path.display())).with_source(error)
}
