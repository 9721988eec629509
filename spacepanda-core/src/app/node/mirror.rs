use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::{base::DeviceId, state::envelope::hash};

const HEADING: &str = "spacepanda-mirror-v1";
/// Bytes of a mirror at most; a greater file is none.
const MIRROR_LEN_MAX: usize = 256;

/// What is known of a store outside of it: how many batches were saved at least, and by which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mirror {
    pub(super) generation: u64,
    pub(super) run: [u8; 16],
}

impl Mirror {
    /// One line of text, which ends with a check of what stands before it.
    fn encode(self) -> String {
        let said = format!("{HEADING} {} {}", self.generation, hex::encode(self.run));
        let check = check(&said);
        format!("{said} {check}\n")
    }

    fn decode(text: &str) -> Option<Self> {
        let (said, found) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        let (generation, run) = said.strip_prefix(HEADING)?.strip_prefix(' ')?.split_once(' ')?;
        let mirror = Self {
            generation: generation.parse().ok()?,
            run: hex::decode(run).ok()?.try_into().ok()?,
        };
        (found == check(said) && mirror.encode() == text).then_some(mirror)
    }
}

fn check(said: &str) -> String {
    hex::encode(&hash(HEADING, said.as_bytes())[..8])
}

/// Where a device's mirror is: one file per device in a folder that is not the store's.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// The file's name follows from the device and does not tell it.
    pub(super) fn new(folder: &Path, device: &DeviceId) -> Self {
        let name = hex::encode(&hash("spacepanda-mirror-name-v1", device.as_bytes())[..16]);
        Self { folder: folder.to_owned(), name: format!("{name}.mirror") }
    }

    /// The mirror; `None` if there is none.
    ///
    /// # Errors
    /// `InvalidData` if the file is no whole mirror; the system's.
    pub(super) fn read(&self) -> io::Result<Option<Mirror>> {
        let file = match File::open(self.folder.join(&self.name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, MIRROR_LEN_MAX as u64), &mut text)?;
        let mirror = Mirror::decode(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the file is damaged or cut off")
        })?;
        Ok(Some(mirror))
    }

    /// Replaces the mirror, whole and durably or not at all; makes the folder if there is none.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&self, mirror: &Mirror) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(format!("{}.new", self.name));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(mirror.encode().as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, self.folder.join(&self.name))?;
        // So that the new name is durable too; where a folder cannot be opened it is so by itself.
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MIRROR: Mirror = Mirror { generation: 7, run: [0xab; 16] };

    #[test]
    fn a_mirror_is_one_line_of_pinned_text_and_no_cut_or_altered_one_is_read() {
        let text = MIRROR.encode();
        assert_eq!(
            text,
            "spacepanda-mirror-v1 7 abababababababababababababababab e3bc66998d1cd8ba\n"
        );
        assert_eq!(Mirror::decode(&text), Some(MIRROR));
        for at in 0..text.len() {
            assert_eq!(Mirror::decode(&text[..at]), None);
        }
        for altered in [text.replacen('7', "8", 1), text.replacen(' ', " 0", 1)] {
            assert_eq!(Mirror::decode(&altered), None, "{altered}");
        }
    }

    #[test]
    fn a_mirror_is_written_over_the_last_one_and_a_torn_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("made"), &DeviceId::new([1; 32]));
        assert_eq!(place.read().unwrap(), None);
        place.write(&MIRROR).unwrap();
        let next = Mirror { generation: 8, ..MIRROR };
        place.write(&next).unwrap();
        assert_eq!(place.read().unwrap(), Some(next));

        let file = folder.path().join("made").join(&place.name);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(place.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        place.write(&next).unwrap();
        assert_eq!(place.read().unwrap(), Some(next));
    }

    #[test]
    fn a_files_name_differs_by_device_and_does_not_tell_it() {
        let names = [1, 2].map(|n| Place::new(Path::new(""), &DeviceId::new([n; 32])).name);
        assert_ne!(names[0], names[1]);
        assert!(!names[0].contains("0101"), "{names:?}");
    }
}
