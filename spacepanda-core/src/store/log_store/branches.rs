use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::FORKS_MAX;
use crate::base::{DeviceId, EnvelopeId, LogEntry, Tip};

/// Branches of a log at most, above which none begins after a gap. What comes before a gap has to find
/// its place whatever somebody does to have gaps made.
pub(super) const GAPS_MAX: usize = 64;

/// A run of entries that follow one another, to one of the log's tips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Branch {
    /// The number of its first entry.
    #[n(0)]
    pub(super) first: u64,
    /// The branch on which the entry before the first stands; `None` where the log begins, or has a
    /// gap.
    #[n(1)]
    pub(super) parent: Option<u16>,
    /// The number of its last entry, a tip.
    #[n(2)]
    pub(super) last: u64,
    /// The id of its last entry.
    #[n(3)]
    pub(super) tip: EnvelopeId,
    /// When its last entry was appended.
    #[n(4)]
    arrival: u64,
}

/// The shape of one device's log in one channel. An entry that follows a tip prolongs that tip's
/// branch; any other begins a branch. So every tip is the last of a branch, and what a tip follows is
/// known without reading an entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Log {
    #[n(0)]
    pub(super) device: DeviceId,
    #[n(1)]
    branches: Vec<Branch>,
    /// The number at which it begins, which is not held where a gap is before all that is.
    #[n(2)]
    floor: u64,
}

/// A place for an entry that is not held yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// It begins the log: nothing is held before it.
    Begins,
    /// It follows the tip of this branch.
    Follows(u16),
    /// It begins a branch off this one, or one more at the log's beginning.
    Forks(Option<u16>),
    /// It begins a branch after a gap.
    Beyond,
}

impl Log {
    /// The log that `tip` begins, at its own number, or after a gap at `floor`.
    pub(super) fn begin(tip: &Tip, floor: u64, arrival: u64) -> Self {
        let branch =
            Branch { first: tip.number, parent: None, last: tip.number, tip: tip.id, arrival };
        Self { device: tip.device, branches: vec![branch], floor }
    }

    /// Adds `tip` at `spot`, which the caller has found for it, and returns its branch.
    pub(super) fn add(&mut self, spot: Spot, tip: &Tip, arrival: u64) -> u16 {
        let parent = match spot {
            Spot::Follows(index) => {
                let branch = &mut self.branches[usize::from(index)];
                (branch.last, branch.tip, branch.arrival) = (tip.number, tip.id, arrival);
                return index;
            }
            Spot::Forks(parent) => parent,
            Spot::Begins | Spot::Beyond => None,
        };
        let (first, last) = (tip.number, tip.number);
        self.branches.push(Branch { first, parent, last, tip: tip.id, arrival });
        u16::try_from(self.branches.len() - 1).expect("a log has at most FORKS_MAX branches")
    }

    /// The number at which it begins.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The number of the first entry that is held.
    pub(super) fn first(&self) -> u64 {
        self.branches.iter().map(|branch| branch.first).min().unwrap_or(self.floor)
    }

    /// The log begins at `floor`, of which it was not known where it begins.
    pub(super) fn begins_at(&mut self, floor: u64) {
        self.floor = floor;
    }

    pub(super) fn is_forked(&self) -> bool {
        self.branches.len() > 1
    }

    /// Whether it has so many branches that no gap is made any more: what is missing is waited for.
    pub(super) fn takes_no_gap(&self) -> bool {
        self.branches.len() >= GAPS_MAX
    }

    /// Whether it has as many branches as are kept.
    pub(super) fn is_full(&self) -> bool {
        self.branches.len() >= FORKS_MAX
    }

