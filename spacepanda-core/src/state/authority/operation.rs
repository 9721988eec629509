use std::fmt;

use minicbor::{Decode, Decoder, Encode};

use super::{Genesis, HeardLine, JoinRequest, Name, heard};
use crate::{
    base::{
        DeviceId, EnvelopeId, IdentityId, Timestamp,
        cbor::{self, CborError},
        limits::PAYLOAD_LEN_MAX,
    },
    state::identity::{DeviceCertificate, SIGNATURE_LEN},
};

/// The greatest code of an operation that this version knows.
const CODE_MAX: u32 = 9;

/// Why a payload has no effect. It is kept and forwarded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// It comes from a version that this program does not know.
    #[error("the operation is of a newer version")]
    Newer,
    /// No operation at all.
    #[error("not an operation: {0}")]
    Malformed(CborError),
    /// An operation that contradicts a limit or itself.
    #[error("the operation contradicts itself or a limit")]
    Invalid,
}

/// A signed change of who may do what: the payload of an `Authority` envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    /// The server begins.
    #[n(0)]
    Genesis(#[n(0)] Genesis),
    /// Whoever holds the invite's private key may be admitted.
    #[n(1)]
    IssueInvite(#[n(0)] IssueInvite),
    /// An invite ends.
    #[n(2)]
    RevokeInvite {
        /// The envelope that issued it.
        #[n(0)]
        invite: EnvelopeId,
    },
    /// Somebody comes in by an invite.
    #[n(3)]
    Admit(#[n(0)] Box<JoinRequest>),
    /// Somebody is put out, and may come back by an invite.
    #[n(4)]
    Kick {
        /// Who.
        #[n(0)]
        target: IdentityId,
        /// How far its author had heard them.
        #[n(1)]
        heard: Vec<HeardLine>,
    },
    /// More of what was heard of somebody removed; it adds to the lines of the removal.
    #[n(5)]
    Heard {
        /// The removal.
        #[n(0)]
        removal: EnvelopeId,
        /// The lines.
        #[n(1)]
        heard: Vec<HeardLine>,
    },
    /// Its author goes.
    #[n(6)]
    Leave,
    /// Somebody is called something else.
    #[n(7)]
    SetNickname {
        /// Who; its author if absent.
        #[n(0)]
        target: Option<IdentityId>,
        /// What.
        #[n(1)]
        name: Name,
    },
    /// Its own device introduces itself, as one of an identity that was let in before: nobody else
    /// can do that for it.
    #[n(8)]
    AddDevice {
        /// The identity's word for it.
        #[n(0)]
        certificate: DeviceCertificate,
    },
    /// A device of its author's identity ends, for good; see [`Operation::revoke_device`].
    #[n(9)]
    RevokeDevice {
        /// Which.
        #[n(0)]
        device: DeviceId,
        /// By the identity's key, over the server's id and the device's.
        #[cbor(n(1), with = "minicbor::bytes")]
        signature: [u8; SIGNATURE_LEN],
    },
}

/// A door for whoever holds a key.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct IssueInvite {
    /// The key that signs requests to join by it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub invite_public_key: [u8; 32],
    /// What newcomer and members meet under.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub meeting_secret: [u8; 32],
    /// What guests get.
    #[n(2)]
    pub role: Role,
    /// How many people may come in by it; no limit if absent.
    #[n(3)]
    pub max_uses: Option<u32>,
    /// The last stamp of an admission by it.
    #[n(4)]
    pub expires: Timestamp,
}

impl fmt::Debug for IssueInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueInvite")
            .field("max_uses", &self.max_uses)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What a person holds beside being a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Role {
    /// What every member holds.
    #[n(0)]
    Everyone,
    /// Stands above all roles; given by the genesis, never by an invite.
    #[n(1)]
    Owner,
}

/// What authority reads out of an envelope of the control channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlOp {
    /// An operation.
    Operation(Operation),
    /// A channel was made: the one named after the envelope.
    ChannelMade {
        /// Whether it names a group of its own, and so is private from the start.
        private: bool,
    },
    /// Nothing that authority looks at; it takes part in causality only.
    Nothing,
}

