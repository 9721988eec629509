//! The core's source: every file under `src/`, as the module it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::paths::{Parsed, parse};

/// Every file, parsed.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Name, module and content of each file.
    pub(crate) files: Vec<File>,
    modules: BTreeSet<Vec<String>>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its module; empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    /// What it says.
    pub(crate) parsed: Parsed,
}

impl Source {
    /// Reads the folder `src`.
    pub(crate) fn read(src: &Path) -> io::Result<Self> {
        let (mut texts, mut folders) = (BTreeMap::new(), vec![src.to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(src).unwrap_or(&path).to_string_lossy();
                    texts.insert(name.replace('\\', "/"), fs::read_to_string(&path)?);
                }
            }
        }
        Ok(Self::of(&texts))
    }

    /// Parses files, each under its name in `src`.
    pub(crate) fn of(texts: &BTreeMap<String, String>) -> Self {
        let mut moved = BTreeMap::new();
        for (name, text) in texts {
            let folder =
                name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let files = parse(&module_of(name), text).moved.into_iter();
            moved.extend(files.map(|(file, module)| (format!("{folder}{file}"), module)));
        }
        let mut source = Self::default();
        for (name, text) in texts {
            let module = moved.get(name).cloned().unwrap_or_else(|| module_of(name));
            let parsed = parse(&module, text);
            source.modules.insert(module.clone());
            source.modules.extend(parsed.modules.iter().cloned());
            source.files.push(File { name: name.clone(), module, parsed });
        }
        source
    }

    /// Whether there is a module of this name, such as `state::mls`.
    pub(crate) fn has_module(&self, name: &str) -> bool {
        self.contains(&name.split("::").map(str::to_owned).collect::<Vec<_>>())
    }

    /// Whether there is a module at this way from the root.
    pub(crate) fn contains(&self, module: &[String]) -> bool {
        self.modules.contains(module)
    }
}

fn module_of(name: &str) -> Vec<String> {
    let name = name.trim_end_matches(".rs");
    let mut module: Vec<_> = name.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}
