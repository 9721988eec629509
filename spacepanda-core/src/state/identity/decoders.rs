use super::{DeviceCertificate, KeyPair, VerifiedCertificate};
use crate::base::{
    DeviceId, Secret,
    decoder::{Decoder, Form, Sampler},
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![Decoder {
        name: "envelope certificate",
        form: Form::Exact,
        samples: |s| vec![certificate(s).1.encode()],
        decode: |bytes| VerifiedCertificate::decode(bytes).ok().map(|read| read.encode()),
    }]
}

/// A device's key, and its certificate by an identity nobody else has.
pub(crate) fn certificate(s: &mut Sampler) -> (KeyPair, VerifiedCertificate) {
    let [identity, device] =
        [s.bytes(), s.bytes()].map(|seed| KeyPair::from_secret(Secret::new(seed)));
    let id = DeviceId::new(*device.public());
    let certificate = DeviceCertificate::issue(&identity, id, s.stamp());
    (device, certificate)
}
