use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// The name of a space of keys: up to 64 characters, such as `log` or `mls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Cow<'static, str>);

impl Namespace {
    /// Names a namespace that the program itself knows.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Namespace {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change in a batch. Its `Debug` shows lengths, never content.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a value.
    Put {
        /// Where.
        namespace: Namespace,
        /// Under which key.
        key: Bytes,
        /// To what.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// Where.
        namespace: Namespace,
        /// Which key.
        key: Bytes,
    },
}

impl Change {
    /// Where it happens.
    pub fn namespace(&self) -> &Namespace {
        match self {
            Self::Put { namespace, .. } | Self::Delete { namespace, .. } => namespace,
        }
    }

    /// The key it changes.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// The value afterwards; `None` if the key is gone.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } => None,
        }
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, len) = match self {
            Self::Put { value, .. } => ("put", value.len()),
            Self::Delete { .. } => ("delete", 0),
        };
        write!(f, "{verb} {} [{}] {len} bytes", self.namespace(), self.key().len())
    }
}

/// Changes that happen together or not at all. Of two changes to one key the later holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    pub fn put(&mut self, namespace: Namespace, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put { namespace, key: key.into(), value: value.into() });
    }

    /// Removes a key.
    pub fn delete(&mut self, namespace: Namespace, key: impl Into<Bytes>) {
        self.changes.push(Change::Delete { namespace, key: key.into() });
    }

    /// Adds everything `later` changes, after what is here.
    pub fn append(&mut self, later: Self) {
        self.changes.extend(later.changes);
    }

    /// The changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes, in order, owned.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.changes
            .iter()
            .map(|change| change.key().len() + change.value().map_or(0, Bytes::len))
            .sum()
    }
}

/// Which part of a namespace a scan returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What every key begins with; empty for all.
    pub prefix: Bytes,
    /// The key after which it begins, exclusive.
    pub after: Option<Bytes>,
    /// How many entries at most.
    pub limit: usize,
}
