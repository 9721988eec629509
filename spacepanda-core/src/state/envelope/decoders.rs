use bytes::Bytes;

use super::{Envelope, Header, PayloadType, VERSION, Verified};
use crate::{
    base::decoder::{Decoder, Form, Sampler},
    state::identity::decoders::certificate,
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![Decoder { name: "envelope", form: Form::Exact, samples: envelopes, decode: envelope }]
}

/// Also what does not verify is decoded: whoever signs may write what they like.
fn envelope(bytes: &[u8]) -> Option<Vec<u8>> {
    let envelope = Envelope::decode(&Bytes::copy_from_slice(bytes)).ok()?;
    let _ = envelope.clone().verify();
    Some(envelope.encode().to_vec())
}

fn envelopes(s: &mut Sampler) -> Vec<Vec<u8>> {
    (1..=9).map(|code| signed(s, PayloadType::from(code)).encode().to_vec()).collect()
}

/// An envelope that nobody but its sender can have written.
fn signed(s: &mut Sampler, payload_type: PayloadType) -> Verified {
    let (keys, certificate) = certificate(s);
    let sequence = 1 + s.below(1 << 40);
    let timestamp = s.stamp();
    let control = s.tips(30);
    let header = Header {
        version: VERSION,
        channel: s.channel(),
        sender: certificate.device(),
        sequence,
        previous: (sequence > 1).then(|| s.envelope()),
        parents: s.tips(30),
        control: (!control.is_empty()).then_some(control),
        timestamp,
        order: timestamp.micros() + s.below(1 << 40),
        payload_type,
        payload: s.blob(4_096),
        body: None,
    };
    let body = (s.below(2) == 0).then(|| Bytes::from(s.blob(4_096)));
    Verified::sign(header, body, &keys).unwrap()
}
