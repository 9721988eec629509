use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use zeroize::Zeroize;

/// The rows of one scope: a state of a group, or the private part of a key package. They hold secrets:
/// `Debug` shows only how many there are, and values are zeroized with their last owner.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rows(BTreeMap<Vec<u8>, Bytes>);

/// A row that a step set or removed.
#[derive(Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The key, unique in its scope, 64 bytes at most.
    pub key: Vec<u8>,
    /// The value afterwards; `None` if the row is gone.
    pub value: Option<Bytes>,
}

impl Rows {
    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.0.get(key)
    }

    /// Every row, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Bytes)> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Bytes) {
        if let Some(before) = self.0.insert(key, value) {
            wipe(before);
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        if let Some(before) = self.0.remove(key) {
            wipe(before);
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        std::mem::take(&mut self.0).into_values().for_each(wipe);
    }
}

impl FromIterator<(Vec<u8>, Bytes)> for Rows {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Bytes)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", self.0.len())
    }
}

impl fmt::Debug for RowChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.value.is_some() { "put" } else { "delete" };
        write!(f, "{verb} [{}]", self.key.len())
    }
}

/// Zeroizes the bytes unless somebody else still holds them.
fn wipe(value: Bytes) {
    if let Ok(mut bytes) = value.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}
