//! A `spacepanda chat --json` in a process of its own, driven by lines.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, unused_imports, reason = "each test uses its part")]

mod together;

use std::{
    collections::VecDeque,
    fmt,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

pub(crate) use self::together::{converge, invite, meet};

/// How long anything may take; a join is answered within 60 seconds.
const PATIENCE: Duration = Duration::from_secs(70);
/// After how long a question that has no event of its own is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The process, what it wrote and was not looked at yet, and where one types.
pub(crate) struct Chat {
    name: String,
    process: Child,
    input: Option<ChildStdin>,
    output: Receiver<Value>,
    events: VecDeque<Value>,
}

/// A process that was given up is ended with its test.
impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Chat {
    /// Starts somebody's node in `folder`, on 127.0.0.1, and waits until it is ready.
    pub(crate) fn start(name: &str, folder: &Path) -> Self {
        Self::start_with(name, folder, &[])
    }

    /// Starts it so with further `arguments`.
    pub(crate) fn start_with(name: &str, folder: &Path, arguments: &[&str]) -> Self {
        let own = ["--name", name, "--listen", "quic://127.0.0.1:0"];
        let mut chat = Self::spawn(name, folder, &[&own, arguments].concat());
        chat.event("ready", |_| true);
        chat
    }

    /// Starts a process with `arguments` of one's own.
    pub(crate) fn spawn(name: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_spacepanda"))
            // Nothing is written into the home of whoever runs the tests.
            .env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"))
            .args(["chat", "--json", "--data"])
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
        let (lines, read) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.unwrap();
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("JSON: {line}"));
                if lines.send(value).is_err() {
                    return;
                }
            }
        });
        Self { name: name.to_owned(), process, input, output: read, events: VecDeque::new() }
    }

    /// Types a line and returns its reply, which must have gone well.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        let reply = self.try_ask(line);
        assert_eq!(reply["ok"], true, "{self:?} {line}: {reply}");
        reply
    }

    /// Types a line and returns the code of its reply, which must be a failure.
    pub(crate) fn refused(&mut self, line: &str) -> String {
        let reply = self.try_ask(line);
        assert_eq!(reply["ok"], false, "{self:?} {line}: {reply}");
        assert!(reply["retryable"].is_boolean(), "{reply}");
        assert!(reply["message"].as_str().unwrap().len() > 20, "{reply}");
        reply["code"].as_str().unwrap().to_owned()
    }

    /// Types a line and returns its reply.
    pub(crate) fn try_ask(&mut self, line: &str) -> Value {
        self.type_line(line);
        self.reply()
    }

    /// Types a line without waiting.
    pub(crate) fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// The next reply; events before it are kept.
    pub(crate) fn reply(&mut self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let value = self.next(until).unwrap_or_else(|| panic!("{self:?}: no reply"));
            if value["event"].is_null() {
                return value;
            }
            self.events.push_back(value);
        }
    }

    /// The next event of a kind that is as `wanted`; those before it are dropped.
    pub(crate) fn event(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.event_of(&[kind], wanted)
    }

    /// The next event of one of several kinds that is as `wanted`; those before it are dropped.
    pub(crate) fn event_of(&mut self, kinds: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let event = self.line(until).unwrap_or_else(|| panic!("{self:?}: no event {kinds:?}"));
            if kinds.iter().any(|kind| event["event"] == *kind) && wanted(&event) {
                return event;
            }
        }
    }

    /// Whether an event of a kind was told before the last reply, and not looked at yet.
    pub(crate) fn told(&self, kind: &str) -> bool {
        self.events.iter().any(|event| event["event"] == kind)
    }

    /// Asks again until the reply is as `wanted`.
    pub(crate) fn until(&mut self, line: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let reply = self.try_ask(line);
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < until, "{self:?} {line}: at last {reply}");
            self.pause();
        }
    }

    /// Waits for the next event, or until it is time to ask again.
    fn pause(&mut self) {
        if let Some(event) = self.next(Instant::now() + ASK_AGAIN) {
            self.events.push_back(event);
        }
    }

    /// Waits until the texts of the current channel are these.
    pub(crate) fn reads(&mut self, texts: &[&str]) {
        self.until("/history", |reply| read(reply) == texts);
    }

    /// Types `/quit` and waits for the end.
    pub(crate) fn quit(mut self) {
        let reply = self.ask("/quit");
        assert_eq!(reply["reply"], "quit");
        assert!(self.end().success(), "{self:?}");
    }

    /// Ends the input and waits for the end.
    pub(crate) fn end_input(mut self) {
        self.input = None;
        assert!(self.end().success(), "{self:?}");
    }

    /// Ends the process without a warning.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends the process without a warning, and returns every line that nobody has looked at.
    pub(crate) fn kill_and_read(&mut self) -> Vec<Value> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let until = Instant::now() + PATIENCE;
        let events = std::mem::take(&mut self.events);
        events.into_iter().chain(std::iter::from_fn(|| self.next(until))).collect()
    }

    /// The next line that nobody has looked at, be it an event or a reply; `None` when it is time.
    pub(crate) fn line(&mut self, until: Instant) -> Option<Value> {
        self.events.pop_front().or_else(|| self.next(until))
    }

    /// The code by which a process that does not open says why; it must fail.
    pub(crate) fn failed(mut self) -> String {
        let event = self.event("failed", |_| true);
        assert!(!self.end().success(), "{self:?}");
        assert!(event["message"].as_str().unwrap().len() > 20, "{event}");
        event["code"].as_str().unwrap().to_owned()
    }

    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while let Some(value) = self.next(until) {
            assert!(!value["event"].is_null(), "{self:?}: one reply too many: {value}");
        }
        self.process.wait().unwrap()
    }

    /// The next line; `None` at the end of output or when it is time.
    fn next(&mut self, until: Instant) -> Option<Value> {
        self.output.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The texts of a history that can be read.
pub(crate) fn read(history: &Value) -> Vec<&str> {
    let messages = history["messages"].as_array().unwrap();
    messages.iter().filter_map(|message| message["text"].as_str()).collect()
}
