//! State is pure: no socket, disk, clock, entropy or task of its own.

pub mod sync;
