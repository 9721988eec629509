use bytes::Bytes;

use super::{
    branches::{Log, Spot},
    rows::{Form as RowForm, Header, LogKey, Owner, decode_log, entry_place},
};
use crate::base::{
    Tip, cbor,
    decoder::{Decoder, Form, Sampler},
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    vec![
        Decoder { name: "rows log header", form: Form::Exact, samples: headers, decode: header },
        Decoder {
            name: "rows log shape",
            form: Form::Exact,
            samples: |s| vec![cbor::encode(&log(s))],
            decode: |bytes| decode_log(bytes).ok().map(|log| cbor::encode(&log)),
        },
        Decoder {
            name: "rows log number",
            form: Form::Exact,
            samples: |s| {
                let owners = [Owner::Channel(s.channel()), Owner::Device(s.device())];
                owners.iter().map(cbor::encode).collect()
            },
            decode: |bytes| Owner::decode(bytes).ok().map(|owner| cbor::encode(&owner)),
        },
        Decoder {
            name: "rows log keys",
            form: Form::Exact,
            samples: |_| {
                let key = LogKey { channel: 1, device: 2 };
                vec![key.bytes().to_vec(), key.entry(3, 4).to_vec()]
            },
            decode: key,
        },
    ]
}

/// The number stands in the key as well: the row is read with the one it holds.
fn header(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut d = minicbor::Decoder::new(bytes);
    let number = d.array().and_then(|_| d.u64()).unwrap_or(0);
    let row = Bytes::copy_from_slice(bytes);
    Header::decode(&row, number).ok().map(|header| header.encode())
}

fn key(bytes: &[u8]) -> Option<Vec<u8>> {
    if let Ok(key) = LogKey::parse(bytes) {
        return Some(key.bytes().to_vec());
    }
    let log = LogKey::parse(bytes.get(..8)?).ok()?;
    let (number, branch) = entry_place(bytes).ok()?;
    Some(log.entry(number, branch).to_vec())
}

fn headers(s: &mut Sampler) -> Vec<Vec<u8>> {
    let forms = [RowForm::Split, RowForm::Bodiless, RowForm::Whole, RowForm::WholeWithout];
    let header = |form| Header {
        number: 1 + s.below(1 << 40),
        id: s.envelope(),
        previous: (s.below(2) == 0).then(|| s.envelope()),
        arrival: s.number(),
        form,
        header: s.blob(2_000).into(),
        signature: s.bytes::<64>().to_vec().into(),
    };
    forms.map(header).iter().map(Header::encode).collect()
}

fn log(s: &mut Sampler) -> Log {
    let device = s.device();
    let mut tip = |number| Tip { device, number, id: s.envelope() };
    let mut log = Log::begin(&tip(5), 3, 1);
    log.add(Spot::Follows(0), &tip(6), 2);
    log.add(Spot::Beyond, &tip(9), 3);
    for arrival in 4..9 {
        log.add(Spot::Forks(Some(0)), &tip(6), arrival);
    }
    log
}
