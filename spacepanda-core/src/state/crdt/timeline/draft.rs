use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::{entry::RowError, text::Text};
use crate::{
    base::{ChannelId, MessageId, ServerId, Timestamp, cbor},
    store::{Batch, Namespace},
};

/// Where drafts are kept.
pub const DRAFTS: Namespace = Namespace::new("draft");

/// A text that was accepted and is not yet encrypted. It keeps the name that the message will have.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Draft {
    /// The server it is for.
    #[n(0)]
    pub server: ServerId,
    /// The channel it is for.
    #[n(1)]
    pub channel: ChannelId,
    /// The name it will have.
    #[n(2)]
    pub message: MessageId,
    /// The words.
    #[n(3)]
    pub text: Text,
    /// When it was accepted.
    #[n(4)]
    pub at: Timestamp,
    /// Whether its envelope is held in a log of one's own, and cannot be read yet: then it is not sent again,
    /// and stays, as it may be the only copy of its words.
    #[n(5)]
    pub written: bool,
}

/// The key of the draft `number`: drafts are kept in the order of their numbers.
pub fn draft_key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The number of the draft at `key`; `None` if that is no such key.
pub fn draft_number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// Keeps a draft.
pub fn put_draft(batch: &mut Batch, number: u64, draft: &Draft) {
    batch.put(DRAFTS, draft_key(number), cbor::encode(draft));
}

/// Lets go of a draft, in the batch that keeps its envelope.
pub fn remove_draft(batch: &mut Batch, number: u64) {
    batch.delete(DRAFTS, draft_key(number));
}

/// Reads a row of [`DRAFTS`].
///
/// # Errors
/// If the value is no draft.
pub fn decode_draft(value: &[u8]) -> Result<Draft, RowError> {
    Ok(cbor::decode(value)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft() -> Draft {
        Draft {
            server: ServerId::new([1; 32]),
            channel: ChannelId::new([2; 32]),
            message: MessageId::new([3; 16]),
            text: Text::new("hi").unwrap(),
            at: Timestamp::from_micros(7),
            written: false,
        }
    }

    #[test]
    fn the_bytes_of_a_draft_are_pinned() {
        let golden = format!(
            "a6005820{}015820{}0250{}03626869040705f4",
            "01".repeat(32),
            "02".repeat(32),
            "03".repeat(16)
        );
        assert_eq!(hex::encode(cbor::encode(&draft())), golden);
        assert_eq!(decode_draft(&hex::decode(golden).unwrap()), Ok(draft()));
    }

    #[test]
    fn a_draft_is_kept_under_its_number_until_it_is_removed() {
        let mut batch = Batch::new();
        put_draft(&mut batch, 258, &draft());
        remove_draft(&mut batch, 258);
        let [put, remove] = batch.changes() else { panic!("two changes") };
        assert_eq!(put.key(), remove.key());
        assert_eq!(draft_number(put.key()), Some(258));
        assert_eq!(decode_draft(put.value().unwrap()), Ok(draft()));
        assert_eq!(remove.value(), None);
        assert_eq!(draft_number(b"short"), None);
    }

    proptest! {
        #[test]
        fn damaged_drafts_never_panic(at in 0usize..120, byte: u8) {
            let mut value = cbor::encode(&draft());
            let at = at % value.len();
            value[at] = byte;
            let _ = decode_draft(&value);
        }
    }
}
