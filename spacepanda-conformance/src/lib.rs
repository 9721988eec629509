//! The contracts of SpacePanda's ports, as tests that anyone can run against an implementation.

mod case;
pub mod log;
mod random;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod transport;
