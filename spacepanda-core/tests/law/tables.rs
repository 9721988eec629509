//! The two tables, and what breaks them.

use std::collections::BTreeMap;

use super::{
    paths::Named,
    source::{File, Source},
};

const IMPORTS: &str = "Who may import whom";
const CRATES: &str = "Where a crate may be named";

/// The cells of both tables, each as the words between backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawLaw {
    /// Room, what it may import.
    pub(crate) imports: Vec<[Vec<String>; 2]>,
    /// Names, where they may stand, where in there they may not.
    pub(crate) crates: Vec<[Vec<String>; 3]>,
}

impl RawLaw {
    /// Reads the tables under their headings.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        Ok(Self { imports: table(text, IMPORTS)?, crates: table(text, CRATES)? })
    }
}

fn table<const N: usize>(text: &str, heading: &str) -> Result<Vec<[Vec<String>; N]>, String> {
    let is_heading = |line: &&str| line.starts_with('#');
    let titled = |line: &str| line.trim_start_matches('#').trim() == heading;
    let mut lines = text.lines().skip_while(|line| !(is_heading(line) && titled(line)));
    lines.next().ok_or_else(|| format!("there is no heading \"{heading}\""))?;
    let rows = lines.take_while(|line| !is_heading(line)).filter(|line| line.starts_with('|'));
    let rows: Vec<_> = rows.skip(2).map(|row| cells(row, heading)).collect::<Result<_, _>>()?;
    if rows.is_empty() { Err(format!("\"{heading}\" has no table")) } else { Ok(rows) }
}

fn cells<const N: usize>(row: &str, heading: &str) -> Result<[Vec<String>; N], String> {
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let inside = row.trim().trim_start_matches('|').trim_end_matches('|');
    let cells: Vec<Vec<String>> = inside.split('|').map(words).collect();
    cells.try_into().map_err(|_| format!("\"{heading}\": the row {row} does not have {N} cells"))
}

/// The law of the rooms.
#[derive(Debug)]
pub(crate) struct Law {
    imports: BTreeMap<String, Vec<String>>,
    crates: Vec<[Vec<String>; 3]>,
}

impl Law {
    /// Makes it, if each room imports nothing but rooms above it: then nothing goes in circles.
    pub(crate) fn new(raw: RawLaw) -> Result<Self, String> {
        let mut imports = BTreeMap::<String, Vec<String>>::new();
        for [room, allowed] in raw.imports {
            let [room] = &room[..] else { return Err(format!("{room:?} is not one room")) };
            if let Some(unknown) =
                allowed.iter().find(|name| !imports.keys().any(|above| is_in(above, name)))
            {
                return Err(format!("`{room}` may import `{unknown}`, which is no room above it"));
            }
            if imports.insert(room.clone(), allowed).is_some() {
                return Err(format!("`{room}` stands there twice"));
            }
        }
        Ok(Self { imports, crates: raw.crates })
    }

    /// The rooms, by name.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.imports.keys().map(String::as_str)
    }

    /// What in `source` breaks the law, a line each.
    pub(crate) fn broken_by(&self, source: &Source) -> Vec<String> {
        let macros: BTreeMap<_, _> = source
            .files
            .iter()
            .flat_map(|file| {
                file.parsed.macros.iter().map(|name| (name.as_str(), &file.module[..]))
            })
            .collect();
        let judge = Judge { law: self, source, macros };
        source.files.iter().flat_map(|file| judge.file(file)).collect()
    }

    /// The room in which a way from the root ends: the longest name that it begins with.
    fn room(&self, way: &[String]) -> Option<&str> {
        let way = way.join("::");
        self.rooms().filter(|room| is_in(&way, room)).max_by_key(|room| room.len())
    }

    /// Whether `module` only leads to rooms.
    fn is_hallway(&self, module: &[String]) -> bool {
        module.is_empty() || self.rooms().any(|room| is_in(room, &module.join("::")))
    }
}

/// Whether `name` is `outer` or inside of it.
fn is_in(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

struct Judge<'a> {
    law: &'a Law,
    source: &'a Source,
    macros: BTreeMap<&'a str, &'a [String]>,
}

impl Judge<'_> {
    fn file(&self, file: &File) -> Vec<String> {
        let module = file.module.join("::");
        if self.law.room(&file.module).is_none() && !self.law.is_hallway(&file.module) {
            return vec![format!("{}: the module `{module}` is in no room", file.name)];
        }
        let foreign = file
            .parsed
            .foreign
            .iter()
            .map(|line| (*line, "brings in source from elsewhere".into()));
        let named = file.parsed.named.iter().flat_map(|named| {
            let broken = self.import(named).into_iter().chain(self.named(named));
            broken.map(|what| (named.line, what))
        });
        let broken = foreign.chain(named);
        broken
            .map(|(line, what): (usize, String)| format!("{}:{line}: {what}", file.name))
            .collect()
    }

    /// The first table: what is wrong with the path as an import.
    fn import(&self, named: &Named) -> Option<String> {
        let way = self.way(named)?;
        let path = named.path.join("::");
        let Some(from) = self.law.room(&named.module) else {
            let acts = format!("names `{path}` where modules may only be declared");
            return (!named.imported).then_some(acts);
        };
        let to = match self.law.room(&way) {
            Some(room) => room.to_owned(),
            None if self.law.is_hallway(&way) => way.join("::"),
            None => return Some(format!("`{from}` names `{path}`, which is in no room")),
        };
        let may = from == to || self.law.imports[from].iter().any(|allowed| is_in(&to, allowed));
        (!may).then(|| format!("`{from}` may not import `{to}`, as `{path}` does"))
    }

    /// The way from the root that a path takes, if it stays in this crate.
    fn way(&self, named: &Named) -> Option<Vec<String>> {
        let [first, way @ ..] = &named.path[..] else { return None };
        if first == "crate" {
            let exported = match way {
                [name] => self.macros.get(name.as_str()).copied(),
                _ => None,
            };
            return Some(exported.unwrap_or(way).to_vec());
        }
        // A module inside this one needs no `self`, and may be another room.
        let way = [&named.module[..], &named.path[..]].concat();
        self.source.contains(&way[..=named.module.len()]).then_some(way)
    }

    /// The second table: what the path names that may not be named here.
    fn named(&self, named: &Named) -> Vec<String> {
        let module = named.module.join("::");
        let path = named.path.join("::");
        let within = |rooms: &[String]| rooms.iter().any(|room| is_in(&module, room));
        let rows = self.law.crates.iter().filter(|[_, only, never]| !within(only) || within(never));
        let words = rows.flat_map(|[words, ..]| words).filter(|word| names(&named.path, word));
        words
            .map(|word| format!("`{word}` may not be named in `{module}`, as `{path}` does"))
            .collect()
    }
}

/// Whether the words of `pattern` stand one after the other in `path`; `*` ends a word that goes on.
fn names(path: &[String], pattern: &str) -> bool {
    let pattern: Vec<_> = pattern.split("::").collect();
    let fits = |(word, pattern): (&String, &&str)| match pattern.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == pattern,
    };
    path.windows(pattern.len()).any(|window| window.iter().zip(&pattern).all(fits))
}
