#![allow(clippy::unwrap_used)]

mod changes;
mod formats;
mod hostile;
mod raw;
mod talking;
mod versions;

use super::people;
