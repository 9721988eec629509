#![allow(clippy::unwrap_used)]

mod changes;
mod formats;
mod hostile;
mod raw;
mod talking;

use super::people;
