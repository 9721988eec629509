//! The core of SpacePanda: chat that needs no server, end-to-end encrypted and peer to peer.
//!
//! Without default features this crate is the *ports* alone ([`base`], [`store`], [`transport`],
//! [`registry`]): what a backend crate depends on. The feature `engine` brings the state code.
//! `ARCHITECTURE.md` in the repository says which module may import which.

#[cfg(feature = "engine")]
pub mod app;
pub mod base;
pub mod registry;
#[cfg(feature = "engine")]
pub mod state;
pub mod store;
pub mod transport;
