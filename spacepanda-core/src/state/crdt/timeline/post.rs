use minicbor::{Decode, Encode};

use super::{super::variant, text::Text};
use crate::{
    base::{
        ChannelId, MessageId,
        cbor::{self, CborError},
        limits::TEXT_LEN_MAX,
    },
    state::authority::{Act, Capability, Need},
};

/// How many kinds of content this version knows.
const KNOWN: u64 = 1;
/// Bytes of the longest content: a text and the heads around it.
pub const CONTENT_LEN_MAX: usize = TEXT_LEN_MAX + 16;

/// Why a message's plaintext is no post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Longer than any content of this version.
    #[error("the message is larger than allowed")]
    TooLarge,
    /// Not in the form of content.
    #[error("not a message: {0}")]
    Malformed(CborError),
    /// Of a newer version.
    #[error("a message of a newer version")]
    Newer,
}

impl From<CborError> for PostError {
    fn from(error: CborError) -> Self {
        match error {
            CborError::Newer => Self::Newer,
            other => Self::Malformed(other),
        }
    }
}

/// What a message says: the plaintext after its salt.
///
/// Deterministic CBOR, `[code, { key: field }]`; a code or key that is not here is of a newer version.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Content {
    /// A text.
    #[n(0)]
    Text {
        /// The words.
        #[n(0)]
        text: Text,
    },
}

impl Content {
    /// The bytes of a plaintext.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// A message, named and placed: what the gate judges before it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// The channel it was written in.
    pub channel: ChannelId,
    /// Its name among the messages of its device.
    pub id: MessageId,
    /// What it says.
    pub content: Content,
}

impl Act for Post {
    fn need(&self) -> Need {
        Need::Capability {
            capability: Capability::SendMessages,
            channel: Some(self.channel),
            touches: Vec::new(),
        }
    }
}

/// Decodes the content of a message, to be used with
/// [`Opened::decode`](crate::state::envelope::Opened::decode). `channel` and `id` are its envelope's.
///
/// # Errors
/// If it is too large, not well formed, or of a newer version.
pub fn decode_post(channel: ChannelId, id: MessageId, bytes: &[u8]) -> Result<Post, PostError> {
    if bytes.len() > CONTENT_LEN_MAX {
        // A newer version may have longer content; what it is, its first bytes say.
        return Err(if is_newer(bytes) { PostError::Newer } else { PostError::TooLarge });
    }
    Ok(Post { channel, id, content: variant::decode(bytes, KNOWN)? })
}

fn is_newer(bytes: &[u8]) -> bool {
    let mut d = minicbor::Decoder::new(bytes);
    matches!(d.array(), Ok(Some(2))) && d.u64().is_ok_and(|code| code >= KNOWN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANNEL: ChannelId = ChannelId::new([1; 32]);
    const ID: MessageId = MessageId::new([2; 16]);

    fn decode(bytes: &[u8]) -> Result<Content, PostError> {
        decode_post(CHANNEL, ID, bytes).map(|post| post.content)
    }

    fn text(text: &str) -> Content {
        Content::Text { text: Text::new(text).unwrap() }
    }

    #[test]
    fn the_bytes_of_a_text_are_pinned() {
        assert_eq!(hex::encode(text("hello").encode()), "8200a1006568656c6c6f");
        assert_eq!(decode(&hex::decode("8200a1006568656c6c6f").unwrap()), Ok(text("hello")));
    }

    #[test]
    fn the_longest_text_passes_and_a_longer_one_does_not() {
        let longest = text(&"a".repeat(TEXT_LEN_MAX));
        assert_eq!(decode(&longest.encode()), Ok(longest.clone()));
        let mut longer = cbor::encode(&(0u8, ()));
        longer.resize(CONTENT_LEN_MAX + 1, 0);
        assert_eq!(decode(&longer), Err(PostError::TooLarge));
    }

    #[test]
    fn content_of_a_newer_version_is_named_as_such() {
        for newer in ["8201a0", "8200a200626869018101"] {
            assert_eq!(decode(&hex::decode(newer).unwrap()), Err(PostError::Newer), "{newer}");
        }
        let mut long = hex::decode("8201").unwrap();
        long.resize(CONTENT_LEN_MAX + 1, 0);
        assert_eq!(decode(&long), Err(PostError::Newer));
    }

    #[test]
    fn what_is_no_content_is_malformed() {
        for bad in ["", "00", "8200a0", "8200a10060", "8200a100626869ff"] {
            let refused = decode(&hex::decode(bad).unwrap());
            assert!(matches!(refused, Err(PostError::Malformed(_))), "{bad}: {refused:?}");
        }
    }

    #[test]
    fn a_post_needs_send_messages_in_its_channel() {
        let post = Post { channel: CHANNEL, id: ID, content: text("hi") };
        let need = Need::Capability {
            capability: Capability::SendMessages,
            channel: Some(CHANNEL),
            touches: vec![],
        };
        assert_eq!(post.need(), need);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(content) = decode(&bytes) {
                prop_assert_eq!(content.encode(), bytes);
            }
        }
    }
}
