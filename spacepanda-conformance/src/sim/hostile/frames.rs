//! What a hostile member says on a link, in the bytes of the protocol.

use minicbor::{Decode, Encode, Encoder};
use spacepanda_core::{
    base::{ChannelId, DeviceId, ServerId, StateId, Tip, cbor},
    state::{
        crdt::{Content, timeline::Text},
        envelope::Verified,
        identity::KeyPair,
    },
};

type Fields<'a> = &'a dyn Fn(&mut Encoder<Vec<u8>>) -> Written;
type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// A sync frame of a kind, with so many fields.
fn sync(kind: u8, count: u64, fields: Fields<'_>) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    let begun = e.array(2).and_then(|e| e.u8(kind)?.map(count).map(|_| ()));
    begun.and_then(|()| fields(&mut e)).expect("writing to a vector does not fail");
    e.into_writer()
}

/// Envelopes pushed in a channel.
pub(super) fn news(channel: ChannelId, envelopes: &[Verified]) -> Vec<u8> {
    sync(3, 3, &|e| {
        e.u8(0)?.bytes(channel.as_bytes())?.u8(1)?.array(0)?;
        e.u8(2)?;
        list(e, envelopes)
    })
}

/// A page of envelopes.
pub(super) fn page(channel: ChannelId, envelopes: &[Verified]) -> Vec<u8> {
    sync(2, 2, &|e| {
        e.u8(0)?.bytes(channel.as_bytes())?.u8(1)?;
        list(e, envelopes)
    })
}

/// A body nobody asked for.
pub(super) fn body(channel: ChannelId, envelope: &Verified) -> Vec<u8> {
    sync(6, 3, &|e| {
        e.u8(0)?.bytes(channel.as_bytes())?.u8(1)?.encode(envelope.tip())?;
        e.u8(2)?.bytes(&envelope.encode())?.ok()
    })
}

/// Says that all this is held of a channel.
pub(super) fn frontier(channel: ChannelId, round: u64, tips: &[Tip]) -> Vec<u8> {
    sync(1, 4, &|e| {
        e.u8(0)?.bytes(channel.as_bytes())?.u8(1)?.u64(round)?;
        e.u8(2)?.encode(tips)?.u8(3)?.bool(false)?.ok()
    })
}

fn list(e: &mut Encoder<Vec<u8>>, envelopes: &[Verified]) -> Written {
    e.array(envelopes.len() as u64)?;
    envelopes.iter().try_for_each(|envelope| e.bytes(&envelope.encode())?.ok())
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct TreeFrame {
    #[n(0)]
    pub(super) server: ServerId,
    #[n(1)]
    pub(super) state: StateId,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(super) tree: Option<Vec<u8>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct RequestFrame {
    #[n(0)]
    pub(super) server: ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) request: Vec<u8>,
}

/// Asks for messages, or answers.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct HandOver {
    #[n(0)]
    pub(super) tag: u8,
    #[n(1)]
    pub(super) server: ServerId,
    #[n(2)]
    pub(super) channel: ChannelId,
    #[n(3)]
    pub(super) tips: Option<Vec<Tip>>,
    #[n(4)]
    pub(super) answers: Option<Vec<Answer>>,
}

impl HandOver {
    /// What somebody says who asks.
    pub(super) const ASKS: u8 = 1;
    /// What somebody says who answers.
    pub(super) const ANSWERS: u8 = 2;

    /// Asks for these.
    pub(super) fn asks(server: ServerId, channel: ChannelId, tips: Vec<Tip>) -> Vec<u8> {
        let tips = Some(tips);
        cbor::encode(&Self { tag: Self::ASKS, server, channel, tips, answers: None })
    }

    /// The messages that were handed over, if this answers.
    pub(super) fn handed(&self) -> impl Iterator<Item = Tip> + '_ {
        let answers = self.answers.iter().flatten().filter(|_| self.tag == Self::ANSWERS);
        answers.filter(|answer| answer.handed.is_some()).map(|answer| answer.tip)
    }

    /// An untrue answer for each of these.
    pub(super) fn untrue(server: ServerId, channel: ChannelId, tips: &[Tip]) -> Vec<u8> {
        let text = Text::new("untrue").expect("a short word is a text");
        let content = Content::Text { text }.encode();
        let handed = |at: usize| {
            at.is_multiple_of(2).then(|| Handed { salt: [8; 32], content: content.clone() })
        };
        let answers =
            tips.iter().enumerate().map(|(at, tip)| Answer { tip: *tip, handed: handed(at) });
        let answers = Some(answers.collect());
        cbor::encode(&Self { tag: Self::ANSWERS, server, channel, tips: None, answers })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct Answer {
    #[n(0)]
    tip: Tip,
    #[n(1)]
    handed: Option<Handed>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Handed {
    #[cbor(n(0), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    content: Vec<u8>,
}

#[derive(Encode)]
#[cbor(map)]
struct Records {
    #[n(0)]
    records: Vec<Record>,
}

/// Where a device can be reached, in its own word.
#[derive(Encode)]
#[cbor(map)]
pub(super) struct Record {
    #[n(0)]
    device: DeviceId,
    #[n(1)]
    number: u64,
    #[n(2)]
    addresses: Vec<String>,
    #[cbor(n(3), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode)]
#[cbor(map)]
struct Signed<'a> {
    #[n(0)]
    device: DeviceId,
    #[n(1)]
    number: u64,
    #[n(2)]
    addresses: &'a [String],
}

impl Record {
    /// Says by `keys` where `device` can be reached.
    pub(super) fn sign(
        keys: &KeyPair,
        device: DeviceId,
        number: u64,
        addresses: Vec<String>,
    ) -> Self {
        let signed = cbor::encode(&Signed { device, number, addresses: &addresses });
        let signature = keys.sign("spacepanda-address-v1", &signed);
        Self { device, number, addresses, signature }
    }

    pub(super) fn frame(records: Vec<Self>) -> Vec<u8> {
        cbor::encode(&Records { records })
    }
}
