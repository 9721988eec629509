use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use spacepanda_core::base::Secret;

/// Chance for one purpose: it follows from the world's seed and the purpose alone, so that drawing
/// more for one purpose changes no other.
#[derive(Debug)]
pub(super) struct Chance(ChaCha20Rng);

impl Chance {
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_be_bytes()).update(purpose.as_bytes());
        Self(ChaCha20Rng::from_seed(hasher.finalize().into()))
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// An index into something of `len`, which is not 0.
    pub(super) fn index(&mut self, len: usize) -> usize {
        // Within `usize`: the remainder is below a `usize`.
        self.below(len as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A duration below `most`, in microseconds.
    pub(super) fn within(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.max(1)))
    }

    /// 32 bytes for one step.
    pub(super) fn secret(&mut self) -> Secret<32> {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        Secret::new(bytes)
    }
}
