//! What states of a group cost, beside OpenMLS alone doing the same in the same run.
//!
//! `cargo bench -p spacepanda-core --bench groups -- [--json] [--quick]`. Times are processor time, so
//! that a busy machine changes them little.

#![allow(clippy::unwrap_used)]

mod clock;
mod measure;
mod raw;
mod table;
mod world;

use table::Row;

fn main() {
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    let (large, times) = if asked("--quick") { (100, 3) } else { (1_000, 10) };
    let rows: Vec<Row> =
        measure::of_100(times).into_iter().chain(measure::of_many(large, times)).collect();
    if asked("--json") { table::print_json(&rows) } else { table::print(&rows) }
}
