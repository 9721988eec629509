//! Somebody at a process of their own, who types without waiting and is killed at any moment.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::Chat;

/// Lines of output that a failure shows.
const LAST_MAX: usize = 25;

/// A message whose acceptance was seen.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) text: String,
}

pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    pub(crate) chat: Chat,
    /// Lines that were typed and not answered yet.
    typed: VecDeque<String>,
    /// Commands and their replies that nobody has looked at.
    pub(crate) replies: Vec<(String, Value)>,
    pub(crate) acknowledged: Vec<Sent>,
    /// The messages of others that were told.
    pub(crate) heard: BTreeSet<String>,
    /// Whether it can talk in the server.
    pub(crate) is_in: bool,
    /// Whether somebody was met since the last start.
    pub(crate) met: bool,
    last: VecDeque<Value>,
}

impl Person {
    /// Starts somebody's first process.
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (chat, ready) = open(name, folder.path());
        let mut person = Self {
            name: name.to_owned(),
            folder,
            chat,
            typed: VecDeque::new(),
            replies: Vec::new(),
            acknowledged: Vec::new(),
            heard: BTreeSet::new(),
            is_in: false,
            met: false,
            last: VecDeque::new(),
        };
        person.take(ready);
        person
    }

    /// Types a line without waiting.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.typed.push_back(line.to_owned());
        self.chat.type_line(line);
    }

    /// Whether a line was typed and not answered yet.
    pub(crate) fn waits_for(&self, line: &str) -> bool {
        self.typed.iter().any(|typed| typed == line)
    }

    /// Takes every line of output there is until a moment.
    pub(crate) fn listen(&mut self, until: Instant) {
        while let Some(line) = self.chat.line(until) {
            self.take(line);
        }
    }

    /// Kills the process, takes what it said before, and starts the next one in its folder. Says how
    /// many lines it had not answered.
    pub(crate) fn die_and_start(&mut self) -> usize {
        // What it said before it died was said: an acknowledgement counts.
        for line in self.chat.kill_and_read() {
            self.take(line);
        }
        let unanswered = self.typed.drain(..).count();
        self.met = false;
        let (chat, ready) = open(&self.name, self.folder.path());
        self.chat = chat;
        self.take(ready);
        unanswered
    }

    /// Waits until every line is answered.
    pub(crate) fn quiet(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        while !self.typed.is_empty() {
            assert!(Instant::now() < until, "{}: not answered: {:?}", self.name, self.typed);
            if let Some(line) = self.chat.line(until) {
                self.take(line);
            }
        }
    }

    fn take(&mut self, line: Value) {
        if self.last.len() == LAST_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        match line["event"].as_str() {
            None => self.answered(line),
            Some("message") => {
                self.heard.insert(text("id"));
            }
            Some("joined") => self.is_in = true,
            Some("ready") => self.is_in |= !line["channel"].is_null(),
            Some("peer_connected") => self.met = true,
            Some("join_failed" | "failed") => panic!("{}: {line}", self.name),
            Some(_) => {}
        }
    }

    fn answered(&mut self, reply: Value) {
        let line = self.typed.pop_front().unwrap_or_else(|| panic!("{}: {reply}", self.name));
        if line.starts_with('/') {
            self.is_in |= reply["ok"] == true && !reply["channel"].is_null();
            self.replies.push((line, reply));
        } else if reply["ok"] == true {
            let id = reply["id"].as_str().unwrap().to_owned();
            self.acknowledged.push(Sent { id, text: line });
        }
    }

    /// Prints where everything is and what was said last, and keeps the folder.
    pub(crate) fn show(&mut self) {
        self.folder.disable_cleanup(true);
        eprintln!("{} in {}:", self.name, self.folder.path().display());
        for line in &self.last {
            eprintln!("    {line}");
        }
    }
}

fn open(name: &str, folder: &Path) -> (Chat, Value) {
    let mut chat = Chat::spawn(name, folder, &["--name", name, "--listen", "quic://127.0.0.1:0"]);
    let ready = chat.event("ready", |_| true);
    (chat, ready)
}
