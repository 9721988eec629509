#![doc = include_str!("../README.md")]

mod backend;
mod store;
mod url;

pub use backend::BACKEND;
pub use store::MemoryStore;
pub use url::check_url;
