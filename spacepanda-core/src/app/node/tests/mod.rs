#![allow(clippy::unwrap_used)]

mod ending;
mod help;
mod network;
mod reading;
mod saving;
