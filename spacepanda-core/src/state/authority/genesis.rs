use minicbor::{Decode, Encode};

use super::Operation;
use crate::{
    base::{ChannelId, ServerId, limits::MEMBERS_MAX},
    state::{envelope::hash, identity::DeviceCertificate},
};

const SERVER_DOMAIN: &str = "spacepanda-server-v1";
const CONTROL_DOMAIN: &str = "spacepanda-control-v1";
/// The version of the genesis that this program writes.
pub const GENESIS_VERSION: u16 = 1;

/// The beginning of a server: what its id is the hash of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Genesis {
    /// Which defaults hold; see [`GENESIS_VERSION`].
    #[n(0)]
    pub version: u16,
    /// Random, so that no two servers are the same.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// The owners by standing, the founder first.
    #[n(2)]
    pub owners: Vec<DeviceCertificate>,
}

impl Genesis {
    /// The id of the server that it begins.
    pub fn server(self) -> ServerId {
        server_of(&Operation::Genesis(self).encode())
    }

    /// Whether it has owners, each once and with a device of their own.
    pub(super) fn is_sound(&self) -> bool {
        let mut people: Vec<_> = self.owners.iter().map(|owner| owner.identity).collect();
        people.sort_unstable();
        people.dedup();
        let mut devices: Vec<_> = self.owners.iter().map(|owner| owner.device).collect();
        devices.sort_unstable();
        devices.dedup();
        (1..=MEMBERS_MAX).contains(&self.owners.len())
            && people.len() == self.owners.len()
            && devices.len() == self.owners.len()
    }
}

/// The id of the server whose genesis has this payload.
pub fn server_of(genesis_payload: &[u8]) -> ServerId {
    ServerId::new(hash(SERVER_DOMAIN, genesis_payload))
}

/// The control channel of a server.
pub fn control_channel(server: &ServerId) -> ChannelId {
    ChannelId::new(hash(CONTROL_DOMAIN, server.as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        base::{DeviceId, Secret, Timestamp},
        state::identity::KeyPair,
    };

    #[test]
    fn a_server_and_its_control_channel_are_named_by_the_genesis() {
        let identity = KeyPair::from_secret(Secret::new([1; 32]));
        let device = DeviceId::new(*KeyPair::from_secret(Secret::new([2; 32])).public());
        let owner = DeviceCertificate::issue(&identity, device, Timestamp::from_micros(7));
        let owners = vec![owner.certificate().clone()];
        let genesis = Genesis { version: GENESIS_VERSION, nonce: [3; 32], owners };
        let payload = Operation::Genesis(genesis.clone()).encode();
        assert_eq!(Operation::decode(&payload), Ok(Operation::Genesis(genesis.clone())));
        let server = genesis.server();
        assert_eq!(server, server_of(&payload));
        assert_eq!(
            server.to_string(),
            "71922c3bbc6bc384b77ce24ed2cac03b8c04b9fc021c4d4b9716e49afe3eb893"
        );
        assert_eq!(
            control_channel(&server).to_string(),
            "8855379effb4631fab32055ef651225666aae138371fe08fa161a1b4813981e8"
        );
    }
}
