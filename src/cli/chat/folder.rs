//! The folder of a node: its lock, where its store is by default, and the last current channel.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use spacepanda::{AppError, ChannelId, ServerId, registry::Url};

const LOCK: &str = "node.lock";
const CURRENT: &str = "current";

/// Where messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) server: ServerId,
    pub(super) channel: ChannelId,
}

/// A node's folder, which nobody else has while this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The operating system's lock, which ends with the process however it ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none, for its owner alone, and locks it.
    ///
    /// # Errors
    /// `node.locked` if another process has it, `folder.unusable` if it cannot be made or written in.
    pub(super) fn open(path: &Path) -> Result<Self, AppError> {
        let opened = make(path).and_then(|()| fs::canonicalize(path)).and_then(|path| {
            let lock =
                owners_alone().write(true).create(true).truncate(false).open(path.join(LOCK))?;
            Ok((path, lock))
        });
        let (path, lock) = opened.map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(locked(&path)),
            Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }

    /// The folder, by its absolute name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The URL of the store in it.
    pub(super) fn store_url(&self) -> Result<String, AppError> {
        let file = Url::from_file_path(self.path.join("node.db"));
        let file =
            file.map_err(|()| unusable(&self.path, &io::ErrorKind::InvalidFilename.into()))?;
        Ok(format!("sqlite://{}", file.path()))
    }

    /// Whether no node was opened here yet.
    pub(super) fn is_new(&self) -> bool {
        !self.path.join(CURRENT).exists()
    }

    /// The last current channel; none if there was none, or what was kept cannot be read.
    pub(super) fn current(&self) -> Option<Place> {
        let text = fs::read_to_string(self.path.join(CURRENT)).ok()?;
        let (server, channel) = text.trim().split_once(' ')?;
        Some(Place { server: server.parse().ok()?, channel: channel.parse().ok()? })
    }

    /// Keeps the current channel, whole or not at all.
    pub(super) fn keep_current(&self, place: Option<Place>) -> Result<(), AppError> {
        let text = match place {
            Some(Place { server, channel }) => format!("{server} {channel}\n"),
            None => "none\n".to_owned(),
        };
        self.replace(&text).map_err(|error| unusable(&self.path, &error))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.path.join("current.new");
        let mut file = owners_alone().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(draft, self.path.join(CURRENT))
    }
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn owners_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn locked(path: &Path) -> AppError {
    AppError::new(
        "node.locked",
        format!(
            "The folder {} is in use by another node, which goes on. Nothing was changed. Close that \
             one, or name another folder with `--data`.",
            path.display()
        ),
    )
}

fn unusable(path: &Path, error: &io::Error) -> AppError {
    AppError::new(
        "folder.unusable",
        format!(
            "The folder {} cannot be used: {error}. The conversation in it is as it was. Make it a \
             folder that you can write in, or name another with `--data`.",
            path.display()
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_for_its_owner_and_locked_while_it_is_open() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a b/alice");
        let folder = Folder::open(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(Folder::open(&path).unwrap_err().code(), "node.locked");
        drop(folder);
        let folder = Folder::open(&path).unwrap();
        let url = folder.store_url().unwrap();
        assert!(url.starts_with("sqlite:///") && url.ends_with("/a%20b/alice/node.db"), "{url}");
    }

    #[test]
    fn the_current_channel_is_kept_and_what_cannot_be_read_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let place = Place { server: ServerId::new([1; 32]), channel: ChannelId::new([2; 32]) };
        let folder = Folder::open(parent.path()).unwrap();
        assert!(folder.is_new() && folder.current().is_none());
        folder.keep_current(Some(place)).unwrap();
        drop(folder);
        let folder = Folder::open(parent.path()).unwrap();
        assert!(!folder.is_new());
        assert_eq!(folder.current(), Some(place));
        folder.keep_current(None).unwrap();
        assert_eq!(folder.current(), None);
        fs::write(parent.path().join(CURRENT), "a b").unwrap();
        assert_eq!(folder.current(), None);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Folder::open(file.path()).unwrap_err().code(), "folder.unusable");
    }
}
