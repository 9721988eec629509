use crate::base::Secret;

/// One step's chance: secrets derived from its seed, another at each call, the same for the same seed.
#[derive(Debug)]
pub(super) struct Chance {
    seed: Secret<32>,
    drawn: u64,
}

impl Chance {
    pub(super) fn new(seed: Secret<32>) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Draws 32 secret bytes.
    pub(super) fn secret(&mut self) -> Secret<32> {
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new_keyed(self.seed.expose());
        hasher.update(b"spacepanda-step-v1").update(&self.drawn.to_be_bytes());
        Secret::new(hasher.finalize().into())
    }

    /// Draws 16 bytes that are no secret.
    pub(super) fn name(&mut self) -> [u8; 16] {
        let secret = self.secret();
        secret.expose()[..16].try_into().expect("16 of 32 bytes")
    }

    /// Draws a number.
    pub(super) fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.name()[..8].try_into().expect("8 of 16 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_no_draw_repeats() {
        let mut one = Chance::new(Secret::new([1; 32]));
        let mut same = Chance::new(Secret::new([1; 32]));
        let (first, second) = (one.name(), one.name());
        assert_ne!(first, second);
        assert_eq!((first, second), (same.name(), same.name()));
    }
}
