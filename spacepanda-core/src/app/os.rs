//! The system's clock and entropy: the only place that asks for either.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use zeroize::Zeroizing;

use crate::base::{Error, ErrorKind, Result, Secret, Timestamp};

/// The latest time that was told.
static LATEST: AtomicU64 = AtomicU64::new(0);

/// The time now; within one process it never goes back, whatever happens to the system's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    Timestamp::from_micros(LATEST.fetch_max(micros, Ordering::Relaxed).max(micros))
}

/// 32 unpredictable bytes, for one step.
///
/// # Errors
/// `Unavailable` if the system gives none.
pub(super) fn seed() -> Result<Secret<32>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("ask the system for entropy: {error}"))
    })?;
    Ok(Secret::new(*bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_and_seeds_differ() {
        let first = now();
        LATEST.fetch_max(first.micros() + 1_000_000, Ordering::Relaxed);
        assert!(now().micros() >= first.micros() + 1_000_000);
        assert_ne!(seed().unwrap().expose(), seed().unwrap().expose());
    }
}
