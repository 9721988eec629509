use minicbor::{Decode, Encode};

use super::{
    key::Place,
    post::PostError,
    text::{Salt, Text},
};
use crate::base::{
    DeviceId, EnvelopeId, IdentityId, MessageId, Timestamp,
    cbor::{self, CborError},
};

/// Why a row could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The key is none of this kind of row.
    #[error("a row has a key of another form")]
    Key,
    /// The value is none of this kind of row.
    #[error("a row cannot be read: {0}")]
    Value(#[from] CborError),
    /// The store gave other rows than were asked for, or in another order.
    #[error("the store gave rows that were not asked for")]
    Scan,
}

/// Why a message has no text here, for ever or until somebody hands it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Reason {
    /// It was written before this device was in the group.
    #[n(0)]
    BeforeYouWereIn,
    /// Its keys were used or are too old.
    #[n(1)]
    KeysGone,
    /// It stands on a state that this device never reached.
    #[n(2)]
    StateUnknown,
    /// It is not what its author committed to; unreadable for all.
    #[n(3)]
    Commitment,
    /// MLS authenticated another sender than its envelope's; unreadable for all.
    #[n(4)]
    OtherSender,
    /// What was encrypted is no message; unreadable for all.
    #[n(5)]
    Malformed,
    /// It was written by a newer version.
    #[n(6)]
    Newer,
}

impl Reason {
    /// The sentence people read after "unreadable:".
    pub fn text(self) -> &'static str {
        match self {
            Self::BeforeYouWereIn => "before you were in",
            Self::KeysGone => "its keys are gone",
            Self::StateUnknown => "written to a state of the group that never arrived here",
            Self::Commitment => "not what its author committed to",
            Self::OtherSender => "sent by another device than it says",
            Self::Malformed => "not a message",
            Self::Newer => "written by a newer version; update to read it",
        }
    }
}

impl From<PostError> for Reason {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Newer => Self::Newer,
            PostError::TooLarge | PostError::Malformed(_) => Self::Malformed,
        }
    }
}

/// What of a message can be read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Reading {
    /// Its text.
    #[n(0)]
    Text {
        /// The words. They were encrypted as [`Content`](super::Content) encodes them, for that has one
        /// form only.
        #[n(0)]
        text: Text,
        /// What proves them to whom they are handed over.
        #[n(1)]
        salt: Salt,
    },
    /// Nothing, and why.
    #[n(1)]
    Unreadable {
        /// Why.
        #[n(0)]
        reason: Reason,
    },
    /// Nothing yet: its body or its state is on the way.
    #[n(2)]
    Waiting,
}

/// A message of a timeline, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Its envelope.
    #[n(0)]
    pub envelope: EnvelopeId,
    /// Its name among the messages of its device.
    #[n(1)]
    pub message: MessageId,
    /// The device that wrote it.
    #[n(2)]
    pub device: DeviceId,
    /// Whose device that is.
    #[n(3)]
    pub identity: IdentityId,
    /// What of it can be read.
    #[n(4)]
    pub reading: Reading,
    /// The author's clock; for people, see [`Entry::at_millis`].
    #[n(5)]
    pub at: Timestamp,
    /// Whether its author was entitled to it, as far as is known now.
    #[n(6)]
    pub counts: bool,
    /// Whether this device's person wrote it.
    #[n(7)]
    pub own: bool,
    /// Whether its name is its own: of the envelopes of one device with one name, counting or not, the
    /// first by (`order`, id) has it. [`put`](super::put) decides it.
    #[n(8)]
    pub first: bool,
}

impl Entry {
    /// Whether people see it.
    pub fn is_shown(&self) -> bool {
        self.counts && self.first
    }

    /// When it was written, in milliseconds since 1970, never later than `now`.
    pub fn at_millis(&self, now: Timestamp) -> u64 {
        self.at.min(now).millis()
    }
}

/// An entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where.
    pub place: Place,
    /// What.
    pub entry: Entry,
}

/// Reads a row of [`TIMELINE`](super::TIMELINE).
///
/// # Errors
/// If key or value are not of such a row.
pub fn decode_entry(key: &[u8], value: &[u8]) -> Result<Row, RowError> {
    let place = Place::of_key(key).ok_or(RowError::Key)?;
    Ok(Row { place, entry: cbor::decode(value)? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::{super::key::row_key, *};

    pub(in super::super) fn entry(number: u8, message: u8) -> Entry {
        Entry {
            envelope: EnvelopeId::new([number; 32]),
            message: MessageId::new([message; 16]),
            device: DeviceId::new([3; 32]),
            identity: IdentityId::new([4; 32]),
            reading: text(&format!("text {number}")),
            at: Timestamp::from_micros(5_000),
            counts: true,
            own: false,
            first: true,
        }
    }

    fn text(text: &str) -> Reading {
        Reading::Text { text: Text::new(text).unwrap(), salt: Salt::new([5; 32]) }
    }

    fn key() -> bytes::Bytes {
        row_key(&Place { channel: 1, order: 2, device: 3, number: 4 })
    }

    #[test]
    fn the_bytes_of_an_entry_are_pinned() {
        let golden = |reading: &str| {
            let ids = ["01", "03", "04"].map(|byte| byte.repeat(32));
            format!(
                "a9005820{}0150{}025820{}035820{}04{reading}0519138806f507f408f5",
                ids[0],
                "02".repeat(16),
                ids[1],
                ids[2],
            )
        };
        let salted = format!("8200a200626869015820{}", "05".repeat(32));
        for (reading, bytes) in [
            (text("hi"), salted.as_str()),
            (Reading::Unreadable { reason: Reason::Newer }, "8201a10006"),
            (Reading::Waiting, "8202a0"),
        ] {
            let entry = Entry { reading, ..entry(1, 2) };
            assert_eq!(hex::encode(cbor::encode(&entry)), golden(bytes));
            let row = decode_entry(&key(), &hex::decode(golden(bytes)).unwrap()).unwrap();
            assert_eq!(row.entry, entry);
            assert_eq!(row.place, Place { channel: 1, order: 2, device: 3, number: 4 });
        }
    }

    #[test]
    fn a_message_of_the_future_is_shown_as_of_now() {
        let entry = entry(1, 2);
        assert_eq!(entry.at_millis(Timestamp::from_micros(9_000)), 5);
        assert_eq!(entry.at_millis(Timestamp::from_micros(2_000)), 2);
    }

    #[test]
    fn only_what_counts_and_has_its_name_is_shown() {
        assert!(entry(1, 2).is_shown());
        assert!(!Entry { counts: false, ..entry(1, 2) }.is_shown());
        assert!(!Entry { first: false, ..entry(1, 2) }.is_shown());
    }

    #[test]
    fn a_row_of_another_kind_is_an_error() {
        assert_eq!(decode_entry(b"key", &cbor::encode(&entry(1, 2))), Err(RowError::Key));
        assert_eq!(decode_entry(&key(), &[0]), Err(RowError::Value(CborError::Shape)));
    }

    proptest! {
        #[test]
        fn damaged_rows_never_panic(at in 0usize..210, byte: u8) {
            let mut value = cbor::encode(&entry(1, 2));
            let at = at % value.len();
            value[at] = byte;
            let _ = decode_entry(&key(), &value);
        }
    }
}
