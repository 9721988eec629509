#![allow(clippy::unwrap_used)]

mod choice;
mod lies;
mod lineage;
mod size;
mod votes;

use super::fixture::{FIVE, Known};

fn seniors() -> Known {
    Known::seniors(&FIVE)
}
