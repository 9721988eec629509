use super::{Header, PayloadType, Verified};
use crate::base::{ChannelId, DeviceId, EnvelopeId, Timestamp};

/// Who wrote something, where, when, and knowing what of authority: what the gate judges by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The channel it was written in.
    pub channel: ChannelId,
    /// The device that wrote it.
    pub device: DeviceId,
    /// The author's clock.
    pub timestamp: Timestamp,
    /// The ids in the control channel whose closure is its past of authority.
    pub past: Vec<EnvelopeId>,
}

impl Origin {
    /// The origin of what `header` carries.
    pub fn of(header: &Header) -> Self {
        Self {
            channel: header.channel,
            device: header.sender,
            timestamp: header.timestamp,
            past: header.control_past(),
        }
    }
}

/// What an envelope says, decoded, with where it came from; not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<T> {
    origin: Origin,
    content: T,
}

impl<T> Opened<T> {
    /// Joins content to its origin. The state code alone makes these: [`plain`] and the MLS group.
    pub(in crate::state) fn new(origin: Origin, content: T) -> Self {
        Self { origin, content }
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it says.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// Turns the content into another form of it.
    ///
    /// # Errors
    /// Whatever `decode` finds wrong.
    pub fn decode<U, E>(self, decode: impl FnOnce(T) -> Result<U, E>) -> Result<Opened<U>, E> {
        Ok(Opened { origin: self.origin, content: decode(self.content)? })
    }

    /// Both parts.
    pub fn into_parts(self) -> (Origin, T) {
        (self.origin, self.content)
    }
}

/// Opens what is not encrypted: the payload of every type but messages, which only their group
/// opens, and commits, which it stages.
pub fn plain(verified: &Verified) -> Option<Opened<Vec<u8>>> {
    let header = verified.header();
    match header.payload_type {
        PayloadType::Message | PayloadType::Commit => None,
        _ => Some(Opened::new(Origin::of(header), header.payload.clone())),
    }
}
