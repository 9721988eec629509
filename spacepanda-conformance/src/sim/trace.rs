use std::{
    fmt::{self, Write},
    time::Duration,
};

/// What is traced, and so part of the trace hash.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A call.
    Command,
    /// An envelope that a node appends to a log.
    Append,
    /// A reply or an event.
    Tell,
    /// A state, asked for at the end.
    State,
    /// What the world does to a node.
    World,
}

/// The trace of a run: a hash over all of it, and its lines for whoever watches.
pub(super) struct Trace<'a> {
    hasher: blake3::Hasher,
    line: String,
    watch: Option<&'a mut dyn FnMut(&str)>,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Append => "append",
            Self::Tell => "tell",
            Self::State => "state",
            Self::World => "world",
        }
    }
}

impl<'a> Trace<'a> {
    pub(super) fn new(watch: Option<&'a mut dyn FnMut(&str)>) -> Self {
        Self { hasher: blake3::Hasher::new(), line: String::new(), watch }
    }

    /// `at` is the time since the world began.
    pub(super) fn note(&mut self, at: Duration, kind: Kind, node: usize, what: fmt::Arguments<'_>) {
        self.line.clear();
        let (seconds, micros, kind) = (at.as_secs(), at.subsec_micros(), kind.name());
        write!(self.line, "{seconds:5}.{micros:06} {node} {kind:<7} {what}")
            .expect("a string takes all");
        self.hasher.update(&(self.line.len() as u64).to_be_bytes()).update(self.line.as_bytes());
        if let Some(watch) = &mut self.watch {
            watch(&self.line);
        }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}
