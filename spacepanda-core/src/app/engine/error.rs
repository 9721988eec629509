use crate::base::{self, ErrorKind};

/// What went wrong, for whoever called the app API: a stable dotted code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppError {
    code: &'static str,
    message: String,
    retryable: bool,
}

impl AppError {
    /// Makes an error that the same call would meet again.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: false }
    }

    /// Makes an error that may pass by itself.
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: true }
    }

    /// The stable code, such as `invite.expired`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AppError {}

impl From<base::Error> for AppError {
    fn from(error: base::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Closed => "node.closed",
            ErrorKind::Config => "config.invalid",
            ErrorKind::Conflict => "store.conflict",
            ErrorKind::Corrupt => "store.corrupt",
            ErrorKind::Locked => "store.locked",
            ErrorKind::NotConnected => "peer.not_connected",
            ErrorKind::TooLarge => "input.too_large",
            ErrorKind::Unavailable => "backend.unavailable",
            ErrorKind::Unsupported => "backend.unsupported",
        };
        Self { code, message: error.to_string(), retryable: error.is_retryable() }
    }
}