    /// The last entry of every branch that nothing follows, with the branch.
    pub(super) fn tips(&self) -> impl Iterator<Item = (u16, Tip)> + '_ {
        let device = self.device;
        // All at once: asked of each branch whether another follows it, a thousand are a million questions.
        let followed: BTreeSet<u16> =
            self.branches.iter().filter_map(|branch| self.followed_by(branch)).collect();
        self.indexed().filter(move |(index, _)| !followed.contains(index)).map(
            move |(index, branch)| (index, Tip { device, number: branch.last, id: branch.tip }),
        )
    }

    /// The first entry after the gap behind which `branch` stands: its branch and number.
    pub(super) fn gap_behind(&self, branch: u16) -> Option<(u16, u64)> {
        let mut index = branch;
        while let Some(parent) = self.branch(index).parent {
            index = parent;
        }
        let first = self.branch(index).first;
        (first > self.floor()).then_some((index, first))
    }

    /// The branches that begin at `number` after a gap.
    pub(super) fn after_gap_at(&self, number: u64) -> impl Iterator<Item = u16> + '_ {
        let begins = move |branch: &Branch| branch.parent.is_none() && branch.first == number;
        let found = self.indexed().filter(move |(_, branch)| begins(branch));
        found.filter(move |_| number > self.floor()).map(|(index, _)| index)
    }

    /// Closes the gap before `branch`: what was missing is the last entry of `parent`.
    pub(super) fn close_gap(&mut self, branch: u16, parent: u16) {
        self.branches[usize::from(branch)].parent = Some(parent);
    }

    /// Whether a branch goes on from the last entry of this one: one that was after a gap.
    fn is_followed(&self, index: u16) -> bool {
        self.branches.iter().any(|branch| self.followed_by(branch) == Some(index))
    }

    /// The branch from whose last entry `branch` goes on.
    fn followed_by(&self, branch: &Branch) -> Option<u16> {
        branch.parent.filter(|parent| self.branch(*parent).last + 1 == branch.first)
    }

    /// When the last of its entries was appended.
    pub(super) fn arrival(&self) -> u64 {
        self.branches.iter().map(|branch| branch.arrival).max().unwrap_or(0)
    }

    /// The branches that have an entry at `number`, and its id where that is the branch's tip.
    pub(super) fn at(&self, number: u64) -> impl Iterator<Item = (u16, Option<EnvelopeId>)> + '_ {
        self.indexed()
            .filter(move |(_, branch)| branch.has(number))
            .map(move |(index, branch)| (index, (branch.last == number).then_some(branch.tip)))
    }

    /// Where an entry stands that follows the one at `number` on `branch`; `None` if the log is full.
    pub(super) fn after(&self, branch: u16, number: u64) -> Option<Spot> {
        if self.branch(branch).last == number && !self.is_followed(branch) {
            return Some(Spot::Follows(branch));
        }
        (!self.is_full()).then_some(Spot::Forks(Some(branch)))
    }

    pub(super) fn branch(&self, index: u16) -> &Branch {
        &self.branches[usize::from(index)]
    }

    pub(super) fn indexed(&self) -> impl Iterator<Item = (u16, &Branch)> {
        (0..).zip(&self.branches)
    }

    /// Whether a log that was read can be one that was written.
    pub(super) fn is_sound(&self) -> bool {
        let count = self.branches.len();
        let sound = |branch: &Branch| {
            let ordered = 0 < branch.first && branch.first <= branch.last && branch.last < u64::MAX;
            ordered
                && match branch.parent {
                    None => branch.first >= self.floor(),
                    Some(parent) => {
                        let parent = self.branches.get(usize::from(parent));
                        parent.is_some_and(|parent| parent.has(branch.first - 1))
                    }
                }
        };
        0 < self.floor && 0 < count && count <= FORKS_MAX && self.branches.iter().all(sound)
    }
}

impl Branch {
    fn has(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

/// Whether number and predecessor of `entry` agree.
pub(super) fn is_consistent(entry: &LogEntry) -> bool {
    match entry.number {
        0 | u64::MAX => false,
        1 => entry.previous.is_none(),
        _ => entry.previous.is_some(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::store::log_store) fn tip(number: u64, id: u8) -> Tip {
        Tip { device: DeviceId::new([1; 32]), number, id: EnvelopeId::new([id; 32]) }
    }

    /// 1 to 3 on branch 0; 2 and 3 on branch 1, off 1; 3 on branch 2, off branch 1.
    pub(in crate::store::log_store) fn forked() -> Log {
        let mut log = Log::begin(&tip(1, 1), 1, 1);
        log.add(Spot::Follows(0), &tip(2, 2), 2);
        log.add(Spot::Follows(0), &tip(3, 3), 3);
        log.add(Spot::Forks(Some(0)), &tip(2, 12), 4);
        log.add(Spot::Follows(1), &tip(3, 13), 5);
        log.add(Spot::Forks(Some(1)), &tip(3, 23), 6);
        log
    }

    #[test]
    fn what_cannot_have_been_written_is_unsound() {
        assert!(forked().is_sound());
        let mut broken = vec![forked(); 5];
        broken[0].branches.clear();
        broken[1].branches[0].first = 4;
        broken[2].branches[1].parent = Some(1);
        broken[3].branches[1].first = 0;
        broken[4].floor = 2;
        assert!(broken.iter().all(|log| !log.is_sound()));
    }

    #[test]
    fn a_gap_closes_and_what_comes_after_it_stays_the_tip() {
        let mut log = Log::begin(&tip(2, 2), 2, 1);
        let beyond = log.add(Spot::Beyond, &tip(5, 5), 2);
        assert_eq!(log.add(Spot::Follows(beyond), &tip(6, 6), 3), beyond);
        assert!(log.is_sound());
        assert_eq!(log.gap_behind(beyond), Some((beyond, 5)));
        assert_eq!(log.gap_behind(0), None);
        let tips = |log: &Log| log.tips().map(|(_, tip)| tip.number).collect::<Vec<_>>();
        assert_eq!(tips(&log), [2, 6]);

        log.add(Spot::Follows(0), &tip(3, 3), 4);
        log.add(Spot::Follows(0), &tip(4, 4), 5);
        assert_eq!(log.after_gap_at(5).collect::<Vec<_>>(), [beyond]);
        log.close_gap(beyond, 0);
        assert!(log.is_sound());
        assert_eq!(tips(&log), [6]);
        assert_eq!(log.gap_behind(beyond), None);
        assert_eq!(log.after(0, 4), Some(Spot::Forks(Some(0))));
    }
}
