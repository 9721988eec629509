//! The source keeps the law that `ARCHITECTURE.md` writes down: who may import whom, and where a crate
//! or the system's clock and entropy may be named.
//!
//! Both tables are read from there, so that the map and the code cannot drift apart.

mod law;

use std::{fs, path::Path};

use law::{
    source::Source,
    tables::{Law, RawLaw},
};

const ARCHITECTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

fn written_law() -> Law {
    let text = fs::read_to_string(ARCHITECTURE).expect("ARCHITECTURE.md stands beside the core");
    RawLaw::read(&text)
        .and_then(Law::new)
        .unwrap_or_else(|wrong| panic!("ARCHITECTURE.md: {wrong}"))
}

#[test]
fn the_source_keeps_the_law() {
    let source = Source::read(Path::new(SOURCE)).expect("the core's source can be read");
    let broken = written_law().broken_by(&source);
    assert!(broken.is_empty(), "the law of ARCHITECTURE.md is broken:\n{}", broken.join("\n"));
}

#[test]
fn every_room_of_the_law_stands_in_the_source() {
    let source = Source::read(Path::new(SOURCE)).expect("the core's source can be read");
    let law = written_law();
    let absent: Vec<_> = law.rooms().filter(|room| !source.has_module(room)).collect();
    assert!(absent.is_empty(), "ARCHITECTURE.md names rooms that do not exist: {absent:?}");
}
