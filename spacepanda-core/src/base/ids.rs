use std::{fmt, str::FromStr};

/// A text that is no id: not hexadecimal, or of another length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {expected} hexadecimal digits are expected")]
pub struct IdError {
    expected: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Wraps the bytes; nothing is checked.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Wraps the bytes if they are exactly as many as an id has.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| IdError { expected: 2 * $len })?;
                Ok(Self(bytes))
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message("id of another length"))
            }
        }
    };
}

id!(
    /// A person's account: its long-term Ed25519 public key.
    IdentityId,
    32
);
id!(
    /// One installation of an identity: its Ed25519 public key, which also signs its MLS leaf.
    DeviceId,
    32
);
id!(
    /// A server: the hash of its genesis.
    ServerId,
    32
);
id!(
    /// A channel: the id of the envelope that made it; the control channel's is derived from the server's.
    ChannelId,
    32
);
id!(
    /// An envelope: the BLAKE3 hash of its header.
    EnvelopeId,
    32
);
id!(
    /// An MLS state: the hash of its group context and confirmation tag.
    StateId,
    32
);
id!(
    /// A message's name among those of its sending device: 16 random bytes.
    MessageId,
    16
);

/// A peer is a device: whoever is at the other end of a link.
pub type PeerId = DeviceId;
