//! The pure part: it takes values and returns effects. No socket, disk, clock or task of its own.

pub mod authority;
pub mod crdt;
pub mod envelope;
pub mod identity;
pub mod link;
pub mod mls;
pub mod sync;
