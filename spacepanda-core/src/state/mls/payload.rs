use minicbor::{Decode, Decoder, Encode, Encoder, encode::Write};
use sha2::{Digest, Sha256};

use super::{MlsError, Parents};
use crate::base::{
    ChannelId, DeviceId, MessageId, StateId,
    cbor::{self, take_null},
    limits::{ADDITIONS_PER_COMMIT_MAX, LEAVES_MAX},
};

/// The reference of a key package: the hash of RFC 9420, 5.2.
pub type PackageRef = [u8; 32];

/// The payload of a `Root`: the first state of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RootPayload {
    /// Which generation of the group.
    #[n(0)]
    pub generation: u32,
    /// Its first state.
    #[n(1)]
    pub state: StateId,
}

/// The payload of a `Vote`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct VotePayload {
    /// The state that its author stands on.
    #[n(0)]
    pub state: StateId,
}

/// A device that a commit adds, and the key package by which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(array)]
pub struct Addition {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Its key package.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub package: PackageRef,
}

/// The payload of a `Commit`: what is kept of it for ever.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CommitPayload {
    /// The state it was made on.
    #[n(0)]
    pub parent: StateId,
    /// The state it leads to.
    #[n(1)]
    pub child: StateId,
    /// Who is added, ascending by device, 64 at most.
    #[n(2)]
    pub adds: Vec<Addition>,
    /// Who is removed, ascending.
    #[n(3)]
    pub removes: Vec<DeviceId>,
}

/// The body of a `Commit`: `[commit, welcome | null]`, both as MLSMessage (RFC 9420, 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitBody {
    /// The commit, a PublicMessage.
    pub commit: Vec<u8>,
    /// The welcome for whom it adds, without the tree.
    pub welcome: Option<Vec<u8>>,
}

/// The payload of a `KeyPackage`; with `lost`, a plea to be added again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyPackagePayload {
    /// Whose package it is: the envelope's sender, else it is void.
    #[n(0)]
    pub device: DeviceId,
    /// Whether it may be used by any number of commits.
    #[n(1)]
    pub last_resort: bool,
    /// The package, an MLSMessage; not checked yet, see [`super::package_facts`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub package: Vec<u8>,
    /// The state that its author could not reach.
    #[n(3)]
    pub lost: Option<StateId>,
}

/// The payload of a `Message`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MessagePayload {
    /// The message's name among those of its device.
    #[n(0)]
    pub id: MessageId,
    /// The state it is encrypted in.
    #[n(1)]
    pub state: StateId,
    /// What its salt and content hash to; see [`super::commitment`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub commitment: [u8; 32],
}

macro_rules! coded {
    ($($name:ident)*) => {$(
        impl $name {
            /// The bytes, in deterministic form.
            pub fn encode(&self) -> Vec<u8> {
                cbor::encode(self)
            }

            /// Decodes exactly one.
            ///
            /// # Errors
            /// [`MlsError::Form`] if the bytes are none.
            pub fn decode(bytes: &[u8]) -> Result<Self, MlsError> {
                Ok(cbor::decode(bytes)?)
            }
        }
    )*};
}

coded! { RootPayload VotePayload KeyPackagePayload MessagePayload CommitBody }

impl CommitPayload {
    /// The bytes, in deterministic form.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes exactly one and checks its lists.
    ///
    /// # Errors
    /// [`MlsError::Form`] if the bytes are none; [`MlsError::List`] if a list is too long, unsorted or
    /// names a device twice.
    pub fn decode(bytes: &[u8]) -> Result<Self, MlsError> {
        let payload: Self = cbor::decode(bytes)?;
        let sound = payload.adds.len() <= ADDITIONS_PER_COMMIT_MAX
            && payload.removes.len() <= LEAVES_MAX
            && payload.adds.is_sorted_by(|a, b| a.device < b.device)
            && payload.removes.is_sorted_by(|a, b| a < b);
        if sound { Ok(payload) } else { Err(MlsError::List) }
    }
}

impl<C> Encode<C> for CommitBody {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.bytes(&self.commit)?;
        match &self.welcome {
            Some(welcome) => e.bytes(welcome)?.ok(),
            None => e.null()?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for CommitBody {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(2) {
            return Err(minicbor::decode::Error::message("a commit's body has two parts"));
        }
        let commit = d.bytes()?.to_vec();
        let welcome = if take_null(d)? { None } else { Some(d.bytes()?.to_vec()) };
        Ok(Self { commit, welcome })
    }
}

/// What is encrypted: `[salt, content]`.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct Sealed {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) salt: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(super) content: Vec<u8>,
}

/// The authenticated data of a commit: SHA-256 over `"spacepanda-aad-v1"` and the CBOR of
/// `[parent, adds, removes, parents, control | null]`. The lists are sorted by device.
pub fn commit_aad(
    parent: &StateId,
    adds: &[Addition],
    removes: &[DeviceId],
    parents: Parents<'_>,
) -> [u8; 32] {
    let mut e = Encoder::new(Vec::new());
    e.array(5)
        .and_then(|e| e.encode(parent)?.encode(adds)?.encode(removes)?.encode(parents.parents))
        .and_then(|e| e.encode(parents.control))
        .expect("writing to a vector does not fail");
    Sha256::new().chain_update("spacepanda-aad-v1").chain_update(e.into_writer()).finalize().into()
}

/// The authenticated data of a message: its channel.
pub(super) fn message_aad(channel: &ChannelId) -> Vec<u8> {
    channel.as_bytes().to_vec()
}
