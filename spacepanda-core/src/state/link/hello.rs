//! How each side proves its device once the handshake is over.

use minicbor::{Decode, Encode};

use super::LinkError;
use crate::{
    base::{Secret, ServerId, cbor},
    state::identity::{DeviceCertificate, KeyPair, SIGNATURE_LEN, VerifiedCertificate, verify},
};

const DOMAIN: &str = "spacepanda-link-v1";
const MEMBERS_DOMAIN: &str = "spacepanda-meeting-of-members-v1";

/// Which side speaks: its signature serves for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Dialler = 0,
    Dialled = 1,
}

/// What a side says first: its certificate, its device's signature of role and handshake hash, and
/// of the dialler, if it has one, the proof that it knows a meeting secret.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    #[n(0)]
    certificate: DeviceCertificate,
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; SIGNATURE_LEN],
    #[cbor(n(2), with = "minicbor::bytes")]
    proof: Option<[u8; 32]>,
}

impl Hello {
    pub(super) fn new(
        role: Role,
        hash: &[u8],
        certificate: &VerifiedCertificate,
        device: &KeyPair,
        meeting: Option<&Secret<32>>,
    ) -> Self {
        Self {
            certificate: certificate.certificate().clone(),
            signature: device.sign(DOMAIN, &signed(role, hash)),
            proof: meeting.map(|secret| proof(secret, hash)),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes what `role` said, and checks certificate and signature.
    pub(super) fn check(
        bytes: &[u8],
        role: Role,
        hash: &[u8],
    ) -> Result<(VerifiedCertificate, Option<[u8; 32]>), LinkError> {
        let hello: Self = cbor::decode_lenient(bytes).map_err(|_| LinkError::Hello)?;
        let certificate = hello.certificate.verify()?;
        let device = certificate.device();
        verify(device.as_bytes(), DOMAIN, &signed(role, hash), &hello.signature)?;
        Ok((certificate, hello.proof))
    }
}

/// The secret by which a member shows at somebody's door of which server they are one, where nobody may
/// have heard of them yet: whoever was ever told of the server knows it.
pub fn meeting_of_members(server: &ServerId) -> Secret<32> {
    Secret::new(blake3::derive_key(MEMBERS_DOMAIN, server.as_bytes()))
}

/// BLAKE3 of the handshake hash, keyed with a meeting secret: an invite's, or the members'.
pub(super) fn proof(meeting: &Secret<32>, hash: &[u8]) -> [u8; 32] {
    blake3::keyed_hash(meeting.expose(), hash).into()
}

fn signed(role: Role, hash: &[u8]) -> Vec<u8> {
    [&[role as u8], hash].concat()
}
