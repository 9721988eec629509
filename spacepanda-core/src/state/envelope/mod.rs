//! The one signed unit of everything that is replicated: decoding, checking, and causality.
//!
//! `Bytes -> Envelope -> Verified -> Opened<T>`: each step is one function, and none can be skipped.

mod codec;
mod dag;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod header;
mod opened;
mod waiting;

#[cfg(test)]
mod tests;

pub use codec::{Envelope, EnvelopeError, Verified, hash};
pub use dag::{Dag, Index, Past};
pub use header::{BodyRef, Header, PayloadType, VERSION, order_after, stamp};
pub use opened::{Opened, Origin, plain};
pub use waiting::{Full, Waiting};
