use super::{
    Genesis, HeardLine, IssueInvite, JoinRequest, Name, Operation, Role, genesis::GENESIS_VERSION,
};
use crate::{
    base::{
        Secret,
        decoder::{Decoder, Form, Sampler},
    },
    state::identity::{KeyPair, decoders::certificate},
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![
        Decoder {
            name: "authority operation",
            form: Form::Exact,
            samples: operations,
            decode: |bytes| Operation::decode(bytes).ok().map(|operation| operation.encode()),
        },
        Decoder {
            name: "authority join request",
            form: Form::Exact,
            samples: |s| vec![request(s).encode()],
            decode: |bytes| {
                let request = JoinRequest::decode(bytes).ok()?;
                let _ = request.verify();
                Some(request.encode())
            },
        },
    ]
}

/// A request that was signed by all who must.
pub(crate) fn request(s: &mut Sampler) -> JoinRequest {
    let (device, certificate) = certificate(s);
    let invite = KeyPair::from_secret(Secret::new(s.bytes()));
    let mut package = s.blob(2_000);
    package.push(1);
    JoinRequest::sign(s.server(), name(s), &certificate, package, s.bytes(), &invite, &device)
        .unwrap()
}

fn operations(s: &mut Sampler) -> Vec<Vec<u8>> {
    let owners = (0..1 + s.below(4)).map(|_| certificate(s).1.certificate().clone()).collect();
    let operations = [
        Operation::Genesis(Genesis { version: GENESIS_VERSION, nonce: s.bytes(), owners }),
        Operation::IssueInvite(IssueInvite {
            invite_public_key: s.bytes(),
            meeting_secret: s.bytes(),
            role: Role::Everyone,
            max_uses: Some(1 + s.below(100) as u32),
            expires: s.stamp(),
        }),
        Operation::RevokeInvite { invite: s.envelope() },
        Operation::Admit(Box::new(request(s))),
        Operation::Kick { target: s.identity(), heard: heard(s) },
        Operation::Heard { removal: s.envelope(), heard: heard(s) },
        Operation::Leave,
        Operation::SetNickname { target: Some(s.identity()), name: name(s) },
        Operation::SetNickname { target: None, name: name(s) },
        Operation::AddDevice { certificate: certificate(s).1.certificate().clone() },
        revoke_device(s),
    ];
    operations.iter().map(Operation::encode).collect()
}

fn revoke_device(s: &mut Sampler) -> Operation {
    let identity = KeyPair::from_secret(Secret::new(s.bytes()));
    Operation::revoke_device(&identity, &s.server(), s.device())
}

fn heard(s: &mut Sampler) -> Vec<HeardLine> {
    (0..=s.below(4)).map(|_| HeardLine { channel: s.channel(), tips: s.tips(20) }).collect()
}

fn name(s: &mut Sampler) -> Name {
    Name::new(&format!("Ada {}", s.number())).unwrap()
}
