use std::time::Duration;

use crate::base::{StateId, Timestamp};

/// Bytes of newer states beyond which an older one ends.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long states are kept that one no longer encrypts in (COMMIT-TREE 13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    hours: u16,
    states: u16,
}

/// A kept state, as the window sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptState {
    /// Which.
    pub state: StateId,
    /// States kept later have greater numbers.
    pub number: u64,
    /// When it was left; `None` for the stand.
    pub left: Option<Timestamp>,
    /// Bytes of its rows.
    pub bytes: u64,
}

/// What ends now, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// The states to let go of, the oldest first.
    pub now: Vec<StateId>,
    /// When the next ends by time alone.
    pub next: Option<Timestamp>,
}

impl Window {
    /// A window of so many hours and so many states, as the group's settings say.
    pub fn new(hours: u16, states: u16) -> Self {
        Self { hours, states }
    }

    /// Which of `kept` end at `now`. None ends before this device has been caught up with a peer since
    /// it left that state.
    pub fn ended(
        &self,
        mut kept: Vec<KeptState>,
        caught_up: Option<Timestamp>,
        now: Timestamp,
    ) -> Ended {
        kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.number));
        let mut ended = Ended::default();
        let (mut newer, mut bytes) = (0u64, 0u64);
        for KeptState { state, left, bytes: own, .. } in kept {
            if let Some(left) = left {
                let until = left.saturating_add(Duration::from_secs(u64::from(self.hours) * 3_600));
                let crowded = newer >= u64::from(self.states) || bytes > BYTES_MAX;
                if caught_up.is_some_and(|at| at >= left) {
                    if crowded || until <= now {
                        ended.now.push(state);
                        continue;
                    }
                    ended.next = ended.next.into_iter().chain([until]).min();
                }
            }
            newer += 1;
            bytes += own;
        }
        ended.now.reverse();
        ended
    }
}
