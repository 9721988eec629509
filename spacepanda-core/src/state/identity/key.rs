use ed25519_zebra::{Signature, SigningKey, VerificationKey, VerificationKeyBytes};

use super::fitting::remembering;
use crate::base::Secret;

/// Length of an Ed25519 signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// Bytes that are no usable Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the canonical encoding of a point of the curve.
    #[error("the key is not the canonical encoding of a point")]
    NotCanonical,
    /// A point of small order, for which signatures can be made without a secret.
    #[error("the key is of small order")]
    SmallOrder,
}

/// A signature that does not fit the key and the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit")]
pub struct SignatureError;

/// An Ed25519 key pair. Its secret half is zeroized when dropped and never printed.
#[derive(Clone)]
pub struct KeyPair {
    seed: Secret<32>,
    signing: SigningKey,
    public: [u8; 32],
}

impl KeyPair {
    /// Derives the pair from its 32 secret bytes (RFC 8032, 5.1.5).
    pub fn from_secret(seed: Secret<32>) -> Self {
        let signing = SigningKey::from(*seed.expose());
        let public = VerificationKeyBytes::from(&signing).into();
        Self { seed, signing, public }
    }

    /// The 32 secret bytes, for keeping them.
    pub fn secret(&self) -> &Secret<32> {
        &self.seed
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs `domain || bytes`. The domain separates one use of a key from every other.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.sign_raw(&[domain.as_bytes(), bytes].concat())
    }

    /// Signs exactly `bytes`: for MLS, which separates domains itself (RFC 9420, 5.1.2).
    pub fn sign_raw(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.signing.sign(bytes).to_bytes()
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyPair")
    }
}

/// Checks a signature over `domain || bytes` by ZIP 215, so that checking one by one and in batches agree.
///
/// # Errors
/// If it does not fit.
pub fn verify(
    public: &[u8; 32],
    domain: &str,
    bytes: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), SignatureError> {
    let signed = [domain.as_bytes(), bytes].concat();
    remembering("spacepanda ed25519 zip 215", [public, signature, &signed], || {
        let key = VerificationKey::try_from(*public).map_err(|_| SignatureError)?;
        key.verify(&Signature::from(*signature), &signed).map_err(|_| SignatureError)
    })
}

/// Checks that `public` may be somebody's key: canonical and of large order.
///
/// # Errors
/// Says which it is not.
pub fn check_key(public: &[u8; 32]) -> Result<(), KeyError> {
    if !is_canonical(public) {
        return Err(KeyError::NotCanonical);
    }
    VerificationKey::try_from(*public).map_err(|_| KeyError::NotCanonical)?;
    if SMALL_ORDER.contains(public) { Err(KeyError::SmallOrder) } else { Ok(()) }
}

/// Whether the y coordinate is below the field's prime 2^255 - 19, and zero has no sign.
fn is_canonical(public: &[u8; 32]) -> bool {
    let high_is_full = public[31] & 0x7f == 0x7f && public[1..31].iter().all(|byte| *byte == 0xff);
    let is_above = high_is_full && public[0] >= 0xed;
    !is_above && !NEGATIVE_ZERO.contains(public)
}

/// `x = 0` written with the sign bit set: y = 1 and y = -1.
const NEGATIVE_ZERO: [[u8; 32]; 2] = [with_ends(0x01, 0x00, 0x80), with_ends(0xec, 0xff, 0xff)];

/// The canonical encodings of the points whose order divides 8 (RFC 7748 and RFC 8032 give the curve).
const SMALL_ORDER: [[u8; 32]; 8] = [
    with_ends(0x01, 0x00, 0x00),
    with_ends(0xec, 0xff, 0x7f),
    with_ends(0x00, 0x00, 0x00),
    with_ends(0x00, 0x00, 0x80),
    ORDER_EIGHT[0],
    ORDER_EIGHT[1],
    ORDER_EIGHT[2],
    ORDER_EIGHT[3],
];

const ORDER_EIGHT: [[u8; 32]; 4] = [
    order_eight(false, 0x05),
    order_eight(false, 0x85),
    order_eight(true, 0x7a),
    order_eight(true, 0xfa),
];

const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// The two y coordinates of the points of order 8, each other's negatives, with either sign of x.
const fn order_eight(negated: bool, last: u8) -> [u8; 32] {
    let mut bytes = if negated {
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x00,
        ]
    } else {
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x00,
        ]
    };
    bytes[31] = last;
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_its_key_domain_and_bytes_and_no_other() {
        let (alice, bob) = (pair(1), pair(2));
        let signature = alice.sign("a", b"text");
        assert!(verify(alice.public(), "a", b"text", &signature).is_ok());
        assert!(verify(alice.public(), "b", b"text", &signature).is_err());
        assert!(verify(alice.public(), "a", b"texts", &signature).is_err());
        assert!(verify(bob.public(), "a", b"text", &signature).is_err());
    }

    #[test]
    fn keys_of_small_order_and_second_spellings_are_refused() {
        assert_eq!(check_key(pair(1).public()), Ok(()));
        for small in SMALL_ORDER {
            assert!(VerificationKey::try_from(small).is_ok(), "{small:02x?} is on the curve");
            assert_eq!(check_key(&small), Err(KeyError::SmallOrder));
        }
        for other in NEGATIVE_ZERO {
            assert_eq!(check_key(&other), Err(KeyError::NotCanonical));
        }
        // The prime itself, a second way to write zero.
        assert_eq!(check_key(&with_ends(0xed, 0xff, 0x7f)), Err(KeyError::NotCanonical));
    }

    #[test]
    fn a_key_pair_prints_no_secret() {
        assert_eq!(format!("{:?}", pair(1)), "KeyPair");
    }

    fn pair(byte: u8) -> KeyPair {
        KeyPair::from_secret(Secret::new([byte; 32]))
    }
}
