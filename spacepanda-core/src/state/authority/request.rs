use minicbor::{Decode, Encode};

use super::operation::is_name;
use crate::{
    base::{
        Secret, ServerId,
        cbor::{self, CborError},
    },
    state::identity::{self, DeviceCertificate, KeyPair, SIGNATURE_LEN, VerifiedCertificate},
};

const INVITE_DOMAIN: &str = "spacepanda-invite-v1";
const JOIN_DOMAIN: &str = "spacepanda-join-v1";
/// Bytes of a key package in a request.
const KEY_PACKAGE_LEN_MAX: usize = 8 * 1024;

/// Asks to be let in: signed by the invite's key and by the device (DESIGN 13).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinRequest {
    #[n(0)]
    server: ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    invite: [u8; 32],
    #[n(2)]
    name: String,
    #[n(3)]
    certificate: DeviceCertificate,
    #[cbor(n(4), with = "minicbor::bytes")]
    key_package: Vec<u8>,
    #[cbor(n(5), with = "minicbor::bytes")]
    nonce: [u8; 16],
    #[cbor(n(6), with = "minicbor::bytes")]
    invite_signature: [u8; SIGNATURE_LEN],
    #[cbor(n(7), with = "minicbor::bytes")]
    device_signature: [u8; SIGNATURE_LEN],
}

#[derive(Encode)]
#[cbor(map)]
struct Signed<'a> {
    #[n(0)]
    server: ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    invite: [u8; 32],
    #[n(2)]
    name: &'a str,
    #[n(3)]
    certificate: &'a DeviceCertificate,
    #[cbor(n(4), with = "minicbor::bytes")]
    key_package: &'a [u8],
    #[cbor(n(5), with = "minicbor::bytes")]
    nonce: [u8; 16],
}

impl JoinRequest {
    /// Signs a request with both keys.
    pub fn sign(
        server: ServerId,
        invite_key: &Secret<32>,
        name: String,
        certificate: &VerifiedCertificate,
        key_package: Vec<u8>,
        nonce: [u8; 16],
        device: &KeyPair,
    ) -> Self {
        let invite_key = KeyPair::from_secret(invite_key.clone());
        let mut request = Self {
            server,
            invite: *invite_key.public(),
            name,
            certificate: certificate.certificate().clone(),
            key_package,
            nonce,
            invite_signature: [0; SIGNATURE_LEN],
            device_signature: [0; SIGNATURE_LEN],
        };
        let signed = request.signed();
        request.invite_signature = invite_key.sign(INVITE_DOMAIN, &signed);
        request.device_signature = device.sign(JOIN_DOMAIN, &signed);
        request
    }

    /// The request as it travels.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a request; nothing is checked.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::decode(bytes)
    }

    /// Whether limits, certificate and both signatures check out.
    pub fn is_sound(&self) -> bool {
        let signed = self.signed();
        let device = self.certificate.device;
        self.is_within_limits()
            && self.certificate.clone().verify().is_ok()
            && identity::check_key(&self.invite).is_ok()
            && identity::verify(&self.invite, INVITE_DOMAIN, &signed, &self.invite_signature)
                .is_ok()
            && identity::verify(device.as_bytes(), JOIN_DOMAIN, &signed, &self.device_signature)
                .is_ok()
    }

    /// Whether it is within its limits.
    pub(super) fn is_within_limits(&self) -> bool {
        self.key_package.len() <= KEY_PACKAGE_LEN_MAX && is_name(&self.name)
    }

    /// Into which server.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// By which invite: its public key.
    pub fn invite(&self) -> &[u8; 32] {
        &self.invite
    }

    /// How they want to be called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who asks, by which device.
    pub fn certificate(&self) -> &DeviceCertificate {
        &self.certificate
    }

    /// The key package by which they are added to the group.
    pub fn key_package(&self) -> &[u8] {
        &self.key_package
    }

    fn signed(&self) -> Vec<u8> {
        cbor::encode(&Signed {
            server: self.server,
            invite: self.invite,
            name: &self.name,
            certificate: &self.certificate,
            key_package: &self.key_package,
            nonce: self.nonce,
        })
    }
}
