//! Finds the paths that a file names, imports expanded, each resolved as far as the file tells.

use std::collections::BTreeMap;

use super::tokens::{Kind, Token, tokens};

/// A path as it is meant: from the crate's root, or from a name that the file does not explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The module that names it.
    pub(crate) module: Vec<String>,
    /// `crate` and the way from the root, or the path as written.
    pub(crate) path: Vec<String>,
    /// Whether a `use` names it.
    pub(crate) imported: bool,
    /// The line.
    pub(crate) line: usize,
}

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The paths it names, in order.
    pub(crate) named: Vec<Named>,
    /// The modules written out inside it.
    pub(crate) modules: Vec<Vec<String>>,
    /// The macros it defines, which stand at the crate's root where they are exported.
    pub(crate) macros: Vec<String>,
    /// Files beside this one, and the modules as which `#[path]` brings them in.
    pub(crate) moved: Vec<(String, Vec<String>)>,
    /// Lines that bring in source from somewhere else.
    pub(crate) foreign: Vec<usize>,
    aliases: BTreeMap<(Vec<String>, String), Vec<String>>,
    globs: BTreeMap<Vec<String>, Vec<Vec<String>>>,
}

/// Parses the file of `module`.
pub(crate) fn parse(module: &[String], source: &str) -> Parsed {
    let mut parser = Parser {
        tokens: tokens(source),
        at: 0,
        depth: 0,
        module: module.to_vec(),
        inline: Vec::new(),
        parsed: Parsed::default(),
    };
    parser.file();
    let mut parsed = parser.parsed;
    let resolved: Vec<_> = parsed.named.iter().map(|named| parsed.resolve(named)).collect();
    for (named, path) in parsed.named.iter_mut().zip(resolved) {
        named.path = path;
    }
    parsed
}

impl Parsed {
    /// Follows what the file imports under another or a shorter name.
    fn resolve(&self, named: &Named) -> Vec<String> {
        let [first, rest @ ..] = &named.path[..] else { return Vec::new() };
        if first == "crate" {
            return named.path.clone();
        }
        match self.alias(&named.module, first, &mut Vec::new()) {
            Some(meant) => [meant, rest].concat(),
            None => named.path.clone(),
        }
    }

    fn alias<'a>(
        &'a self,
        module: &[String],
        name: &str,
        seen: &mut Vec<Vec<String>>,
    ) -> Option<&'a [String]> {
        if seen.iter().any(|seen| seen == module) {
            return None;
        }
        seen.push(module.to_vec());
        if let Some(path) = self.aliases.get(&(module.to_vec(), name.to_owned())) {
            return Some(path);
        }
        let globs = self.globs.get(module)?;
        globs.iter().find_map(|glob| self.alias(glob, name, seen))
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    module: Vec<String>,
    inline: Vec<usize>,
    parsed: Parsed,
}

