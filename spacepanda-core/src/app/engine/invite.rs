use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use minicbor::{Decode, Encode};

use super::error::AppError;
use crate::base::{
    IdentityId, Secret, ServerId, cbor,
    limits::{ADDRESS_LEN_MAX, ADDRESSES_MAX, JOIN_LINK_LEN_MAX},
};

const PREFIX: &str = "spacepanda:join/";
const ALTERED: &str = "it was cut off or altered; copy it whole from the invitation";

/// What a join link says. It lets whoever holds it ask to come in.
#[derive(Debug, Clone)]
pub struct JoinLink {
    /// The server: the hash of its genesis.
    pub server: ServerId,
    /// The invite's secret key.
    pub invite_key: Secret<32>,
    /// What proves on a link that one holds the invite.
    pub meeting_secret: Secret<32>,
    /// Where members can be reached, 8 addresses of 8 members at most.
    pub addresses: Vec<Vec<String>>,
    /// Who invites.
    pub inviter: IdentityId,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    server: ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    invite_key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    meeting_secret: [u8; 32],
    #[n(3)]
    addresses: Vec<Vec<String>>,
    #[n(4)]
    inviter: IdentityId,
}

impl JoinLink {
    /// Writes the link: at most 2 KiB of CBOR in base64url. Addresses that do not fit are left out,
    /// the last first.
    pub fn encode(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut wire = Wire {
            server: self.server,
            invite_key: *self.invite_key.expose(),
            meeting_secret: *self.meeting_secret.expose(),
            addresses: self.addresses.clone(),
            inviter: self.inviter,
        };
        let mut bytes = cbor::encode(&wire);
        while bytes.len() > JOIN_LINK_LEN_MAX && wire.addresses.pop().is_some() {
            bytes = cbor::encode(&wire);
        }
        bytes
    }

    /// Reads a link.
    ///
    /// # Errors
    /// `invite.invalid` if it is none.
    pub fn decode(text: &str) -> Result<Self, AppError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(|| {
            invalid(&format!("a link begins with {PREFIX}; copy it whole from the invitation"))
        })?;
        if encoded.len() > JOIN_LINK_LEN_MAX * 4 / 3 + 4 {
            return Err(invalid("it is longer than a link can be"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| invalid(ALTERED))?;
        Self::from_bytes(&bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, AppError> {
        if bytes.len() > JOIN_LINK_LEN_MAX {
            return Err(invalid("it is longer than a link can be"));
        }
        let wire: Wire = cbor::decode(bytes).map_err(|_| invalid(ALTERED))?;
        let bounded = wire.addresses.len() <= ADDRESSES_MAX
            && wire.addresses.iter().all(|of_one| of_one.len() <= ADDRESSES_MAX)
            && wire.addresses.iter().flatten().all(|address| address.len() <= ADDRESS_LEN_MAX);
        if !bounded {
            return Err(invalid("it names more addresses than a link may"));
        }
        Ok(Self {
            server: wire.server,
            invite_key: Secret::new(wire.invite_key),
            meeting_secret: Secret::new(wire.meeting_secret),
            addresses: wire.addresses,
            inviter: wire.inviter,
        })
    }
}

fn invalid(why: &str) -> AppError {
    AppError::new("invite.invalid", format!("This is no invite link: {why}. Nothing was changed."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_its_text_and_no_cut_or_altered_one_is_read() {
        let link = link(1);
        let text = link.encode();
        let read = JoinLink::decode(&text).unwrap();
        assert_eq!(read.encode(), text);
        for at in 0..text.len() {
            assert_eq!(JoinLink::decode(&text[..at]).unwrap_err().code(), "invite.invalid");
        }
        assert!(JoinLink::decode("https://example.org").is_err());
    }

    #[test]
    fn a_link_stays_below_its_limit_whatever_addresses_there_are() {
        let text = link(8).encode();
        assert!(text.len() <= JOIN_LINK_LEN_MAX * 4 / 3 + PREFIX.len() + 4);
        assert!(!JoinLink::decode(&text).unwrap().addresses.is_empty());
    }

    fn link(members: usize) -> JoinLink {
        let address = format!("quic://{}:1", "a".repeat(ADDRESS_LEN_MAX - 20));
        JoinLink {
            server: ServerId::new([1; 32]),
            invite_key: Secret::new([2; 32]),
            meeting_secret: Secret::new([3; 32]),
            addresses: vec![vec![address; 3]; members],
            inviter: IdentityId::new([4; 32]),
        }
    }
}
