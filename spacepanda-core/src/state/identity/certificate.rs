use minicbor::{Decode, Encode};

use super::{
    KeyError, KeyPair, SignatureError, check_key,
    key::{SIGNATURE_LEN, verify},
};
use crate::base::{DeviceId, IdentityId, Timestamp, cbor};

const DOMAIN: &str = "spacepanda-certificate-v1";

/// Why a certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("not a certificate: {0}")]
    Malformed(#[from] cbor::CborError),
    /// One of its two keys cannot be anybody's.
    #[error("a key of the certificate is unusable: {0}")]
    Key(#[from] KeyError),
    /// The identity did not sign it.
    #[error("the certificate is not signed by its identity")]
    Signature(#[from] SignatureError),
}

/// An identity's word that a device is its own. Not yet checked: see [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceCertificate {
    /// Who vouches.
    #[n(0)]
    pub identity: IdentityId,
    /// For which device.
    #[n(1)]
    pub device: DeviceId,
    /// When, by the identity's clock.
    #[n(2)]
    pub issued: Timestamp,
    /// The identity's signature over the three fields above.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub signature: [u8; SIGNATURE_LEN],
}

/// The signed part of a certificate.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Signed {
    #[n(0)]
    identity: IdentityId,
    #[n(1)]
    device: DeviceId,
    #[n(2)]
    issued: Timestamp,
}

impl DeviceCertificate {
    /// Certifies `device` by `identity`'s key.
    pub fn issue(identity: &KeyPair, device: DeviceId, issued: Timestamp) -> VerifiedCertificate {
        let id = IdentityId::new(*identity.public());
        let signed = cbor::encode(&Signed { identity: id, device, issued });
        let signature = identity.sign(DOMAIN, &signed);
        VerifiedCertificate(Self { identity: id, device, issued, signature })
    }

    /// Checks both keys and the signature.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(self) -> Result<VerifiedCertificate, CertificateError> {
        check_key(self.identity.as_bytes())?;
        check_key(self.device.as_bytes())?;
        let Self { identity, device, issued, .. } = self;
        let signed = cbor::encode(&Signed { identity, device, issued });
        verify(identity.as_bytes(), DOMAIN, &signed, &self.signature)?;
        Ok(VerifiedCertificate(self))
    }
}

/// A certificate whose keys and signature were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate(DeviceCertificate);

impl VerifiedCertificate {
    /// Decodes and checks exactly one certificate.
    ///
    /// # Errors
    /// If the bytes are none, or it does not check out.
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        cbor::decode::<DeviceCertificate>(bytes)?.verify()
    }

    /// The exact bytes, as they stand in a leaf's credential.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&self.0)
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &DeviceCertificate {
        &self.0
    }

    /// Who vouches.
    pub fn identity(&self) -> IdentityId {
        self.0.identity
    }

    /// For which device.
    pub fn device(&self) -> DeviceId {
        self.0.device
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::Secret;

    #[test]
    fn a_certificate_survives_its_bytes_and_no_altered_one_does() {
        let identity = KeyPair::from_secret(Secret::new([1; 32]));
        let device = KeyPair::from_secret(Secret::new([2; 32]));
        let made = DeviceCertificate::issue(
            &identity,
            DeviceId::new(*device.public()),
            Timestamp::from_micros(7),
        );
        let bytes = made.encode();
        assert_eq!(VerifiedCertificate::decode(&bytes), Ok(made));
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(VerifiedCertificate::decode(&altered).is_err(), "byte {at}");
        }
        assert!(VerifiedCertificate::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn the_bytes_of_version_one_are_pinned() {
        let identity = KeyPair::from_secret(Secret::new([1; 32]));
        let device = KeyPair::from_secret(Secret::new([2; 32]));
        let made = DeviceCertificate::issue(
            &identity,
            DeviceId::new(*device.public()),
            Timestamp::from_micros(7),
        );
        assert_eq!(
            blake3::hash(&made.encode()).to_hex().as_str(),
            "82667d9c7fc40dfd1c2e44e0a24f53c1245ae850e726e6f05f496b0f74b8f7e1",
        );
    }
}
