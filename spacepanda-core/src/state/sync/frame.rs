//! The frames of a sync conversation: CBOR, bounded before they are decoded.

use bytes::Bytes;
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use super::{FRAME_LEN_LIMIT, FRAME_LEN_MAX};
use crate::base::{
    ChannelId, Tip,
    cbor::{self, CborError},
    limits::ENVELOPE_LEN_MAX,
};

/// BLAKE3 over the tips that one side shows.
pub(super) type Digest = [u8; 32];

/// Channels in one frame of digests.
pub(super) const DIGESTS_PER_FRAME: usize = 500;
/// Tips in one frame.
pub(super) const TIPS_PER_FRAME: usize = 600;
/// Envelopes in one frame.
pub(super) const ENTRIES_PER_FRAME: usize = 256;
/// Bytes that a frame adds to its tips and envelopes, at most.
const OVERHEAD: usize = 256;
const TIP_LEN: usize = 80;

/// Why a frame was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than any frame may be.
    #[error("it is longer than a frame may be")]
    TooLong,
    /// Not CBOR in deterministic form, or of another shape, or with too long a list.
    #[error("{0}")]
    Cbor(#[from] CborError),
}

/// What travels. Every list is bounded, and so is every envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) enum Frame {
    /// Digests of what the sender shows, each of one round of one channel's exchange.
    #[n(0)]
    Digests {
        #[n(0)]
        digests: List<ChannelDigest, DIGESTS_PER_FRAME>,
    },
    /// A page of what the sender shows of a channel.
    #[n(1)]
    Frontier {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        round: u64,
        #[n(2)]
        tips: List<Tip, TIPS_PER_FRAME>,
        #[n(3)]
        more: bool,
    },
    /// Envelopes that the receiver lacked by its frontier.
    #[n(2)]
    Page {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        envelopes: List<Envelope, ENTRIES_PER_FRAME>,
    },
    /// Tips that the sender came to hold, and those of the envelopes that the receiver may lack.
    #[n(3)]
    News {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        tips: List<Tip, TIPS_PER_FRAME>,
        #[n(2)]
        envelopes: List<Envelope, ENTRIES_PER_FRAME>,
    },
    /// Bytes of frames with envelopes that the sender is done with.
    #[n(4)]
    Ack {
        #[n(0)]
        bytes: u64,
    },
    /// Asks for an envelope with its body.
    #[n(5)]
    BodyRequest {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        tip: Tip,
    },
    /// The envelope that was asked for.
    #[n(6)]
    Body {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        tip: Tip,
        #[n(2)]
        envelope: Envelope,
    },
    /// It is not held, or not for the asker.
    #[n(7)]
    NotHeld {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        tip: Tip,
    },
    /// Tips that the sender holds of logs of which it was sent what does not follow: a frontier comes
    /// next, and does not show them.
    #[n(8)]
    Behind {
        #[n(0)]
        channel: ChannelId,
        #[n(1)]
        tips: List<Tip, TIPS_PER_FRAME>,
    },
}

const KINDS: u64 = 9;

impl Frame {
    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(cbor::encode(self))
    }

    /// Decodes a frame; `None` for a kind of a newer version.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        if bytes.len() > FRAME_LEN_LIMIT {
            return Err(FrameError::TooLong);
        }
        cbor::check(bytes)?;
        if kind(bytes).is_some_and(|kind| kind >= KINDS) {
            return Ok(None);
        }
        Ok(Some(minicbor::decode(bytes).map_err(|_| CborError::Shape)?))
    }
}

fn kind(bytes: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(bytes);
    decoder.array().ok()?;
    decoder.u64().ok()
}

/// A channel, the round of its exchange, and the digest shown in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChannelDigest {
    pub(super) channel: ChannelId,
    pub(super) round: u64,
    pub(super) digest: Digest,
}

impl<C> Encode<C> for ChannelDigest {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?.encode(self.channel)?.u64(self.round)?.bytes(&self.digest)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ChannelDigest {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        if d.array()? != Some(3) {
            return Err(DecodeError::message("a channel's digest has three parts"));
        }
        let (channel, round) = (d.decode()?, d.u64()?);
        let digest = d.bytes()?.try_into();
        let digest = digest.map_err(|_| DecodeError::message("a digest of another length"))?;
        Ok(Self { channel, round, digest })
    }
}

/// An envelope as it travels, at most `ENVELOPE_LEN_MAX` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope(pub(super) Bytes);

impl<C> Encode<C> for Envelope {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Envelope {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let bytes = d.bytes()?;
        if bytes.len() > ENVELOPE_LEN_MAX {
            return Err(DecodeError::message("an envelope above its limit"));
        }
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// At most `MAX` items; more are refused before any is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

impl<C, T: Encode<C>, const MAX: usize> Encode<C> for List<T, MAX> {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        self.0.encode(e, ctx)
    }
}

impl<'b, C, T: Decode<'b, C>, const MAX: usize> Decode<'b, C> for List<T, MAX> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        cbor::decode_list::<C, T, MAX>(d, ctx).map(Self)
    }
}

/// Splits envelopes over frames, each as full as [`FRAME_LEN_MAX`] allows and never empty; `tips_len`
/// is the number of tips that travel with them in the first.
pub(super) fn split(envelopes: Vec<Bytes>, tips_len: usize) -> Vec<Vec<Envelope>> {
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    let mut len = OVERHEAD + TIP_LEN * tips_len;
    for bytes in envelopes {
        let full = len + bytes.len() + 5 > FRAME_LEN_MAX || frame.len() == ENTRIES_PER_FRAME;
        if full && !frame.is_empty() {
            frames.push(std::mem::take(&mut frame));
            len = OVERHEAD;
        }
        len += bytes.len() + 5;
        frame.push(Envelope(bytes));
    }
    if !frame.is_empty() {
        frames.push(frame);
    }
    frames
}
