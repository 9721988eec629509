//! Where replies and events go: JSON for programs, or lines for people.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use spacepanda::AppError;

use super::{
    people::People,
    reply::{Outcome, ReplyLine},
    told::Told,
};

/// Standard output. Every line is written whole and flushed at once.
pub(super) enum Output {
    Json,
    People(Mutex<People>),
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::People(Mutex::new(People::new())) }
    }

    /// Answers a line of input; `typed` is that line.
    ///
    /// # Errors
    /// If nobody reads standard output any more.
    pub(super) fn reply(
        &self,
        name: &str,
        typed: &str,
        answer: &Result<Outcome, AppError>,
    ) -> io::Result<()> {
        match self {
            Self::Json => write_json(&ReplyLine::new(name, answer)),
            Self::People(people) => write_lines(&locked(people).reply(typed, answer)),
        }
    }

    /// Tells what happened. What has to be known before or beside the conversation goes to standard
    /// error for people.
    ///
    /// # Errors
    /// If nobody reads standard output any more.
    pub(super) fn tell(&self, told: &Told) -> io::Result<()> {
        match self {
            Self::Json => write_json(told),
            Self::People(people) => match told {
                Told::Notice { message, .. } => writeln!(io::stderr(), "Note: {message}"),
                Told::Failed { code, message, .. } => writeln!(io::stderr(), "{message} [{code}]"),
                _ => write_lines(&locked(people).told(told)),
            },
        }
    }
}

fn locked(people: &Mutex<People>) -> std::sync::MutexGuard<'_, People> {
    people.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_json(line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    write_whole(&bytes)
}

fn write_lines(lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    write_whole(text.as_bytes())
}

fn write_whole(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
