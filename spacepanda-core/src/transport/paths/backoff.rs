use std::time::Duration;

/// The shortest pause.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
pub const BACKOFF_MAX: Duration = Duration::from_secs(2 * 60);

/// The pauses between attempts to reach one peer: each about twice the one before.
///
/// The first lies between 1 and 2 seconds, the next between 2 and 4, and so on up to between 1 and 2
/// minutes: where in that range, chance decides, so that many who lost one peer at the same moment
/// do not all return together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    least: Duration,
}

impl Backoff {
    /// Begins with the shortest pause.
    pub const fn new() -> Self {
        Self { least: BACKOFF_MIN }
    }

    /// The pause before the next attempt, between [`BACKOFF_MIN`] and [`BACKOFF_MAX`].
    pub fn next(&mut self, random: u64) -> Duration {
        let least = self.least;
        self.least = (least * 2).min(BACKOFF_MAX / 2);
        let range = u64::try_from(least.as_micros()).unwrap_or(u64::MAX);
        least + Duration::from_micros(random % range.saturating_add(1))
    }

    /// Begins again; call it once the peer was reached.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_least_to_the_greatest() {
        let mut backoff = Backoff::new();
        let least: Vec<u64> = (0..9).map(|_| backoff.next(0).as_secs()).collect();
        assert_eq!(least, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(60_000_000), BACKOFF_MAX);
        backoff.reset();
        assert_eq!(backoff.next(0), BACKOFF_MIN);
    }

    #[test]
    fn chance_never_leaves_the_range() {
        let mut backoff = Backoff::new();
        for random in [0, 1, u64::MAX, u64::MAX / 3, 999_983, 1 << 40, 12_345, 7, 8] {
            assert!((BACKOFF_MIN..=BACKOFF_MAX).contains(&backoff.next(random)));
        }
    }
}
