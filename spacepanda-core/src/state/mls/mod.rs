//! One MLS group state at a time: OpenMLS behind a working set of rows and a seed for each step.
//!
//! A state never changes its parent: a commit is built or staged on a copy, judged by the gate, and
//! merged into a new state. OpenMLS is named in this module and nowhere else.

mod act;
mod commit;
mod crypto;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod error;
mod facts;
mod group;
mod join;
mod message;
mod overlay;
mod package;
mod payload;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
#[cfg_attr(not(test), allow(dead_code, reason = "the tests use more of it than the samples"))]
mod people;
mod rows;
mod scope_key;
mod settings;
mod shape;
mod stage;
mod storage;
#[cfg(test)]
mod tests;
pub mod tree;
mod version;

pub use commit::{Built, Change, Merged, Parents};
pub use error::MlsError;
pub use group::Group;
pub use join::{Joined, join, welcome_is_for};
pub use message::{Encrypted, Plaintext, commitment, handed_over};
pub use package::{KeyPackageMade, PackageFacts, PackageUse, key_package, package_facts};
pub use payload::{
    Addition, CommitBody, CommitPayload, KeyPackagePayload, MessagePayload, PackageRef,
    RootPayload, VotePayload, commit_aad,
};
pub use rows::{RowChange, Rows};
pub use scope_key::ScopeKey;
pub use settings::{Settings, group_id};
pub use stage::Staged;
pub use version::GROUP_VERSION;
