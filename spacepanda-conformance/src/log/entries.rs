use bytes::Bytes;
use spacepanda_core::base::{ChannelId, DeviceId, EnvelopeId, Floors, LogEntry};

/// The channel of cases that need only one.
pub(super) const CHANNEL: ChannelId = ChannelId::new([0xc1; 32]);
/// Another one.
pub(super) const OTHER: ChannelId = ChannelId::new([0xc2; 32]);
/// A device nobody has heard of.
pub(super) const STRANGER: u8 = 0xff;

pub(super) fn device(name: u8) -> DeviceId {
    DeviceId::new([name; 32])
}

/// The id of the envelope `variant` at a place.
pub(super) fn id(name: u8, number: u64, variant: u8) -> EnvelopeId {
    let mut bytes = [variant; 32];
    // Against the order of numbers, so that an order by id is found out.
    bytes[0] = !(number as u8);
    bytes[1] = name;
    bytes[2..10].copy_from_slice(&number.to_be_bytes());
    EnvelopeId::new(bytes)
}

/// The entry `variant` at a place, which follows the entry `previous`.
pub(super) fn branch(name: u8, number: u64, variant: u8, previous: u8) -> LogEntry {
    let id = id(name, number, variant);
    let body = Bytes::from(vec![variant; 10 * usize::from(name)]);
    LogEntry {
        device: device(name),
        number,
        id,
        previous: (number > 1).then(|| self::id(name, number - 1, previous)),
        body_held: true,
        bytes: envelope(id.as_bytes(), Some(&body)),
    }
}

/// The entry 0 at a place, which follows another such.
pub(super) fn entry(name: u8, number: u64) -> LogEntry {
    branch(name, number, 0, 0)
}

/// The same entry as it travels without its body.
pub(super) fn without_body(entry: &LogEntry) -> LogEntry {
    let bytes = envelope(entry.id.as_bytes(), None);
    LogEntry { body_held: false, bytes, ..entry.clone() }
}

/// The body that [`branch`] gives an entry.
pub(super) fn body(entry: &LogEntry) -> Bytes {
    let len = 10 * usize::from(entry.device.as_bytes()[0]);
    entry.bytes.slice(entry.bytes.len() - len..)
}

/// Floors from which everything of these devices is for the reader.
pub(super) fn floors(names: &[u8]) -> Floors {
    names.iter().map(|name| (device(*name), 1)).collect()
}

/// `[header, signature, body or null]` in CBOR (RFC 8949).
pub(super) fn envelope(header: &[u8], body: Option<&[u8]>) -> Bytes {
    let mut bytes = vec![0x83];
    byte_string(&mut bytes, header);
    byte_string(&mut bytes, &[0x5a; 64]);
    match body {
        Some(body) => byte_string(&mut bytes, body),
        None => bytes.push(0xf6),
    }
    bytes.into()
}

fn byte_string(bytes: &mut Vec<u8>, content: &[u8]) {
    let len = content.len() as u64;
    match len {
        0..24 => bytes.push(0x40 | len as u8),
        24..0x100 => bytes.extend([0x58, len as u8]),
        0x100..0x1_0000 => {
            bytes.push(0x59);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x5a);
            bytes.extend((len as u32).to_be_bytes());
        }
    }
    bytes.extend(content);
}
