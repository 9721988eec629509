use super::{
    paths::parse,
    source::Source,
    tables::{Law, RawLaw},
    tokens::{Kind, tokens},
};

const MAP: &str = "
# A map

## Who may import whom

| module | may import |
|---|---|
| `base` | |
| `registry` | `base` |
| `state::mls` | `base` |
| `state::crdt` | `base` |
| `app::engine` | `base` `state` |
| `app` | `base` `registry` `state` `app::engine` |

## Where a crate may be named

| name | only in | never in |
|---|---|---|
| `openmls*` | `state::mls` | |
| `tokio` | `app` `registry::tests` | `app::engine` |
| `SystemTime` `std::time::Instant` | `app::os` | |
| `quinn` | | |

## What comes after
| `no` | `row` |
";

fn broken(files: &[(&str, &str)]) -> Vec<String> {
    broken_under(MAP, files)
}

fn broken_under(map: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(name, text)| (name.to_string(), text.to_string()));
    let law = RawLaw::read(map).and_then(Law::new).unwrap();
    law.broken_by(&Source::of(&files.collect()))
}

fn is_broken(name: &str, text: &str) -> bool {
    !broken(&[(name, text)]).is_empty()
}

fn words(source: &str) -> Vec<String> {
    let words = tokens(source).into_iter().filter_map(|token| match token.kind {
        Kind::Word(word) => Some(word),
        _ => None,
    });
    words.collect()
}

fn paths(source: &str) -> Vec<String> {
    let module = ["state", "crdt"].map(str::to_owned);
    parse(&module, source).named.iter().map(|named| named.path.join("::")).collect()
}

#[test]
fn comments_strings_characters_and_lifetimes_are_no_words() {
    let source = r####"
        a // crate::x "
        /* b /* c */ " */ d
        "e \" f" r#"g " h"# br"i" c"j\\" b'k' '"' '\'' 'l' '\u{6d}' 'm: loop { break 'm }
        n<'o> 1u8 0x5f r#type r##"p"# q"##
    "####;
    assert_eq!(words(source), ["a", "d", "loop", "break", "n", "type"]);
}

#[test]
fn unfinished_source_ends_quietly() {
    for source in ["\"a", "r#\"a", "'", "'\\", "/* a", "use a::{b", "use a::", "mod a {", "pub("] {
        parse(&[], source);
    }
}

#[test]
fn lines_are_counted_through_strings_and_comments() {
    let source = "\"\n\" /*\n*/ r\"\n\"\nuse a::b;";
    assert_eq!(parse(&[], source).named[0].line, 5);
}

#[test]
fn imports_are_expanded() {
    let source = "pub(crate) use crate::{base::{self, a::{B, C as D}}, e::*}; use ::f::G as _;";
    let expected = ["crate::base", "crate::base::a::B", "crate::base::a::C", "crate::e", "f::G"];
    assert_eq!(paths(source), expected);
}

#[test]
fn paths_outside_of_imports_are_found_without_generics_and_visibilities() {
    let source = "pub(in crate::state) fn a(b: &dyn c::D) -> Vec<e::F> { g::h::<i::J>(K::L) }
        struct M(pub (crate::n::O, u8)); #[p::q] fn r() -> impl S + use<'static> {}";
    let expected = ["c::D", "e::F", "g::h", "i::J", "K::L", "crate::n::O", "p::q"];
    assert_eq!(paths(source), expected);
}

#[test]
fn climbing_is_counted_from_the_module_that_climbs() {
    let source = "use super::mls::A; mod b { use super::C; mod d { use super::super::super::E; } }
        fn f() { self::g::h() } use self::i::J;";
    let expected = [
        "crate::state::mls::A",
        "crate::state::crdt::C",
        "crate::state::E",
        "crate::state::crdt::g::h",
        "crate::state::crdt::i::J",
    ];
    assert_eq!(paths(source), expected);
}

#[test]
fn names_are_followed_to_what_was_imported() {
    let source = "use std::time::{self, Instant as Clock};
        fn a() { Clock::now(); time::b(); }
        mod tests { use super::*; fn c() { Clock::now() } }";
    let followed = paths(source).into_iter().filter(|path| path.ends_with("now"));
    assert_eq!(followed.collect::<Vec<_>>(), ["std::time::Instant::now"; 2]);
}

#[test]
fn what_the_table_allows_is_allowed() {
    let files = [
        ("lib.rs", "pub mod app; pub mod base; pub use app::Node; mod state; mod registry;"),
        ("base/mod.rs", "mod error; pub use error::Error;"),
        ("base/error.rs", "use super::*; pub struct Error;"),
        ("registry.rs", "#[macro_export] macro_rules! register { () => { $crate::base::a!() } }"),
        ("registry/tests.rs", "crate::register!(); #[tokio::test] async fn a() {}"),
        ("state/mod.rs", "pub mod crdt; pub mod mls;"),
        ("state/mls.rs", "use openmls::group::MlsGroup; use crate::base::Error;"),
        ("state/crdt/mod.rs", "// crate::state::mls\nuse crate::base;\nfn a() { base::b() }"),
        ("app/mod.rs", "pub mod engine; pub use engine::A; use crate::state; crate::register!();"),
        ("app/engine.rs", "use crate::state::{crdt, mls::B}; fn c() { crdt::d() }"),
        ("app/node.rs", "use super::engine; fn a() { tokio::spawn(engine::b()); }"),
        ("app/os.rs", "use std::time::{Instant, SystemTime};"),
    ];
    assert_eq!(broken(&files), Vec::<String>::new());
}

