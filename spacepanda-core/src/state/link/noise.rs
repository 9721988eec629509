//! Noise XX with entropy that comes in as an argument.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use snow::{
    Builder, Error, HandshakeState,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::{CryptoResolver, DefaultResolver},
    types::{Cipher, Dh, Hash, Random},
};

use crate::base::Secret;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";

/// A fresh handshake: its static and ephemeral keys both come from `seed`.
pub(super) fn handshake(seed: &Secret<32>, initiator: bool) -> Result<HandshakeState, Error> {
    let resolver = || Box::new(Seeded::new(seed));
    let keys = Builder::with_resolver(PATTERN.parse()?, resolver()).generate_keypair()?;
    let private = zeroize::Zeroizing::new(keys.private);
    let builder = Builder::with_resolver(PATTERN.parse()?, Box::new(Seeded::ephemeral(seed)));
    let builder = builder.local_private_key(&private)?;
    if initiator { builder.build_initiator() } else { builder.build_responder() }
}

/// The default primitives, drawing from a generator of ours.
struct Seeded {
    generator: Mutex<ChaCha20Rng>,
}

impl Seeded {
    fn new(seed: &Secret<32>) -> Self {
        Self { generator: Mutex::new(ChaCha20Rng::from_seed(*seed.expose())) }
    }

    /// The same generator's second stream: ephemeral keys never equal the static one.
    fn ephemeral(seed: &Secret<32>) -> Self {
        let mut generator = ChaCha20Rng::from_seed(*seed.expose());
        generator.set_stream(1);
        Self { generator: Mutex::new(generator) }
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        let mut generator = self.generator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        generator.fill_bytes(&mut *seed);
        Some(Box::new(Generator(ChaCha20Rng::from_seed(*seed))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Generator(ChaCha20Rng);

impl Random for Generator {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}
