use bytes::Bytes;

use super::{
    Kind, Me, Output, Session,
    hello::{Hello, Role},
    message::{Assembly, split},
};
use crate::{
    base::{
        Secret, cbor,
        decoder::{Decoder, Form, Sampler},
    },
    state::identity::decoders::certificate,
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![
        Decoder { name: "link hello", form: Form::Lenient, samples: hellos, decode: hello },
        Decoder { name: "link fragments", form: Form::Foreign, samples: parts, decode: assemble },
        Decoder { name: "link session", form: Form::Foreign, samples: sessions, decode: session },
    ]
}

const HASH: [u8; 32] = [5; 32];

fn me(s: &mut Sampler) -> Me {
    let (device, certificate) = certificate(s);
    Me { certificate, device }
}

fn hellos(s: &mut Sampler) -> Vec<Vec<u8>> {
    let Me { certificate, device } = me(s);
    let secret = Secret::new(s.bytes());
    [None, Some(&secret)]
        .map(|secret| Hello::new(Role::Dialler, &HASH, &certificate, &device, secret).encode())
        .to_vec()
}

fn hello(bytes: &[u8]) -> Option<Vec<u8>> {
    let _ = Hello::check(bytes, Role::Dialler, &HASH);
    cbor::decode_lenient::<Hello>(bytes).ok().map(|hello| hello.encode())
}

/// Fragments, each behind its length in two bytes.
fn parts(s: &mut Sampler) -> Vec<Vec<u8>> {
    let lens = [0, 1 + s.below(2_000), 66_000];
    let messages = lens.map(|len| split(Kind::Sync, &vec![7; len as usize]));
    let framed = |fragments: Vec<Vec<u8>>| {
        let framed =
            fragments.iter().map(|part| [&(part.len() as u16).to_be_bytes()[..], part].concat());
        framed.collect::<Vec<_>>().concat()
    };
    messages.map(framed).to_vec()
}

fn assemble(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut assembly = Assembly::default();
    while let Some((len, rest)) = bytes.split_first_chunk() {
        let (part, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        assembly.push(part).ok()?;
        bytes = rest;
    }
    None
}

/// Each frame of a link behind its number, all of one handshake.
fn sessions(_: &mut Sampler) -> Vec<Vec<u8>> {
    let [mut dialler, mut dialled] = begin();
    let mut samples = Vec::new();
    for number in 0..5 {
        let frame = next(&mut dialler, &mut dialled, number);
        samples.push([&[number][..], &frame].concat());
    }
    samples
}

/// Reads the frame of that number where its turn is.
fn session(bytes: &[u8]) -> Option<Vec<u8>> {
    let (number, frame) = bytes.split_first()?;
    let [mut dialler, mut dialled] = begin();
    for earlier in 0..*number % 5 {
        next(&mut dialler, &mut dialled, earlier);
    }
    let reader = if matches!(number % 5, 1 | 4) { &mut dialler } else { &mut dialled };
    let _ = reader.session.read(frame);
    None
}

/// One side of a link: its session, and what it sent and nobody read.
struct Side {
    session: Session,
    sent: Vec<Bytes>,
}

fn begin() -> [Side; 2] {
    let mut s = Sampler::new(1);
    let (dialler, first) = Session::dial(&Secret::new([1; 32]), me(&mut s), None).unwrap();
    let dialled = Session::accept(&Secret::new([2; 32])).unwrap();
    [Side { session: dialler, sent: vec![first] }, Side { session: dialled, sent: Vec::new() }]
}

/// Takes the frame `number` from who sends it and lets the other side read it: three of the handshake,
/// of which the third comes with the dialler's hello, and the dialled side's.
fn next(dialler: &mut Side, dialled: &mut Side, number: u8) -> Bytes {
    let (from, to) = if matches!(number, 1 | 4) { (dialled, dialler) } else { (dialler, dialled) };
    let frame = from.sent.remove(0);
    for output in to.session.read(&frame).unwrap() {
        match output {
            Output::Send(frame) => to.sent.push(frame),
            Output::Asks(_) => {
                let me = me(&mut Sampler::new(2));
                to.sent.push(to.session.accept_peer(&me).unwrap());
            }
            Output::Established(_) | Output::Message(..) => {}
        }
    }
    frame
}
