use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::base::{ChannelId, DeviceId, Frontier, Tip, limits::HEARD_LINES_MAX};

/// How far a remover had heard the removed in one channel.
///
/// That there are no tips says: this channel is seen, and nothing of theirs was heard in it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct HeardLine {
    /// In which channel.
    #[n(0)]
    pub channel: ChannelId,
    /// The last that was heard of each log; of a forked one each tip. Ascending.
    #[n(1)]
    pub tips: Vec<Tip>,
}

impl HeardLine {
    /// How many of the lines of an operation it takes up: one per tip, and one if there is none.
    pub fn weight(&self) -> usize {
        self.tips.len().max(1)
    }
}

/// Whether lines are as an operation may carry them: within the limit, tips ascending, from 1.
pub(super) fn are_sound(lines: &[HeardLine]) -> bool {
    lines.iter().map(HeardLine::weight).sum::<usize>() <= HEARD_LINES_MAX
        && lines.iter().all(|line| line.tips.is_sorted_by(|a, b| a < b))
        && lines.iter().flat_map(|line| &line.tips).all(|tip| tip.number > 0)
}

/// What a remover has heard of somebody's `devices`, cut into the portions that single operations
/// carry: the first for the removal itself, each further one for a `Heard`.
///
/// `frontiers` are those of every channel the remover sees, the control channel first. There is
/// always a first portion.
pub fn heard<'a>(
    devices: impl IntoIterator<Item = &'a DeviceId> + Clone,
    frontiers: impl IntoIterator<Item = (ChannelId, &'a Frontier)>,
) -> Vec<Vec<HeardLine>> {
    let mut portions = vec![Vec::new()];
    let mut left = HEARD_LINES_MAX;
    for (channel, frontier) in frontiers {
        let mut tips: Vec<_> =
            devices.clone().into_iter().flat_map(|device| frontier.of(device)).collect();
        tips.sort_unstable();
        tips.dedup();
        loop {
            if left == 0 {
                portions.push(Vec::new());
                left = HEARD_LINES_MAX;
            }
            let rest = tips.split_off(tips.len().min(left));
            let line = HeardLine { channel, tips };
            left -= line.weight();
            portions.last_mut().expect("there is always a portion").push(line);
            tips = rest;
            if tips.is_empty() {
                break;
            }
        }
    }
    portions
}

/// The lines of several operations together: per channel every tip of each.
pub(super) fn union<'a>(
    lines: impl IntoIterator<Item = &'a HeardLine>,
) -> BTreeMap<ChannelId, Vec<Tip>> {
    let mut union: BTreeMap<ChannelId, Vec<Tip>> = BTreeMap::new();
    for line in lines {
        union.entry(line.channel).or_default().extend(&line.tips);
    }
    for tips in union.values_mut() {
        tips.sort_unstable();
        tips.dedup();
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::EnvelopeId;

    #[test]
    fn what_does_not_fit_into_the_removal_goes_into_more_operations() {
        let devices: Vec<_> = (0..50).map(|n| DeviceId::new([n; 32])).collect();
        let tip = |device: &DeviceId| Tip {
            device: *device,
            number: 1,
            id: EnvelopeId::new(*device.as_bytes()),
        };
        let full: Frontier = devices.iter().map(tip).collect();
        let empty = Frontier::new();
        let channels = [(1, &full), (2, &empty), (3, &full), (4, &full)]
            .map(|(n, frontier)| (ChannelId::new([n; 32]), frontier));
        let portions = heard(&devices, channels);
        assert_eq!(portions.len(), 2);
        assert!(portions.iter().all(|lines| are_sound(lines)));
        let union = union(portions.iter().flatten());
        let heard: Vec<_> = union.values().map(Vec::len).collect();
        assert_eq!(heard, [50, 0, 50, 50]);
    }

    #[test]
    fn who_sees_nothing_still_removes() {
        assert_eq!(heard(&[], []), [vec![]]);
    }
}
