//! A node among peers that break every rule: it never panics, keeps nothing of theirs, and goes on.
#![cfg(all(feature = "store-memory", feature = "store-sqlite"))]
#![allow(clippy::unwrap_used)]

#[path = "../world/mod.rs"]
mod world;

mod bytes;
mod devices;
mod envelopes;
mod frames;
mod handing_over;
mod links;
mod puppet;
mod requests;
mod scene;
mod welcome;
