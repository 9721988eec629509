//! Links: who is at the other end, and messages encrypted, ordered and bounded whatever transport
//! carries them. No I/O: frames in, frames out.

#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod hello;
mod message;
mod noise;
mod session;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use hello::{Hello, meeting_of_members};
pub use message::Kind;
pub use session::{Me, Output, Session};

use super::identity::{CertificateError, SignatureError};

/// Bytes of a frame at most: Noise's own bound (Noise, section 3).
pub const FRAME_LEN_MAX: usize = 65_535;

/// Why a link ends.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A frame is longer than Noise allows.
    #[error("a frame is longer than {FRAME_LEN_MAX} bytes")]
    FrameTooLong,
    /// A frame was altered, repeated, lost or cut, or is no Noise.
    #[error("the link's encryption refused a frame: {0}")]
    Noise(#[from] snow::Error),
    /// The peer's first message is no hello.
    #[error("the peer's hello cannot be read")]
    Hello,
    /// The peer's certificate does not check out.
    #[error("the peer's certificate was refused: {0}")]
    Certificate(#[from] CertificateError),
    /// The peer's device did not sign this handshake.
    #[error("the peer did not prove its device: {0}")]
    Proof(#[from] SignatureError),
    /// A fragment that belongs to no message, or of a kind that is not known.
    #[error("a fragment is malformed")]
    Fragment,
    /// A message above the limit of its kind.
    #[error("a message is longer than its kind allows")]
    MessageTooLong,
    /// It was called before both sides proved themselves.
    #[error("the link is not established")]
    NotEstablished,
}
