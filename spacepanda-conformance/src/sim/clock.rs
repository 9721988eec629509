use std::time::Duration;

use spacepanda_core::base::Timestamp;

/// How far a node's clock is from the world's time, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock(i64);

impl Clock {
    pub(super) fn ahead(by: Duration) -> Self {
        Self(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
    }

    pub(super) fn jump(&mut self, by_ms: i64) {
        self.0 = self.0.saturating_add(by_ms.saturating_mul(1_000));
    }

    /// What the clock shows.
    pub(super) fn shows(self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros(now.micros().saturating_add_signed(self.0))
    }

    /// When it shows this.
    pub(super) fn when(self, shown: Timestamp) -> Timestamp {
        Timestamp::from_micros(shown.micros().saturating_add_signed(self.0.saturating_neg()))
    }
}
