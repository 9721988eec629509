//! Splits Rust source into words, strings and signs; comments, characters and numbers are left out.

/// One token and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its line, from 1.
    pub(crate) line: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword; `r#` is taken off.
    Word(String),
    /// `::`
    Colons,
    /// A string of any kind, as it is written.
    Text(String),
    /// Any other sign.
    Sign(char),
}

/// Splits `source`.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: source, line: 1, tokens: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Takes one token or whatever is left out; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(comment_len(self.rest));
        } else if let Some(len) = string_len(self.rest) {
            self.push(Kind::Text(self.rest[..len].to_owned()), len);
        } else if let Some(quoted) = self.rest.strip_prefix("b'") {
            self.skip("b'".len() + escaped_len(quoted, '\''));
        } else if first == '\'' {
            self.skip(quote_len(self.rest));
        } else if first.is_ascii_digit() {
            self.skip(word_len(self.rest));
        } else if self.rest.starts_with("::") {
            self.push(Kind::Colons, 2);
        } else if is_word(first) {
            self.word();
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.push(Kind::Sign(first), first.len_utf8());
        }
        true
    }

    fn word(&mut self) {
        let raw = self.rest.strip_prefix("r#").is_some_and(|rest| rest.starts_with(is_word));
        let start = if raw { 2 } else { 0 };
        let len = start + word_len(&self.rest[start..]);
        self.push(Kind::Word(self.rest[start..len].to_owned()), len);
    }

    fn push(&mut self, kind: Kind, len: usize) {
        self.tokens.push(Token { kind, line: self.line });
        self.skip(len);
    }

    fn skip(&mut self, len: usize) {
        let (skipped, rest) = self.rest.split_at(len);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

fn word_len(text: &str) -> usize {
    text.find(|char| !is_word(char)).unwrap_or(text.len())
}

/// A block comment, with those inside it.
fn comment_len(text: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < text.len() {
        let rest = &text.as_bytes()[at..];
        let step = match (rest.starts_with(b"/*"), rest.starts_with(b"*/")) {
            (true, _) => (2, 1),
            (_, true) => (2, -1),
            _ => (1, 0),
        };
        at += step.0;
        depth += step.1;
    }
    at
}

/// A string of any kind, if `text` begins with one.
fn string_len(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let Some(rest) = text.strip_prefix(prefix) else { return false };
        let rest = if prefix.ends_with('r') { rest.trim_start_matches('#') } else { rest };
        rest.starts_with('"')
    })?;
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.find('"')?;
        let end = format!("\"{}", &body[..hashes]);
        let inside = &body[hashes + 1..];
        let len = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + len);
    }
    Some(prefix.len() + 1 + escaped_len(&body[1..], '"'))
}

/// A character, or the sign of a lifetime or label alone.
fn quote_len(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => 1 + escaped_len(&text[1..], '\''),
        (Some(char), Some('\'')) => 1 + char.len_utf8() + 1,
        _ => 1 + word_len(&text[1..]),
    }
}

/// Up to and with the next `end` that no backslash stands before.
fn escaped_len(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        if !escaped && char == end {
            return at + char.len_utf8();
        }
        escaped = !escaped && char == '\\';
    }
    text.len()
}
