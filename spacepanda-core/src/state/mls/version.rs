use std::collections::BTreeSet;

use openmls::prelude::{Capabilities, ExtensionType, LeafNode};

/// The greatest version of the protocol that this program can speak. A group that it makes begins with
/// it.
pub const GROUP_VERSION: u16 = 1;

/// Version `n` is the extension type `0xF0B0 + n` in the capabilities of a leaf (of the range for private
/// use, RFC 9420, 17.3). No extension of such a type is ever sent.
const FIRST: u16 = 0xF0B1;
const LAST: u16 = 0xF0FF;

/// What a program can speak: every version from 1 to the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) greatest: u16,
}

impl Program {
    /// This one.
    pub(super) const THIS: Self = Self { greatest: GROUP_VERSION };

    /// What its leaves list beside the extensions that every leaf does.
    pub(super) fn extensions(self) -> impl Iterator<Item = ExtensionType> {
        (FIRST..=LAST).take(self.greatest.into()).map(ExtensionType::Unknown)
    }

    pub(super) fn versions(self) -> BTreeSet<u16> {
        versions(self.extensions())
    }
}

/// The versions that the owner of a leaf can speak.
pub(super) fn spoken(capabilities: &Capabilities) -> BTreeSet<u16> {
    versions(capabilities.extensions().iter().copied())
}

/// The versions that the owners of all `leaves` can speak.
pub(super) fn spoken_by_all<'a>(leaves: impl IntoIterator<Item = &'a LeafNode>) -> BTreeSet<u16> {
    let all = leaves.into_iter().map(|leaf| spoken(leaf.capabilities()));
    all.reduce(|a, b| &a & &b).unwrap_or_default()
}

fn versions(extensions: impl Iterator<Item = ExtensionType>) -> BTreeSet<u16> {
    extensions
        .filter_map(|extension| match extension {
            ExtensionType::Unknown(number @ FIRST..=LAST) => Some(number - FIRST + 1),
            _ => None,
        })
        .collect()
}
