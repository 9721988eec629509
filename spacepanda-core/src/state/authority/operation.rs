use minicbor::{Decode, Encode};

use super::request::JoinRequest;
use crate::{
    base::{
        ChannelId, EnvelopeId, IdentityId, ServerId, Timestamp, Tip,
        cbor::{self, CborError},
        limits::{HEARD_LINES_MAX, NAME_CHARS_MAX},
    },
    state::{envelope::hash, identity::DeviceCertificate},
};

const SERVER_DOMAIN: &str = "spacepanda-server-v1";
const CONTROL_DOMAIN: &str = "spacepanda-control-v1";
/// The version of the genesis that this program writes.
const VERSION: u8 = 1;
/// Owners that a genesis may name.
const OWNERS_MAX: usize = 16;

/// Why a payload is no operation that has an effect here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Not an operation.
    #[error("not an operation: {0}")]
    Malformed(#[from] CborError),
    /// Above a limit, or with a name that cannot be shown.
    #[error("the operation is above a limit")]
    Limit,
}

/// The control channel of a server.
pub fn control_channel(server: &ServerId) -> ChannelId {
    ChannelId::new(hash(CONTROL_DOMAIN, server.as_bytes()))
}

/// What a server begins with. Its exact bytes name the server.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Genesis {
    #[n(0)]
    version: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    nonce: [u8; 16],
    #[n(2)]
    owners: Vec<DeviceCertificate>,
}

impl Genesis {
    /// A server whose only owner is its founder.
    pub fn found(nonce: [u8; 16], founder: DeviceCertificate) -> Self {
        Self { version: VERSION, nonce, owners: vec![founder] }
    }

    /// The server it makes.
    pub fn server(&self) -> ServerId {
        ServerId::new(hash(SERVER_DOMAIN, &Operation::Genesis(self.clone()).encode()))
    }

    /// The owners, the founder first.
    pub fn owners(&self) -> &[DeviceCertificate] {
        &self.owners
    }

    /// The payload of its envelope.
    pub fn encode(&self) -> Vec<u8> {
        Operation::Genesis(self.clone()).encode()
    }
}

/// How far somebody was heard in one channel: the tips of their devices' logs there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Line {
    /// The channel.
    #[n(0)]
    pub channel: ChannelId,
    /// Every tip of every device of theirs.
    #[n(1)]
    pub tips: Vec<Tip>,
}

/// An operation of authority: the payload of an `Authority` envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Operation {
    /// Makes the server.
    #[n(0)]
    Genesis(#[n(0)] Genesis),
    /// Makes an invite.
    #[n(1)]
    IssueInvite {
        /// Its public key.
        #[cbor(n(0), with = "minicbor::bytes")]
        invite: [u8; 32],
        /// What its holders prove on a link.
        #[cbor(n(1), with = "minicbor::bytes")]
        meeting_secret: [u8; 32],
        /// How many may come by it; `None` for any number.
        #[n(2)]
        max_uses: Option<u32>,
        /// Until which stamp.
        #[n(3)]
        expires: Timestamp,
    },
    /// Ends an invite.
    #[n(2)]
    RevokeInvite {
        /// The operation that made it.
        #[n(0)]
        invite: EnvelopeId,
    },
    /// Lets somebody in.
    #[n(3)]
    Admit {
        /// What they asked for, signed.
        #[n(0)]
        request: JoinRequest,
    },
    /// Removes somebody.
    #[n(4)]
    Kick {
        /// Whom.
        #[n(0)]
        target: IdentityId,
        /// How far they had been heard.
        #[n(1)]
        heard: Vec<Line>,
    },
    /// Adds lines to a removal.
    #[n(5)]
    Heard {
        /// Which.
        #[n(0)]
        removal: EnvelopeId,
        /// How far its target had been heard.
        #[n(1)]
        heard: Vec<Line>,
    },
    /// Ends one's own membership.
    #[n(6)]
    Leave,
    /// Names somebody.
    #[n(7)]
    SetNickname {
        /// Whom.
        #[n(0)]
        target: IdentityId,
        /// How.
        #[n(1)]
        name: String,
    },
}

impl Operation {
    /// The payload of its envelope.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// If it is no operation, of a newer version, or above a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, OperationError> {
        let operation: Self = cbor::decode(bytes)?;
        let within = match &operation {
            Self::Genesis(genesis) => {
                genesis.version == VERSION && (1..=OWNERS_MAX).contains(&genesis.owners.len())
            }
            Self::Kick { heard, .. } | Self::Heard { heard, .. } => heard.len() <= HEARD_LINES_MAX,
            Self::SetNickname { name, .. } => is_name(name),
            Self::Admit { request } => request.is_within_limits(),
            Self::IssueInvite { .. } | Self::RevokeInvite { .. } | Self::Leave => true,
        };
        if within { Ok(operation) } else { Err(OperationError::Limit) }
    }
}

/// Whether a name can be shown.
pub(super) fn is_name(name: &str) -> bool {
    let chars = name.chars().count();
    (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(char::is_control)
}
