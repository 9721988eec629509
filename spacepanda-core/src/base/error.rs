use std::fmt;

/// What a caller can do about a port's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The port was closed; nothing further will succeed on it.
    Closed,
    /// The configuration, such as a URL, is wrong; a person must change it.
    Config,
    /// What is there contradicts the request; load again.
    Conflict,
    /// Stored data is damaged.
    Corrupt,
    /// Somebody else holds the resource exclusively.
    Locked,
    /// No link, or no longer one.
    NotConnected,
    /// A size limit was exceeded.
    TooLarge,
    /// It failed this time; trying again later may succeed.
    Unavailable,
    /// The other side is newer, or this build lacks what is asked for.
    Unsupported,
}

/// The error of every port: a kind to act on, a sentence to read, and the cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error; `message` says what was attempted.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::NotConnected)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
