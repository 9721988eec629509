/// A seed to run in place of the usual ones.
pub(crate) const SEED_VARIABLE: &str = "SPACEPANDA_SEED";

/// The seeds of a case's runs: 0, 1, 2 and so on, `usual` of them, or the one that
/// [`SEED_VARIABLE`] names.
pub(crate) fn seeds(usual: u64) -> Vec<u64> {
    match std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..usual).collect(),
    }
}

/// Numbers that follow from a seed alone: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Within `usize`: the remainder is below a `usize`.
        (self.next() % bound as u64) as usize
    }

    /// Whether something happens that happens once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers from seed 0, as the algorithm's reference gives them.
    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut random = Random::new(0);
        let first = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!(first.map(|_| random.next()), first);
    }
}
