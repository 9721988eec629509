//! What is said on a link beside synchronization. Unknown keys are skipped: a newer peer may say more.

use minicbor::{Decode, Encode};

use crate::{
    base::{
        DeviceId, ServerId, StateId, cbor,
        limits::{ADDRESS_LEN_MAX, ADDRESSES_MAX},
    },
    state::identity::{self, KeyPair},
};

const ADDRESS_DOMAIN: &str = "spacepanda-address-v1";
/// Address records in one frame.
pub(super) const RECORDS_MAX: usize = 64;

/// Asks for the ratchet tree of a state.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct TreeRequest {
    #[n(0)]
    pub server: ServerId,
    #[n(1)]
    pub state: StateId,
}

/// The ratchet tree of a state; without one it is not held.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct Tree {
    #[n(0)]
    pub server: ServerId,
    #[n(1)]
    pub state: StateId,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub tree: Option<Vec<u8>>,
}

/// Asks to be let in.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct JoinRequestFrame {
    #[n(0)]
    pub server: ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub request: Vec<u8>,
}

/// Lets somebody in, or says why not.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct JoinReply {
    #[n(0)]
    pub server: ServerId,
    #[n(1)]
    pub refused: Option<Refusal>,
}

/// Why somebody is not let in.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(super) enum Refusal {
    /// The member asked does not know the invite (yet).
    #[n(0)]
    Unknown,
    #[n(1)]
    Invalid,
    #[n(2)]
    Expired,
    #[n(3)]
    Revoked,
    #[n(4)]
    UsedUp,
    #[n(5)]
    Full,
    #[n(6)]
    Version,
}

impl Refusal {
    /// Whether somebody else may answer otherwise.
    pub(super) fn is_retryable(self) -> bool {
        matches!(self, Self::Unknown | Self::Full)
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unknown => "invite.unknown",
            Self::Invalid => "invite.invalid",
            Self::Expired => "invite.expired",
            Self::Revoked => "invite.revoked",
            Self::UsedUp => "invite.used_up",
            Self::Full => "server.full",
            Self::Version => "server.version",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Unknown => {
                "The server or the invite is not known there, or not yet. You are not in yet; others are \
                 asked, and the same again later."
            }
            Self::Invalid => {
                "The request was refused: the invite, the certificate or the key package does not \
                 check out. You are not in; ask for another invite."
            }
            Self::Expired => "The invite has expired. You are not in; ask for another.",
            Self::Revoked => "The invite was revoked. You are not in; ask for another.",
            Self::UsedUp => {
                "The invite was used as often as it may be. You are not in; ask for another."
            }
            Self::Version => {
                "The server speaks a newer version of the protocol than this program. You are not \
                 in; update the program and ask again."
            }
            Self::Full => {
                "The server has as many members as it can. You are not in yet; others are asked, and \
                 the same again later, when somebody may have left."
            }
        }
    }
}

/// Address records.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct Records {
    #[cbor(n(0), decode_with = "cbor::decode_list::<_, _, RECORDS_MAX>")]
    pub records: Vec<AddressRecord>,
}

/// Where a device can be reached, in its own word; of several the greatest number holds.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(super) struct AddressRecord {
    #[n(0)]
    pub device: DeviceId,
    #[n(1)]
    pub number: u64,
    #[cbor(n(2), decode_with = "cbor::decode_list::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
    #[cbor(n(3), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode)]
#[cbor(map)]
struct Signed<'a> {
    #[n(0)]
    device: DeviceId,
    #[n(1)]
    number: u64,
    #[n(2)]
    addresses: &'a [String],
}

impl AddressRecord {
    /// Signs one's own; of the addresses the first 8 are said.
    pub(super) fn sign(keys: &KeyPair, number: u64, mut addresses: Vec<String>) -> Self {
        addresses.retain(|address| address.len() <= ADDRESS_LEN_MAX);
        addresses.truncate(ADDRESSES_MAX);
        let device = DeviceId::new(*keys.public());
        let signed = cbor_of(&Signed { device, number, addresses: &addresses });
        let signature = keys.sign(ADDRESS_DOMAIN, &signed);
        Self { device, number, addresses, signature }
    }

    /// Whether it is within its limits and its device signed it.
    pub(super) fn is_sound(&self) -> bool {
        let Self { device, number, addresses, signature } = self;
        let signed = cbor_of(&Signed { device: *device, number: *number, addresses });
        addresses.len() <= ADDRESSES_MAX
            && addresses.iter().all(|address| address.len() <= ADDRESS_LEN_MAX)
            && identity::verify(device.as_bytes(), ADDRESS_DOMAIN, &signed, signature).is_ok()
    }
}

fn cbor_of(signed: &Signed<'_>) -> Vec<u8> {
    cbor::encode(signed)
}
