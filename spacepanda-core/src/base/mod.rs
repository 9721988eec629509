//! Bytes, names, errors and limits: what every other module may use.

pub mod cbor;
#[cfg(any(test, fuzzing))]
pub mod decoder;
mod error;
mod ids;
pub mod limits;
mod log;
mod name;
pub mod planted;
mod secret;
mod time;

pub use error::{Error, ErrorKind, Result};
pub use ids::{
    ChannelId, DeviceId, EnvelopeId, IdError, IdentityId, MessageId, PeerId, ServerId, StateId,
};
pub use log::{Floors, Frontier, LogEntry, Tip};
pub use name::{Name, NameError};
pub use planted::Bug;
pub use secret::Secret;
pub use time::Timestamp;
