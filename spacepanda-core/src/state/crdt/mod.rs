//! What people see, derived from the log: a server's structure, and a channel's timeline.
//!
//! Both are functions of the set of envelopes held, never of the order in which they arrived. Neither
//! reads anything itself: rows are named by the caller, loaded, and handed in.

#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
pub mod structure;
pub mod timeline;
mod variant;

pub use structure::{Channel, OpError, Structure, StructureError, StructureEvent, StructureOp};
pub use timeline::{
    Content, Draft, Entry, Post, PostError, Reading, Reason, RowError, Text, TextError, decode_post,
};
