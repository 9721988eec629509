#![doc = include_str!("../README.md")]

mod backend;
mod entry;
mod error;
mod place;
mod reader;
mod schema;
mod store;
mod thread;
mod url;
mod writer;

pub use backend::BACKEND;
pub use store::SqliteStore;
pub use url::path_from_url;
