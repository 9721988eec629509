use super::super::{
    frames::{AddressRecord, JoinReply, JoinRequestFrame, Records, Refusal, Tree, TreeRequest},
    handover::{Answer, Answers, Asks, Frame, Handed},
    invite::JoinLink,
};
use crate::{
    base::{
        Secret, cbor,
        decoder::{Decoder, Form, Sampler, lenient},
    },
    state::{authority::decoders::request, identity::decoders::certificate},
};

/// Frames of links, and join links.
pub(super) fn decoders() -> Vec<Decoder> {
    let frame = |name, samples, decode| Decoder { name, form: Form::Lenient, samples, decode };
    vec![
        frame("frame tree request", tree_requests, lenient::<TreeRequest>),
        frame("frame tree", trees, lenient::<Tree>),
        frame("frame address records", records, |bytes| {
            let records: Records = cbor::decode_lenient(bytes).ok()?;
            let _ = records.records.iter().filter(|record| record.is_sound()).count();
            Some(cbor::encode(&records))
        }),
        frame("frame join request", join_requests, lenient::<JoinRequestFrame>),
        frame("frame join reply", join_replies, lenient::<JoinReply>),
        frame("frame hand over", hand_overs, |bytes| Frame::decode(bytes).ok().map(Frame::encode)),
        Decoder { name: "frame join link", form: Form::Exact, samples: links, decode: link },
    ]
}

fn tree_requests(s: &mut Sampler) -> Vec<Vec<u8>> {
    vec![cbor::encode(&TreeRequest { server: s.server(), state: s.state() })]
}

fn trees(s: &mut Sampler) -> Vec<Vec<u8>> {
    let trees = [None, Some(s.blob(3_000))];
    trees.map(|tree| cbor::encode(&Tree { server: s.server(), state: s.state(), tree })).to_vec()
}

fn records(s: &mut Sampler) -> Vec<Vec<u8>> {
    let records = (0..s.below(9)).map(|_| record(s)).collect();
    vec![cbor::encode(&Records { records })]
}

/// A device's own word of where it is.
pub(super) fn record(s: &mut Sampler) -> AddressRecord {
    AddressRecord::sign(&certificate(s).0, s.number(), addresses(s))
}

fn addresses(s: &mut Sampler) -> Vec<String> {
    (0..s.below(9)).map(|_| format!("quic://192.0.2.1:{}", s.below(65_536))).collect()
}

fn join_requests(s: &mut Sampler) -> Vec<Vec<u8>> {
    let request = request(s);
    vec![cbor::encode(&JoinRequestFrame { server: request.server, request: request.encode() })]
}

fn join_replies(s: &mut Sampler) -> Vec<Vec<u8>> {
    let refused = [None, Some(Refusal::UsedUp)];
    refused.map(|refused| cbor::encode(&JoinReply { server: s.server(), refused })).to_vec()
}

fn hand_overs(s: &mut Sampler) -> Vec<Vec<u8>> {
    let (server, channel) = (s.server(), s.channel());
    let answers = [None, Some(Handed { salt: s.bytes(), content: s.blob(900) })];
    let answers = answers.map(|handed| Answer { tip: s.tip(), handed }).to_vec();
    let asks = Asks { server, channel, tips: s.tips(20) };
    [Frame::Asks(asks), Frame::Answers(Answers { server, channel, answers })]
        .map(Frame::encode)
        .to_vec()
}

/// Join links as CBOR: the text is made around it.
fn links(s: &mut Sampler) -> Vec<Vec<u8>> {
    let link = JoinLink {
        server: s.server(),
        invite_key: Secret::new(s.bytes()),
        meeting_secret: Secret::new(s.bytes()),
        addresses: (0..s.below(5)).map(|_| addresses(s)).collect(),
        inviter: s.identity(),
    };
    vec![link.to_bytes()]
}

fn link(bytes: &[u8]) -> Option<Vec<u8>> {
    let link = JoinLink::from_bytes(bytes).ok()?;
    let text = link.encode();
    assert_eq!(JoinLink::decode(&text).expect("a link is read from its text").encode(), text);
    Some(link.to_bytes())
}
