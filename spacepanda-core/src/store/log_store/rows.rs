use bytes::Bytes;
use minicbor::{Decode, Encode, bytes::ByteSlice};

use super::branches::Log;
use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, Error, ErrorKind, Result,
        cbor::{self, CborError},
    },
    store::Namespace,
};

/// Headers: channel, device, number, branch.
pub(super) const LOG: Namespace = Namespace::new("log");
/// Bodies, under the key of their header; none while a body is not held.
pub(super) const BODY: Namespace = Namespace::new("body");
/// The shape of each log: channel, device.
pub(super) const LOG_TIP: Namespace = Namespace::new("log_tip");
/// Local numbers, and whose they are.
pub(super) const LOG_NUMBER: Namespace = Namespace::new("log_number");

/// One log, by local numbers. Keys carry nothing else, so that they may stay readable on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogKey {
    pub(super) channel: u32,
    pub(super) device: u32,
}

impl LogKey {
    /// The key of the log's shape, with which the keys of its entries begin.
    pub(super) fn bytes(self) -> Bytes {
        [self.channel.to_be_bytes(), self.device.to_be_bytes()].concat().into()
    }

    pub(super) fn parse(key: &[u8]) -> Result<Self> {
        let (channel, device) = key.split_first_chunk().ok_or_else(|| corrupt("log's shape"))?;
        let device = device.try_into().map_err(|_| corrupt("log's shape"))?;
        Ok(Self { channel: u32::from_be_bytes(*channel), device: u32::from_be_bytes(device) })
    }

    /// The key of an entry.
    pub(super) fn entry(self, number: u64, branch: u16) -> Bytes {
        [&self.bytes()[..], &number.to_be_bytes(), &branch.to_be_bytes()].concat().into()
    }
}

/// Number and branch of the entry at `key`.
pub(super) fn entry_place(key: &[u8]) -> Result<(u64, u16)> {
    let place = key.get(8..).and_then(|rest| rest.split_first_chunk());
    let (number, branch) = place.ok_or_else(|| corrupt("header"))?;
    let branch = branch.try_into().map_err(|_| corrupt("header"))?;
    Ok((u64::from_be_bytes(*number), u16::from_be_bytes(branch)))
}

/// Which parts of an entry a header row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(super) enum Form {
    /// Header and signature; the body is in a row of its own while it is held.
    #[n(0)]
    Split,
    /// Header and signature of an envelope that needs no body.
    #[n(1)]
    Bodiless,
    /// Bytes that are no envelope, whole, said to include the body.
    #[n(2)]
    Whole,
    /// Bytes that are no envelope, whole, said to lack the body.
    #[n(3)]
    WholeWithout,
}

/// An entry without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) id: EnvelopeId,
    pub(super) previous: Option<EnvelopeId>,
    pub(super) arrival: u64,
    pub(super) form: Form,
    pub(super) header: Bytes,
    pub(super) signature: Bytes,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct HeaderRow<'b> {
    /// Stands in the key as well, so that a row in the wrong place is found out.
    #[n(0)]
    number: u64,
    #[n(1)]
    id: EnvelopeId,
    #[n(2)]
    previous: Option<EnvelopeId>,
    #[n(3)]
    arrival: u64,
    #[n(4)]
    form: Form,
    #[b(5)]
    header: &'b ByteSlice,
    #[b(6)]
    signature: &'b ByteSlice,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        cbor::encode(&HeaderRow {
            number: self.number,
            id: self.id,
            previous: self.previous,
            arrival: self.arrival,
            form: self.form,
            header: (&self.header[..]).into(),
            signature: (&self.signature[..]).into(),
        })
    }

    /// The header of the entry at `number`, from its row.
    pub(super) fn decode(row: &Bytes, number: u64) -> Result<Self> {
        let read: HeaderRow<'_> = cbor::decode(row).map_err(|error| because("header", error))?;
        if read.number != number {
            return Err(corrupt("header"));
        }
        Ok(Self {
            number,
            id: read.id,
            previous: read.previous,
            arrival: read.arrival,
            form: read.form,
            header: row.slice_ref(read.header),
            signature: row.slice_ref(read.signature),
        })
    }
}

pub(super) fn decode_log(row: &[u8]) -> Result<Log> {
    let log: Log = cbor::decode(row).map_err(|error| because("log's shape", error))?;
    if log.is_sound() { Ok(log) } else { Err(corrupt("log's shape")) }
}

/// Whose a local number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) enum Owner {
    #[n(0)]
    Channel(#[n(0)] ChannelId),
    #[n(1)]
    Device(#[n(0)] DeviceId),
}

impl Owner {
    pub(super) fn decode(row: &[u8]) -> Result<Self> {
        cbor::decode(row).map_err(|error| because("local number", error))
    }
}

/// A row of the logs that nobody can have written so.
pub(super) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("read logs: a {what} is damaged"))
}

fn because(what: &str, error: CborError) -> Error {
    corrupt(what).with_source(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::Tip;

    #[test]
    fn the_rows_are_pinned() {
        let key = LogKey { channel: 1, device: 2 };
        assert_eq!(hex::encode(key.entry(3, 4)), "000000010000000200000000000000030004");
        assert_eq!(LogKey::parse(&key.bytes()).unwrap(), key);
        assert_eq!(entry_place(&key.entry(3, 4)).unwrap(), (3, 4));

        let header = Header {
            number: 3,
            id: EnvelopeId::new([1; 32]),
            previous: None,
            arrival: 7,
            form: Form::Split,
            header: Bytes::from_static(b"h"),
            signature: Bytes::from_static(b"s"),
        };
        let ones = "01".repeat(32);
        assert_eq!(hex::encode(header.encode()), format!("87035820{ones}f6070041684173"));
        assert_eq!(Header::decode(&header.encode().into(), 3).unwrap(), header);
        assert!(Header::decode(&header.encode().into(), 4).is_err());

        let device = DeviceId::new([1; 32]);
        let log = Log::begin(&Tip { device, number: 5, id: header.id }, 5, 7);
        let row = format!("835820{ones}818505f6055820{ones}0705");
        assert_eq!(hex::encode(cbor::encode(&log)), row);
        assert_eq!(decode_log(&hex::decode(row).unwrap()).unwrap(), log);

        let owner = Owner::Device(device);
        assert_eq!(hex::encode(cbor::encode(&owner)), format!("8201815820{ones}"));
        assert_eq!(Owner::decode(&cbor::encode(&owner)).unwrap(), owner);
    }

    #[test]
    fn a_damaged_row_is_named_and_never_panics() {
        for bytes in [&[][..], &[0x80], &[0xff; 40], &[0x86, 0xf6, 0xf6, 0, 0, 0x40, 0x40]] {
            let row = Bytes::copy_from_slice(bytes);
            assert_eq!(Header::decode(&row, 0).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(decode_log(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(Owner::decode(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(LogKey::parse(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
            assert_eq!(entry_place(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
