use std::{cmp::Reverse, time::Duration};

use crate::base::{Bug, StateId, Timestamp};

/// How long a group's states are kept after they were left.
///
/// The longer, the later a message may come, or a fork heal, and still be opened by its own keys; what
/// comes later must be handed over by somebody who opened it. The price is forward secrecy: whoever
/// takes a device's disk, and has recorded what was sent, can open everything that was written since the
/// oldest state kept there, and nothing older. With the default that is three days, or the latest 16
/// changes of the group, whichever is shorter; a device that is alone keeps the states it left until it
/// has met somebody again, four times as many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Hours after which a state that was left ends: 1 at least.
    pub hours: u16,
    /// A state ends when this many newer ones are kept: 2 at least.
    pub states: u16,
}

/// A state that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub state: StateId,
    /// The how-manieth it is that was ever kept here: of those left at one time the later is newer.
    pub number: u64,
    /// When it was left or, if nobody ever stood on it here, when it was saved; `None` if it was not left.
    pub left_at: Option<Timestamp>,
    /// Bytes of its rows.
    pub bytes: u64,
}

impl Window {
    /// Newer states of this many bytes together end a state, however few they are.
    pub const NEWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
    /// How many times as many states, and bytes, are kept of those left since anybody was met: who is
    /// never shown everything must not keep everything.
    pub const UNHEARD: u16 = 4;
    /// The shortest window: with less, a fork that heals within minutes already loses its keys.
    pub const SHORTEST: Self = Self { hours: 1, states: 2 };

    /// The states that end now, the oldest first.
    ///
    /// The stand never ends, nor what was not left. What was left after `caught_up_at`, when this device
    /// was last caught up with a peer, ends when [`Self::UNHEARD`] times as many newer states stay as the
    /// window has. Anything else ends when its hours are over or when enough newer states stay, whichever
    /// is first.
    pub fn ends(
        &self,
        kept: &[Kept],
        stand: &StateId,
        caught_up_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<StateId> {
        let mut newest_first = kept.to_vec();
        newest_first.sort_by_key(|kept| {
            let left = kept.left_at.filter(|_| kept.state != *stand);
            Reverse((left.unwrap_or(Timestamp::from_micros(u64::MAX)), kept.number))
        });
        let (mut newer, mut newer_bytes) = (0_u16, 0_u64);
        let mut ended = Vec::new();
        for kept in newest_first {
            let full = |times: u16| {
                newer >= self.states.saturating_mul(times)
                    || newer_bytes >= Self::NEWER_BYTES_MAX * u64::from(times)
            };
            let left = kept.left_at.filter(|_| kept.state != *stand);
            let ends = left.is_some_and(|left| match caught_up_at >= Some(left) {
                true => {
                    let over = now.since(left) >= self.duration();
                    full(1) || over || Bug::ForgetsLeftStates.is_planted()
                }
                false => full(Self::UNHEARD),
            });
            if ends {
                ended.push(kept.state);
            } else {
                newer = newer.saturating_add(1);
                newer_bytes = newer_bytes.saturating_add(kept.bytes);
            }
        }
        ended.reverse();
        ended
    }

    /// How long a state that was left is kept at most.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.hours) * 60 * 60)
    }
}

impl Default for Window {
    /// 72 hours, 16 states.
    fn default() -> Self {
        Self { hours: 72, states: 16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn state(n: u8) -> StateId {
        StateId::new([n; 32])
    }

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_micros(hour * HOUR)
    }

    fn kept(n: u8, left: Option<u64>) -> Kept {
        Kept { state: state(n), number: n.into(), left_at: left.map(at), bytes: 1_000 }
    }

    #[test]
    fn a_state_ends_72_hours_after_it_was_left() {
        let states = [kept(1, Some(10)), kept(2, None)];
        let ends = |hour| Window::default().ends(&states, &state(2), Some(at(10)), at(hour));
        assert_eq!(ends(81), []);
        assert_eq!(ends(82), [state(1)]);
    }

    #[test]
    fn the_stand_never_ends() {
        let ends = Window::default().ends(&[kept(1, Some(1))], &state(1), Some(at(900)), at(999));
        assert_eq!(ends, []);
    }

    #[test]
    fn a_state_ends_when_16_newer_ones_are_kept() {
        let mut states: Vec<Kept> = (0..17).map(|n| kept(n, Some(u64::from(n)))).collect();
        states.push(kept(17, None));
        let ends = Window::default().ends(&states, &state(17), Some(at(20)), at(20));
        assert_eq!(ends, [state(0), state(1)]);
    }

    #[test]
    fn of_states_left_at_one_time_those_kept_first_end_first() {
        let mut states: Vec<Kept> = (0..18).map(|n| kept(n, Some(1))).collect();
        // Whatever their ids are.
        for one in &mut states {
            one.number = 100 - one.number;
        }
        states.push(kept(18, None));
        let ends = Window::default().ends(&states, &state(18), Some(at(20)), at(20));
        assert_eq!(ends, [state(17), state(16), state(15)]);
    }

    #[test]
    fn a_state_ends_when_newer_ones_fill_64_mebibytes() {
        let mut states = [kept(1, Some(1)), kept(2, Some(2)), kept(3, None)];
        states[1].bytes = Window::NEWER_BYTES_MAX;
        let ends = Window::default().ends(&states, &state(3), Some(at(3)), at(3));
        assert_eq!(ends, [state(1)]);
    }

    #[test]
    fn nothing_ends_before_the_device_was_caught_up_since() {
        let states = [kept(1, Some(10)), kept(2, Some(20)), kept(3, None)];
        let ends = |caught_up| Window::default().ends(&states, &state(3), caught_up, at(999));
        assert_eq!(ends(None), []);
        assert_eq!(ends(Some(at(15))), [state(1)]);
        assert_eq!(ends(Some(at(20))), [state(1), state(2)]);
    }

    #[test]
    fn a_device_that_meets_nobody_keeps_four_windows_at_most() {
        let mut states: Vec<Kept> = (0..64).map(|n| kept(n, Some(u64::from(n)))).collect();
        states.push(kept(64, None));
        let ends = |states: &[Kept]| Window::default().ends(states, &state(64), None, at(999));
        assert_eq!(ends(&states), [state(0)]);
        assert_eq!(ends(&states[1..]), []);
    }
}
