#![doc = include_str!("../README.md")]

mod limit;
mod store;
mod url;

pub use store::MemoryStore;
pub use url::check_url;