#[test]
fn a_wing_that_imports_its_sibling_is_caught_however_it_is_written() {
    for text in [
        "use crate::state::mls::Group;",
        "use crate::{base::Error, state::{mls::{Group}}};",
        "use super::mls;",
        "use super::*;",
        "use crate::state as s; fn a() { s::mls::b() }",
        "fn a(group: &crate::state::mls::Group) {}",
        "fn a() { super::mls::b::<u8>() }",
        "struct A(pub (crate::state::mls::Group, u8));",
        "#[cfg(test)] mod tests { use super::super::mls::Group; }",
        "use crate as root; fn a() { root::state::mls::b() }",
        "use ::{base, crate::state::mls as base};",
    ] {
        assert!(is_broken("state/crdt/mod.rs", text), "not caught: {text}");
    }
}

#[test]
fn what_goes_up_is_caught() {
    assert!(is_broken("base/mod.rs", "use crate::registry::Registry;"));
    assert!(is_broken("app/engine/machine.rs", "use super::super::node::Node;"));
    assert!(is_broken("app/engine/mod.rs", "use crate::app;"));
    let registry = ("registry.rs", "#[macro_export] macro_rules! register { () => {} }");
    assert!(!broken(&[registry, ("base/mod.rs", "crate::register!();")]).is_empty());
}

#[test]
fn a_module_inside_a_room_that_is_a_room_of_its_own_is_judged_as_such() {
    let map = MAP.replace("`state` `app::engine` |", "`state` |");
    let files = [("app/engine.rs", ""), ("app/mod.rs", "pub mod engine; pub use engine::Machine;")];
    assert_eq!(broken_under(&map, &files).len(), 1);
}

#[test]
fn a_module_in_no_room_is_caught_and_so_is_what_is_reached_through_none() {
    assert!(is_broken("helpers.rs", ""));
    assert!(is_broken("state/seal/mod.rs", ""));
    assert!(is_broken("app/node.rs", "use crate::Node;"));
    assert!(is_broken("app/node.rs", "use crate::state::Group;"));
}

#[test]
fn where_modules_are_declared_nothing_is_done() {
    assert!(is_broken("state/mod.rs", "fn join() { crate::base::a() }"));
    assert!(is_broken("lib.rs", "fn now() { tokio::spawn(()) }"));
}

#[test]
fn a_crate_named_outside_its_room_is_caught() {
    for (name, text) in [
        ("state/crdt/mod.rs", "use openmls::prelude::*;"),
        ("state/crdt/mod.rs", "use openmls_traits as traits;"),
        ("state/crdt/mod.rs", "extern crate openmls as o;"),
        ("state/mls/mod.rs", "async fn a() { tokio::task::yield_now().await }"),
        ("state/mls/mod.rs", "#[cfg(test)] mod tests { #[tokio::test] async fn a() {} }"),
        ("app/engine/mod.rs", "fn a() { ::tokio::spawn(()) }"),
        ("registry.rs", "use tokio::sync::Mutex;"),
        ("registry.rs", "pub use quinn;"),
        ("app/node.rs", "fn a() { quinn::Endpoint::b() }"),
    ] {
        assert!(is_broken(name, text), "not caught in {name}: {text}");
    }
    assert!(!is_broken("app/node.rs", "fn a(openmls: u8) { let quinn = openmls; }"));
}

#[test]
fn the_clock_is_caught_under_any_name() {
    for text in [
        "use std::time::SystemTime as Time;",
        "fn a() { std::time::Instant::now(); }",
        "use std::time; fn a() { time::Instant::now(); }",
        "use std::time as t; use t::Instant;",
    ] {
        assert!(is_broken("app/node.rs", text), "not caught: {text}");
    }
    assert!(!is_broken(
        "app/node.rs",
        "use std::time::Duration; fn a() { tokio::time::Instant::now() }"
    ));
}

#[test]
fn source_from_elsewhere_is_caught() {
    assert!(is_broken("base/mod.rs", "#[path = \"../state/mls.rs\"] mod a;"));
    assert!(is_broken("base/mod.rs", "include!(\"../state/mls.rs\");"));
}

#[test]
fn a_file_brought_in_from_the_same_folder_is_the_module_that_it_is_brought_in_as() {
    let parent = "#[cfg(test)] #[path = \"engine_tests.rs\"] mod tests;";
    let judged = |text| broken(&[("app/engine.rs", parent), ("app/engine_tests.rs", text)]);
    assert_eq!(judged("use super::*; use super::super::engine::A;"), Vec::<String>::new());
    assert_eq!(judged("use super::super::node::B;").len(), 1);
}

#[test]
fn what_is_broken_is_said_with_its_place() {
    assert_eq!(
        broken(&[("state/crdt/mod.rs", "\nuse crate::state::mls::Group;")]),
        ["state/crdt/mod.rs:2: `state::crdt` may not import `state::mls`, \
          as `crate::state::mls::Group` does"]
    );
}

#[test]
fn a_map_that_cannot_be_read_is_refused() {
    let read = |map: &str| RawLaw::read(map).and_then(Law::new).map(|_| ());
    assert!(read(MAP).is_ok());
    for (from, to) in [
        ("Who may import", "Whoever imports"),
        ("| `base` | |", "| `base` |"),
        ("| `base` | |", "| `base` | `app` |"),
        ("| `base` | |", "| `base` `store` | |"),
        ("| `state::crdt` | `base` |", "| `state::crdt` | `bass` |"),
        ("| `state::crdt` |", "| `state::mls` |"),
        ("| `quinn` | | |", "| `quinn` | |"),
    ] {
        assert!(read(&MAP.replacen(from, to, 1)).is_err(), "read: {to}");
    }
}
