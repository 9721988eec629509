#![allow(clippy::unwrap_used)]

mod calling;
mod ending;
mod help;
mod mirror;
mod network;
mod reading;
mod saving;
