//! The contracts of SpacePanda's ports, as tests that anyone can run against an implementation.

pub mod log;
pub mod store;
pub mod transport;
