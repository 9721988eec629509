use minicbor::{Decode, Encode};

use super::EnvelopeError;
use crate::base::{
    ChannelId, DeviceId, EnvelopeId, Timestamp, Tip,
    limits::{BODY_LEN_MAX, CLOCK_SKEW_MAX, PARENTS_MAX, PAYLOAD_LEN_MAX},
};

/// The version of the header that this program writes.
pub const VERSION: u8 = 1;

/// What an envelope's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PayloadType {
    /// The first state of a group's generation.
    Root,
    /// A commit of a group.
    Commit,
    /// Support for a state of a group.
    Vote,
    /// A key package.
    KeyPackage,
    /// A message, encrypted.
    Message,
    /// An operation of authority.
    Authority,
    /// An operation on structure.
    Structure,
    /// A change of an identity's devices.
    Identity,
    /// One of a newer version: kept and forwarded, without effect here.
    Newer(u8),
}

impl PayloadType {
    /// The number it has in a header.
    pub fn code(self) -> u8 {
        match self {
            Self::Root => 1,
            Self::Commit => 2,
            Self::Vote => 3,
            Self::KeyPackage => 4,
            Self::Message => 5,
            Self::Authority => 6,
            Self::Structure => 7,
            Self::Identity => 8,
            Self::Newer(code) => code,
        }
    }
}

impl From<u8> for PayloadType {
    fn from(code: u8) -> Self {
        match code {
            1 => Self::Root,
            2 => Self::Commit,
            3 => Self::Vote,
            4 => Self::KeyPackage,
            5 => Self::Message,
            6 => Self::Authority,
            7 => Self::Structure,
            8 => Self::Identity,
            code => Self::Newer(code),
        }
    }
}

impl<C> Encode<C> for PayloadType {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u8(self.code())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PayloadType {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u8().map(Self::from)
    }
}

/// Which bytes are an envelope's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct BodyRef {
    /// Their hash, with the prefix `spacepanda-body-v1`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// How many there are.
    #[n(1)]
    pub length: u32,
}

/// The signed part of an envelope, kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    /// Version of this format.
    #[n(0)]
    pub version: u8,
    /// The channel it belongs to.
    #[n(1)]
    pub channel: ChannelId,
    /// The device whose log it is in, and whose key signs it.
    #[n(2)]
    pub sender: DeviceId,
    /// Its place in that log, from 1.
    #[n(3)]
    pub sequence: u64,
    /// The entry before it in that log; absent exactly at 1.
    #[n(4)]
    pub previous: Option<EnvelopeId>,
    /// The tips that its author had seen in this channel, ascending, without `previous`.
    #[n(5)]
    pub parents: Vec<Tip>,
    /// The tips that its author had seen in the control channel, ascending; absent in that channel.
    #[n(6)]
    pub control: Option<Vec<Tip>>,
    /// The author's clock.
    #[n(7)]
    pub timestamp: Timestamp,
    /// Its place in time among the envelopes of its channel; see [`order_after`].
    #[n(8)]
    pub order: u64,
    /// What the payload is.
    #[n(9)]
    pub payload_type: PayloadType,
    /// The payload, in its type's own format.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// The body, if it has one.
    #[n(11)]
    pub body: Option<BodyRef>,
}

impl Header {
    /// Where it stands in its log.
    pub fn tip(&self, id: EnvelopeId) -> Tip {
        Tip { device: self.sender, number: self.sequence, id }
    }

    /// The ids of everything in its own channel that it names, `previous` first.
    pub fn named(&self) -> impl Iterator<Item = EnvelopeId> + '_ {
        self.previous.into_iter().chain(self.parents.iter().map(|tip| tip.id))
    }

    /// The ids in the control channel whose closure is what its author knew of authority: `control`,
    /// or, in the control channel itself, what it names there.
    pub fn control_past(&self) -> Vec<EnvelopeId> {
        match &self.control {
            Some(control) => control.iter().map(|tip| tip.id).collect(),
            None => self.named().collect(),
        }
    }

    /// Checks what can be checked of a header by itself.
    pub(super) fn check(&self) -> Result<(), EnvelopeError> {
        if self.version != VERSION {
            return Err(EnvelopeError::Version(self.version));
        }
        let control = self.control.as_deref().unwrap_or(&[]);
        let sound = (self.sequence > 1) == self.previous.is_some()
            && self.sequence > 0
            && self.payload.len() <= PAYLOAD_LEN_MAX
            && self.parents.len() + control.len() <= PARENTS_MAX
            && self.parents.is_sorted_by(|a, b| a < b)
            && control.is_sorted_by(|a, b| a < b)
            && self.parents.iter().chain(control).all(|tip| tip.number > 0)
            && self.parents.iter().all(|tip| Some(tip.id) != self.previous)
            && self.control.as_ref().is_none_or(|control| !control.is_empty())
            && self.timestamp < Timestamp::YEAR_2100
            && self.order >= self.timestamp.micros()
            && self.body.is_none_or(|body| body.length as usize <= BODY_LEN_MAX);
        if sound { Ok(()) } else { Err(EnvelopeError::Header) }
    }
}

/// The order of an envelope: the greater of its timestamp and one more than the greatest order among
/// what it names in its channel. So (`order`, id) follows causality, and is the same everywhere.
pub fn order_after(timestamp: Timestamp, named: impl IntoIterator<Item = u64>) -> u64 {
    let after = named.into_iter().max().map_or(0, |order| order.saturating_add(1));
    timestamp.micros().max(after)
}

/// The timestamp to write: one's own clock, later than one's last, following what was received for at
/// most [`CLOCK_SKEW_MAX`].
pub fn stamp(clock: Timestamp, own_last: Timestamp, received_greatest: Timestamp) -> Timestamp {
    let after_own = Timestamp::from_micros(own_last.micros().saturating_add(1));
    let followed = received_greatest.min(clock.saturating_add(CLOCK_SKEW_MAX));
    clock.max(after_own).max(followed)
}
