use minicbor::{Decode, Encode};

use super::Name;
use crate::{
    base::{ServerId, cbor},
    state::identity::{
        CertificateError, DeviceCertificate, KeyPair, SIGNATURE_LEN, SignatureError,
        VerifiedCertificate, check_key, verify,
    },
};

const DOMAIN: &str = "spacepanda-join-v1";
const INVITE_DOMAIN: &str = "spacepanda-invite-v1";

/// Bytes of the key package in a request: so that an `Admit` fits into a payload.
pub const KEY_PACKAGE_LEN_MAX: usize = 8 * 1024;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRequestError {
    /// The bytes are no request.
    #[error("not a join request: {0}")]
    Malformed(#[from] cbor::CborError),
    /// Its certificate does not check out.
    #[error("the certificate of the request: {0}")]
    Certificate(#[from] CertificateError),
    /// The holder of the invite or the device did not sign it.
    #[error("the request is not signed by its invite and its device")]
    Signature(#[from] SignatureError),
    /// The invite's key can be nobody's.
    #[error("the invite's key is unusable")]
    Key,
    /// The key package is empty or larger than allowed.
    #[error("the key package has a length that is not allowed")]
    KeyPackage,
}

/// What somebody asks who wants in by an invite. Not yet checked: see [`Self::verify`].
///
/// It names the invite by its public key, which is what the holder of a join link knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinRequest {
    /// Which server.
    #[n(0)]
    pub server: ServerId,
    /// The public key of the invite.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub invite: [u8; 32],
    /// What the newcomer wants to be called.
    #[n(2)]
    pub name: Name,
    /// Who asks, with which device.
    #[n(3)]
    pub certificate: DeviceCertificate,
    /// The device's key package (RFC 9420, 10), as MLS writes it.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub key_package: Vec<u8>,
    /// Random, so that no two requests are the same.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub nonce: [u8; 16],
    /// By the invite's key, over the fields above.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub invite_signature: [u8; SIGNATURE_LEN],
    /// By the device's key, over the fields above but the invite's signature.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub device_signature: [u8; SIGNATURE_LEN],
}

/// The signed part of a request.
#[derive(Encode)]
#[cbor(map)]
struct Signed<'a> {
    #[n(0)]
    server: &'a ServerId,
    #[cbor(n(1), with = "minicbor::bytes")]
    invite: &'a [u8; 32],
    #[n(2)]
    name: &'a Name,
    #[n(3)]
    certificate: &'a DeviceCertificate,
    #[cbor(n(4), with = "minicbor::bytes")]
    key_package: &'a [u8],
    #[cbor(n(5), with = "minicbor::bytes")]
    nonce: &'a [u8; 16],
}

impl JoinRequest {
    /// Signs a request by the invite's key and the device's.
    ///
    /// # Errors
    /// [`JoinRequestError::KeyPackage`], or [`JoinRequestError::Signature`] if `device` is not the
    /// certificate's.
    pub fn sign(
        server: ServerId,
        name: Name,
        certificate: &VerifiedCertificate,
        key_package: Vec<u8>,
        nonce: [u8; 16],
        invite: &KeyPair,
        device: &KeyPair,
    ) -> Result<Self, JoinRequestError> {
        check_length(&key_package)?;
        if device.public() != certificate.device().as_bytes() {
            return Err(SignatureError.into());
        }
        let mut request = Self {
            server,
            invite: *invite.public(),
            name,
            certificate: certificate.certificate().clone(),
            key_package,
            nonce,
            invite_signature: [0; SIGNATURE_LEN],
            device_signature: [0; SIGNATURE_LEN],
        };
        let signed = request.signed();
        request.invite_signature = invite.sign(INVITE_DOMAIN, &signed);
        request.device_signature = device.sign(DOMAIN, &signed);
        Ok(request)
    }

    /// Decodes exactly one request; nothing in it is checked yet.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, JoinRequestError> {
        Ok(cbor::decode(bytes)?)
    }

    /// The request as it travels.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Checks keys, certificate, both signatures and the length of the key package. The same for
    /// everybody and for ever: whether the invite is good, the log says.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(&self) -> Result<VerifiedCertificate, JoinRequestError> {
        check_length(&self.key_package)?;
        check_key(&self.invite).map_err(|_| JoinRequestError::Key)?;
        let certificate = self.certificate.clone().verify()?;
        let signed = self.signed();
        verify(&self.invite, INVITE_DOMAIN, &signed, &self.invite_signature)?;
        let device = certificate.device();
        verify(device.as_bytes(), DOMAIN, &signed, &self.device_signature)?;
        Ok(certificate)
    }

    /// Whether the newcomer signed the same: whoever holds the invite can sign its part anew.
    pub fn asks_as(&self, other: &Self) -> bool {
        self.signed() == other.signed()
    }

    fn signed(&self) -> Vec<u8> {
        cbor::encode(&Signed {
            server: &self.server,
            invite: &self.invite,
            name: &self.name,
            certificate: &self.certificate,
            key_package: &self.key_package,
            nonce: &self.nonce,
        })
    }
}

fn check_length(key_package: &[u8]) -> Result<(), JoinRequestError> {
    let sound = (1..=KEY_PACKAGE_LEN_MAX).contains(&key_package.len());
    if sound { Ok(()) } else { Err(JoinRequestError::KeyPackage) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, Secret, Timestamp};

    #[test]
    fn a_request_survives_its_bytes_and_no_altered_one_does() {
        let request = request();
        let bytes = request.encode();
        assert_eq!(JoinRequest::decode(&bytes).unwrap(), request);
        assert!(request.verify().is_ok());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let read = JoinRequest::decode(&altered).and_then(|request| request.verify());
            assert!(read.is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_package_is_neither_empty_nor_too_long() {
        for len in [0, KEY_PACKAGE_LEN_MAX + 1] {
            let altered = JoinRequest { key_package: vec![0; len], ..request() };
            assert_eq!(altered.verify().unwrap_err(), JoinRequestError::KeyPackage);
        }
    }

    #[test]
    fn the_bytes_of_version_one_are_pinned() {
        assert_eq!(
            blake3::hash(&request().encode()).to_hex().as_str(),
            "d90d58e3439ee8bf530f26db7490d4e7116797d1a267a6052090d5fd20673509",
        );
    }

    fn request() -> JoinRequest {
        let [identity, device, invite] =
            [1, 2, 3].map(|n| KeyPair::from_secret(Secret::new([n; 32])));
        let certificate = DeviceCertificate::issue(
            &identity,
            DeviceId::new(*device.public()),
            Timestamp::from_micros(7),
        );
        JoinRequest::sign(
            ServerId::new([4; 32]),
            Name::new("Ada").unwrap(),
            &certificate,
            vec![5; 6],
            [6; 16],
            &invite,
            &device,
        )
        .unwrap()
    }
}
