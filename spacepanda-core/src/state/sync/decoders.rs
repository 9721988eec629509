use bytes::Bytes;

use super::frame::{ChannelDigest, Envelope, Frame, List};
use crate::base::decoder::{Decoder, Form, Sampler};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![Decoder {
        name: "sync frame",
        form: Form::Lenient,
        samples: frames,
        decode: |bytes| Frame::decode(bytes).ok().flatten().map(|frame| frame.encode().to_vec()),
    }]
}

fn frames(s: &mut Sampler) -> Vec<Vec<u8>> {
    let digests = (0..s.below(50)).map(|_| ChannelDigest {
        channel: s.channel(),
        round: s.number(),
        digest: s.bytes(),
    });
    let digests = List(digests.collect());
    let (channel, tip) = (s.channel(), s.tip());
    let frames = [
        Frame::Digests { digests },
        Frame::Frontier { channel, round: s.below(9), tips: List(s.tips(60)), more: true },
        Frame::Page { channel, envelopes: envelopes(s) },
        Frame::News { channel, tips: List(s.tips(9)), envelopes: envelopes(s) },
        Frame::Ack { bytes: s.number() },
        Frame::BodyRequest { channel, tip },
        Frame::Body { channel, tip, envelope: Envelope(Bytes::from(s.blob(2_000))) },
        Frame::NotHeld { channel, tip },
        Frame::Behind { channel, tips: List(s.tips(9)) },
    ];
    frames.iter().map(|frame| frame.encode().to_vec()).collect()
}

fn envelopes(s: &mut Sampler) -> List<Envelope, { super::frame::ENTRIES_PER_FRAME }> {
    List((0..s.below(9)).map(|_| Envelope(Bytes::from(s.blob(2_000)))).collect())
}
