use bytes::Bytes;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto, types::AeadType};

use super::MlsError;
use crate::base::Secret;

const AEAD: AeadType = AeadType::ChaCha20Poly1305;
/// Length of a nonce (RFC 8439, 2.8).
const NONCE_LEN: usize = 12;

/// Wraps the rows of one state. Once these 32 bytes are gone, nothing that is left of the rows, on a disk
/// or in a copy, can be read.
#[derive(Debug, Clone)]
pub struct ScopeKey(Secret<32>);

impl ScopeKey {
    /// Takes 32 secret bytes that nothing else is derived from.
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// The bytes, for keeping them.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Wraps the value of the row `key`: a nonce, then ChaCha20-Poly1305 (RFC 8439) of the value, bound to
    /// the row's key, so that a row in another's place is found out. `seed` must be another each time.
    ///
    /// # Errors
    /// [`MlsError::Storage`] if the value is too long to be encrypted.
    pub fn wrap(&self, key: &[u8], value: &[u8], seed: &Secret<32>) -> Result<Bytes, MlsError> {
        let nonce = &seed.expose()[..NONCE_LEN];
        let sealed = RustCrypto::default()
            .aead_encrypt(AEAD, self.expose(), value, nonce, key)
            .map_err(|_| MlsError::Storage)?;
        Ok([nonce, &sealed].concat().into())
    }

    /// Unwraps what [`Self::wrap`] made.
    ///
    /// # Errors
    /// [`MlsError::Storage`] if it is damaged, or of another row or state.
    pub fn unwrap(&self, key: &[u8], wrapped: &[u8]) -> Result<Bytes, MlsError> {
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_LEN).ok_or(MlsError::Storage)?;
        let opened = RustCrypto::default().aead_decrypt(AEAD, self.expose(), sealed, nonce, key);
        opened.map(Bytes::from).map_err(|_| MlsError::Storage)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_by_its_own_key_in_its_own_place_only() {
        let key = ScopeKey::new(Secret::new([1; 32]));
        let wrapped = key.wrap(b"row", b"value", &Secret::new([2; 32])).unwrap();
        assert!(!wrapped.windows(5).any(|bytes| bytes == b"value"));
        assert_eq!(key.unwrap(b"row", &wrapped).unwrap(), &b"value"[..]);
        assert!(key.unwrap(b"other", &wrapped).is_err());
        assert!(ScopeKey::new(Secret::new([3; 32])).unwrap(b"row", &wrapped).is_err());
        for at in 0..wrapped.len() {
            let mut altered = wrapped.to_vec();
            altered[at] ^= 1;
            assert!(key.unwrap(b"row", &altered).is_err(), "byte {at}");
            assert!(key.unwrap(b"row", &wrapped[..at]).is_err(), "cut at {at}");
        }
    }
}
