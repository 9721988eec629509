//! Every limit that is named is looked at somewhere in the core.

use std::{collections::BTreeSet, fs, io, path::Path};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
const LIMITS: &str = "base/limits.rs";

#[test]
fn every_limit_is_looked_at() {
    let limits = fs::read_to_string(Path::new(SOURCE).join(LIMITS)).expect("the limits' file");
    let named =
        limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let mut words = BTreeSet::new();
    read(Path::new(SOURCE), &mut words).expect("the core's source can be read");
    let idle: Vec<_> = named.filter(|limit| !words.contains(*limit)).collect();
    assert!(idle.is_empty(), "limits that bound nothing: {idle:?}");
}

/// Gathers the words of all source but tests and the limits' own.
fn read(folder: &Path, words: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                read(&path, words)?;
            }
        } else if !path.ends_with(LIMITS) && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path)?;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let split = |line: &str| -> Vec<String> {
                line.split(|c: char| c != '_' && !c.is_alphanumeric()).map(str::to_owned).collect()
            };
            words.extend(code.flat_map(split));
        }
    }
    Ok(())
}