impl Parser {
    fn file(&mut self) {
        while let Some(token) = self.tokens.get(self.at).cloned() {
            match &token.kind {
                Kind::Sign('{') => self.depth += 1,
                Kind::Sign('}') => self.close(),
                Kind::Sign('#') => self.attribute(token.line),
                Kind::Word(word) => {
                    self.word(word, token.line);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inline.last() == Some(&self.depth) {
            self.inline.pop();
            self.module.pop();
        }
    }

    /// Looks whether `#[path = ".."]` stands here; it may only bring in a file of the same folder.
    fn attribute(&mut self, line: usize) {
        let kinds: Vec<_> = (1..9).map_while(|ahead| self.kind(ahead)).collect();
        let [Kind::Sign('['), Kind::Word(path), Kind::Sign('='), kinds @ ..] = &kinds[..] else {
            return;
        };
        match kinds {
            _ if path != "path" => {}
            [
                Kind::Text(file),
                Kind::Sign(']'),
                Kind::Word(_),
                Kind::Word(name),
                Kind::Sign(';'),
            ] if !file.contains(['/', '\\']) && self.inline.is_empty() => {
                let module = [&self.module[..], std::slice::from_ref(name)].concat();
                self.parsed.moved.push((file.trim_matches('"').to_owned(), module));
            }
            _ => self.parsed.foreign.push(line),
        }
    }

    /// Reads what begins with a word, and stands behind it afterwards.
    fn word(&mut self, word: &str, line: usize) {
        let (second, third) = (self.kind(1).cloned(), self.kind(2).cloned());
        match (word, second, third) {
            ("pub", Some(Kind::Sign('(')), _) => self.at += self.visibility_len(),
            ("use", Some(Kind::Word(_) | Kind::Colons | Kind::Sign('{' | '*')), _) => {
                self.at += 1;
                self.import(&[], line);
            }
            ("extern", Some(Kind::Word(keyword)), Some(Kind::Word(name))) if keyword == "crate" => {
                self.at += 3;
                self.leaf(vec![name], None, line);
            }
            ("mod", Some(Kind::Word(name)), Some(Kind::Sign('{'))) => {
                self.inline.push(self.depth);
                self.module.push(name);
                self.parsed.modules.push(self.module.clone());
                self.depth += 1;
                self.at += 3;
            }
            ("macro_rules", Some(Kind::Sign('!')), Some(Kind::Word(name))) => {
                self.parsed.macros.push(name);
                self.at += 3;
            }
            ("include", Some(Kind::Sign('!')), _) => {
                self.parsed.foreign.push(line);
                self.at += 1;
            }
            _ => self.path(line),
        }
    }

    /// A path outside of imports; one word alone says nothing.
    fn path(&mut self, line: usize) {
        let mut path = Vec::new();
        while let Some(Kind::Word(word)) = self.kind(0) {
            path.push(word.clone());
            self.at += 1;
            if !(self.kind(0) == Some(&Kind::Colons) && matches!(self.kind(1), Some(Kind::Word(_))))
            {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 {
            let path = self.absolute(path);
            self.name(path, false, line);
        }
    }

    /// One tree of an import, after `prefix`.
    fn import(&mut self, prefix: &[String], line: usize) {
        let mut path = prefix.to_vec();
        loop {
            match self.kind(0).cloned() {
                Some(Kind::Colons) => self.at += 1,
                Some(Kind::Word(word)) if word == "as" => {
                    let Some(Kind::Word(alias)) = self.kind(1).cloned() else { break };
                    self.at += 2;
                    return self.leaf(path, Some(alias), line);
                }
                Some(Kind::Word(word)) => {
                    self.at += 1;
                    path.push(word);
                }
                Some(Kind::Sign('*')) => {
                    self.at += 1;
                    return self.glob(path, line);
                }
                Some(Kind::Sign('{')) => {
                    self.at += 1;
                    return self.group(&path);
                }
                _ => break,
            }
        }
        self.leaf(path, None, line);
    }

    fn group(&mut self, prefix: &[String]) {
        while let Some(token) = self.tokens.get(self.at).cloned() {
            match token.kind {
                Kind::Sign('}') => {
                    self.at += 1;
                    return;
                }
                Kind::Word(_) | Kind::Colons | Kind::Sign('{' | '*') => {
                    self.import(prefix, token.line);
                }
                _ => self.at += 1,
            }
        }
    }

    fn leaf(&mut self, mut path: Vec<String>, alias: Option<String>, line: usize) {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let path = self.absolute(path);
        if let Some(alias) = alias.or_else(|| path.last().cloned()) {
            self.parsed.aliases.insert((self.module.clone(), alias), path.clone());
        }
        self.name(path, true, line);
    }

    fn glob(&mut self, path: Vec<String>, line: usize) {
        let path = self.absolute(path);
        if let [root, module @ ..] = &path[..]
            && root == "crate"
        {
            self.parsed.globs.entry(self.module.clone()).or_default().push(module.to_vec());
        }
        self.name(path, true, line);
    }

    fn name(&mut self, path: Vec<String>, imported: bool, line: usize) {
        self.parsed.named.push(Named { module: self.module.clone(), path, imported, line });
    }

    /// Turns `self` and `super` into the way from the root.
    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let ups = path.iter().take_while(|word| *word == "super" || *word == "self").count();
        if ups == 0 {
            return path;
        }
        let climbs = path[..ups].iter().filter(|word| *word == "super").count();
        let base = &self.module[..self.module.len().saturating_sub(climbs)];
        [&["crate".to_owned()], base, &path[ups..]].concat()
    }

    /// `pub(crate)`, `pub(in some::path)`: a path that imports nothing.
    fn visibility_len(&self) -> usize {
        let restricts = match self.kind(2) {
            Some(Kind::Word(word)) => word == "in" || self.kind(3) == Some(&Kind::Sign(')')),
            _ => false,
        };
        if !restricts {
            return 1;
        }
        let close = self.tokens[self.at..].iter().position(|token| token.kind == Kind::Sign(')'));
        close.map_or(1, |close| close + 1)
    }

    fn kind(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }
}
