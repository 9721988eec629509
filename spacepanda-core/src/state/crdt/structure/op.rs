use minicbor::{Decode, Encode};

use super::super::variant;
use crate::{
    base::{
        Name,
        cbor::{self, CborError},
        limits::PAYLOAD_LEN_MAX,
    },
    state::authority::{Act, Capability, Need},
};

/// How many kinds of operations this version knows.
const KNOWN: u64 = 2;

/// Why bytes are no operation on structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Longer than a payload may be.
    #[error("the operation is larger than allowed")]
    TooLarge,
    /// Not in the form of one.
    #[error("not an operation on structure: {0}")]
    Malformed(CborError),
    /// Of a newer version: it is kept, and nothing is executed.
    #[error("an operation on structure of a newer version")]
    Newer,
}

impl From<CborError> for OpError {
    fn from(error: CborError) -> Self {
        match error {
            CborError::Newer => Self::Newer,
            other => Self::Malformed(other),
        }
    }
}

/// An operation on a server's structure: the payload of a `Structure` envelope.
///
/// Deterministic CBOR, `[code, { key: field }]`. A code or key that is not here is of a newer version;
/// key 1 of `CreateChannel` is where the root of a private channel stands, which this
/// version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum StructureOp {
    /// Names the server; needs `manage_server`.
    #[n(0)]
    SetServerName {
        /// Its name.
        #[n(0)]
        name: Name,
    },
    /// Makes an open channel, whose id is that of the operation's envelope; needs `manage_channels`.
    #[n(1)]
    CreateChannel {
        /// Its name.
        #[n(0)]
        name: Name,
    },
}

impl StructureOp {
    /// The bytes of a payload.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes a payload.
    ///
    /// # Errors
    /// If it is too large, not well formed, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        if bytes.len() > PAYLOAD_LEN_MAX {
            return Err(OpError::TooLarge);
        }
        Ok(variant::decode(bytes, KNOWN)?)
    }
}

impl Act for StructureOp {
    fn need(&self) -> Need {
        let capability = match self {
            Self::SetServerName { .. } => Capability::ManageServer,
            Self::CreateChannel { .. } => Capability::ManageChannels,
        };
        Need::Capability { capability, channel: None, touches: Vec::new() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn the_bytes_of_an_operation_are_pinned() {
        for (op, golden) in [
            (StructureOp::SetServerName { name: name("den") }, "8200a1006364656e"),
            (StructureOp::CreateChannel { name: name("general") }, "8201a1006767656e6572616c"),
        ] {
            assert_eq!(hex::encode(op.encode()), golden);
            assert_eq!(StructureOp::decode(&hex::decode(golden).unwrap()), Ok(op));
        }
    }

    #[test]
    fn an_operation_of_a_newer_version_is_named_as_such() {
        // An unknown code; a channel with a root.
        for newer in ["8202a0", "8218ff01", "8201a2006767656e6572616c0101"] {
            let bytes = hex::decode(newer).unwrap();
            assert_eq!(StructureOp::decode(&bytes), Err(OpError::Newer), "{newer}");
        }
    }

    #[test]
    fn what_is_no_operation_is_malformed() {
        for bad in ["", "00", "80", "8200a0", "8200a10060", "8200a1006120", "8300a1006364656e00"] {
            let bytes = hex::decode(bad).unwrap();
            let refused = StructureOp::decode(&bytes);
            assert!(matches!(refused, Err(OpError::Malformed(_))), "{bad}: {refused:?}");
        }
        let large = vec![0; PAYLOAD_LEN_MAX + 1];
        assert_eq!(StructureOp::decode(&large), Err(OpError::TooLarge));
    }

    #[test]
    fn each_operation_needs_its_capability_over_the_server() {
        let need = |capability| Need::Capability { capability, channel: None, touches: vec![] };
        let set = StructureOp::SetServerName { name: name("den") };
        let create = StructureOp::CreateChannel { name: name("general") };
        assert_eq!(set.need(), need(Capability::ManageServer));
        assert_eq!(create.need(), need(Capability::ManageChannels));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(op) = StructureOp::decode(&bytes) {
                prop_assert_eq!(op.encode(), bytes);
            }
        }

        #[test]
        fn damaged_operations_never_panic(at in 0usize..12, byte: u8) {
            let mut bytes = StructureOp::CreateChannel { name: name("general") }.encode();
            bytes[at] = byte;
            if let Ok(op) = StructureOp::decode(&bytes) {
                prop_assert_eq!(op.encode(), bytes);
            }
        }
    }
}
