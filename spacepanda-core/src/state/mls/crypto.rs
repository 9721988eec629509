use std::{cell::RefCell, convert::Infallible};

use hpke::{
    Deserializable, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use openmls::prelude::tls_codec::SecretVLBytes;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
        HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use crate::{
    base::Secret,
    state::identity::{KeyPair, remembering},
};

/// Signs for one's own leaf.
pub(super) struct LeafSigner<'a>(pub(super) &'a KeyPair);

impl Signer for LeafSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign_raw(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Entropy from a seed.
pub(super) struct SeededRandom(RefCell<ChaCha20Rng>);

impl SeededRandom {
    pub(super) fn new(seed: &Secret<32>) -> Self {
        Self(RefCell::new(ChaCha20Rng::from_seed(*seed.expose())))
    }
}

impl OpenMlsRand for SeededRandom {
    type Error = Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Infallible> {
        let mut bytes = [0; N];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Infallible> {
        let mut bytes = vec![0; len];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

/// RustCrypto, but sealing draws from a seed: the same step makes the same bytes.
pub(super) struct SeededCrypto {
    inner: RustCrypto,
    seed: Secret<32>,
}

impl SeededCrypto {
    pub(super) fn new(seed: Secret<32>) -> Self {
        Self { inner: RustCrypto::default(), seed }
    }

    /// The entropy of one sealing. It depends on everything sealed, not on the order of calls, since
    /// OpenMLS seals from several threads.
    fn entropy(&self, parts: [&[u8]; 4]) -> ChaCha20Rng {
        let mut hasher = Sha256::new().chain_update(self.seed.expose());
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        ChaCha20Rng::from_seed(hasher.finalize().into())
    }
}

impl OpenMlsCrypto for SeededCrypto {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        recipient: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        if !is_of_suite(&config) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let key = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(recipient)
            .map_err(|_| CryptoError::InvalidPublicKey)?;
        let mut entropy = self.entropy([recipient, info, aad, plaintext]);
        let (output, ciphertext) = hpke::single_shot_seal::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
            _,
        >(
            &OpModeS::Base, &key, info, plaintext, aad, &mut entropy
        )
        .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: output.to_bytes().to_vec().into(),
            ciphertext: ciphertext.into(),
        })
    }

    /// Keys come from the device alone, so none is ever made here.
    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    /// Only external commits need it, and these are never made.
    fn hpke_setup_sender_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        Err(CryptoError::SenderSetupError)
    }

    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if suite == super::settings::SUITE {
            Ok(())
        } else {
            Err(CryptoError::UnsupportedCiphersuite)
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![super::settings::SUITE]
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        material: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_extract(hash, salt, material)
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hmac(hash, key, message)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        key: &[u8],
        info: &[u8],
        len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_expand(hash, key, info, len)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        algorithm: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.aead_encrypt(algorithm, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        algorithm: AeadType,
        key: &[u8],
        ciphertext: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.aead_decrypt(algorithm, key, ciphertext, nonce, aad)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let check = || self.inner.verify_signature(scheme, data, key, signature);
        match scheme {
            SignatureScheme::ED25519 => {
                remembering("spacepanda mls ed25519 strict", [key, signature, data], check)
            }
            _ => check(),
        }
    }

    fn sign(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.sign(scheme, data, key)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        key: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.hpke_open(config, input, key, info, aad)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        output: &[u8],
        key: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.inner.hpke_setup_receiver_and_export(config, output, key, info, context, len)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        material: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        self.inner.derive_hpke_keypair(config, material)
    }
}

/// Whether it is HPKE as suite 0x0003 uses it.
fn is_of_suite(config: &HpkeConfig) -> bool {
    let HpkeConfig(kem, kdf, aead) = config;
    *kem == HpkeKemType::DhKem25519
        && *kdf == HpkeKdfType::HkdfSha256
        && *aead == HpkeAeadType::ChaCha20Poly1305
}
