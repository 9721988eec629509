#![allow(clippy::unwrap_used)]

mod changes;
mod formats;
mod hostile;
mod hostile_member;
mod raw;
mod second_mls;
mod talking;
mod versions;

use super::people;
