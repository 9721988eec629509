use super::{
    structure::StructureOp,
    timeline::{
        Content, Draft, Entry, Place, Reading, Reason, Salt, Text, decode_draft, decode_entry,
        decode_post, row_key, rows_decoder,
    },
};
use crate::base::{
    ChannelId, MessageId, Name, cbor,
    decoder::{Decoder, Form, Sampler},
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![
        Decoder {
            name: "crdt structure operation",
            form: Form::Exact,
            samples: |s| {
                let name = || Name::new("general").unwrap();
                let made = StructureOp::CreateChannel { name: name() };
                let named = Name::new(&format!("den {}", s.number())).unwrap();
                vec![made.encode(), StructureOp::SetServerName { name: named }.encode()]
            },
            decode: |bytes| StructureOp::decode(bytes).ok().map(|op| op.encode()),
        },
        Decoder {
            name: "crdt post",
            form: Form::Exact,
            samples: |s| vec![Content::Text { text: text(s) }.encode()],
            decode: |bytes| {
                let post = decode_post(ChannelId::new([1; 32]), MessageId::new([2; 16]), bytes);
                post.ok().map(|post| post.content.encode())
            },
        },
        Decoder {
            name: "crdt timeline row",
            form: Form::Exact,
            samples: |s| {
                let unreadable = Reading::Unreadable { reason: Reason::KeysGone };
                let said = Reading::Text { text: text(s), salt: Salt::new(s.bytes()) };
                let readings = [said, unreadable, Reading::Waiting];
                readings.map(|reading| cbor::encode(&entry(s, reading))).to_vec()
            },
            decode: |bytes| {
                let key = row_key(&Place { channel: 1, order: 2, device: 3, number: 4 });
                decode_entry(&key, bytes).ok().map(|row| cbor::encode(&row.entry))
            },
        },
        Decoder {
            name: "crdt draft row",
            form: Form::Exact,
            samples: |s| {
                let (server, channel, message) = (s.server(), s.channel(), s.message());
                let (text, at) = (text(s), s.stamp());
                let draft = Draft { server, channel, message, text, at, written: false };
                let written = Draft { written: true, ..draft.clone() };
                vec![cbor::encode(&draft), cbor::encode(&written)]
            },
            decode: |bytes| decode_draft(bytes).ok().map(|draft| cbor::encode(&draft)),
        },
        rows_decoder(),
    ]
}

fn entry(s: &mut Sampler, reading: Reading) -> Entry {
    Entry {
        envelope: s.envelope(),
        message: s.message(),
        device: s.device(),
        identity: s.identity(),
        reading,
        at: s.stamp(),
        counts: true,
        own: s.below(2) == 0,
        first: true,
    }
}

fn text(s: &mut Sampler) -> Text {
    let words = "words and \u{1f43c} ".repeat(1 + s.below(500) as usize);
    Text::new(words).unwrap()
}
