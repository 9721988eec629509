#![allow(clippy::unwrap_used)]

mod changes;
mod formats;
mod hostile;
mod people;
mod raw;
mod talking;
mod versions;