impl Operation {
    /// Decodes exactly one operation and checks all that can be checked of it by itself, but no
    /// signature.
    ///
    /// # Errors
    /// Says why it has no effect.
    pub fn decode(payload: &[u8]) -> Result<Self, OperationError> {
        if payload.len() > PAYLOAD_LEN_MAX {
            return Err(OperationError::Invalid);
        }
        cbor::check(payload).map_err(OperationError::Malformed)?;
        let code = code(payload).map_err(|_| OperationError::Malformed(CborError::Shape))?;
        if code > CODE_MAX {
            return Err(OperationError::Newer);
        }
        let operation: Self = cbor::decode(payload).map_err(|why| match why {
            CborError::Newer => OperationError::Newer,
            why => OperationError::Malformed(why),
        })?;
        if operation.is_sound() { Ok(operation) } else { Err(OperationError::Invalid) }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Genesis(genesis) => genesis.is_sound(),
            Self::IssueInvite(invite) => {
                invite.role == Role::Everyone && invite.max_uses != Some(0)
            }
            Self::Kick { heard, .. } => heard::are_sound(heard),
            Self::Heard { heard, .. } => !heard.is_empty() && heard::are_sound(heard),
            Self::RevokeInvite { .. }
            | Self::Admit(_)
            | Self::Leave
            | Self::SetNickname { .. }
            | Self::AddDevice { .. }
            | Self::RevokeDevice { .. } => true,
        }
    }
}

fn code(payload: &[u8]) -> Result<u32, minicbor::decode::Error> {
    let mut d = Decoder::new(payload);
    d.array()?;
    d.u32()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::ChannelId;

    #[test]
    fn an_unknown_code_is_newer_and_other_bytes_are_malformed() {
        assert_eq!(Operation::decode(&[0x82, 0x0a, 0x80]), Err(OperationError::Newer));
        assert_eq!(Operation::decode(&[0x82, 0x06, 0x80]), Ok(Operation::Leave));
        assert!(matches!(Operation::decode(&[0x80]), Err(OperationError::Malformed(_))));
        assert!(matches!(Operation::decode(b""), Err(OperationError::Malformed(_))));
    }

    #[test]
    fn every_operation_survives_its_bytes_and_they_are_pinned() {
        for (operation, bytes) in golden() {
            let encoded = operation.encode();
            assert_eq!(hex::encode(&encoded), bytes, "{operation:?}");
            assert_eq!(Operation::decode(&encoded).as_ref(), Ok(&operation));
        }
    }

    #[test]
    fn an_invite_gives_no_ownership_and_has_a_use() {
        for operation in [invite(Role::Owner, None), invite(Role::Everyone, Some(0))] {
            assert_eq!(Operation::decode(&operation.encode()), Err(OperationError::Invalid));
        }
    }

    fn golden() -> Vec<(Operation, String)> {
        let id = |n: u8| format!("5820{}", hex::encode([n; 32]));
        vec![
            (
                invite(Role::Everyone, Some(2)),
                format!("820181a500{}01{}020003020409", id(1), id(2)),
            ),
            (
                Operation::RevokeInvite { invite: EnvelopeId::new([3; 32]) },
                format!("820281{}", id(3)),
            ),
            (
                Operation::Kick { target: IdentityId::new([4; 32]), heard: vec![] },
                format!("820482{}80", id(4)),
            ),
            (
                Operation::Heard {
                    removal: EnvelopeId::new([5; 32]),
                    heard: vec![HeardLine { channel: ChannelId::new([6; 32]), tips: vec![] }],
                },
                format!("820582{}8182{}80", id(5), id(6)),
            ),
            (Operation::Leave, "820680".into()),
            (
                Operation::SetNickname { target: None, name: Name::new("Ada").unwrap() },
                "820782f663416461".into(),
            ),
            (
                Operation::AddDevice {
                    certificate: DeviceCertificate {
                        identity: IdentityId::new([1; 32]),
                        device: DeviceId::new([2; 32]),
                        issued: Timestamp::from_micros(3),
                        signature: [4; SIGNATURE_LEN],
                    },
                },
                format!("820881a400{}01{}0203035840{}", id(1), id(2), hex::encode([4; 64])),
            ),
            (
                Operation::RevokeDevice {
                    device: DeviceId::new([5; 32]),
                    signature: [6; SIGNATURE_LEN],
                },
                format!("820982{}5840{}", id(5), hex::encode([6; 64])),
            ),
        ]
    }

    fn invite(role: Role, max_uses: Option<u32>) -> Operation {
        Operation::IssueInvite(IssueInvite {
            invite_public_key: [1; 32],
            meeting_secret: [2; 32],
            role,
            max_uses,
            expires: Timestamp::from_micros(9),
        })
    }
}
