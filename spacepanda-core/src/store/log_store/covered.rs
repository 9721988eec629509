use std::collections::{BTreeMap, BTreeSet};

use super::{
    FORKS_MAX,
    branches::{Branch, Log},
    rows::LogKey,
    view::View,
};
use crate::base::{EnvelopeId, Frontier, Result};

/// A reader's tips of one log that are looked for among entries that are no tips here. Whoever is honest shows
/// at most `FORKS_MAX`, and comes to one place of each branch by what it is served; whoever shows more has
/// made some up, and is served nothing of that log.
const SOUGHT_MAX: usize = 2 * FORKS_MAX;

/// The numbers of one branch that a reader lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lacking {
    pub(super) branch: u16,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl View<'_> {
    /// What of `log` is not covered by the tips in `have`, from `floor` on.
    ///
    /// It reads no header twice, none where a tip ends a branch, and none below what is covered already: of
    /// at most [`SOUGHT_MAX`] numbers, and never more headers than the log has entries.
    pub(super) async fn lacking(
        &self,
        key: LogKey,
        log: &Log,
        floor: u64,
        have: &Frontier,
    ) -> Result<Vec<Lacking>> {
        let mut covered = Covered::new(log);
        let Some(sought) = covered.cover_tips(floor, have) else { return Ok(Vec::new()) };
        // From the greatest on: what is found spares what it follows.
        for (number, mut ids) in sought.into_iter().rev() {
            for branch in covered.open_at(number) {
                if ids.is_empty() {
                    break;
                }
                if ids.remove(&self.header(key, number, branch).await?.id) {
                    covered.cover(branch, number);
                }
            }
        }
        Ok(covered.lacking(floor))
    }
}

/// How far the branches of a log are covered by what a reader has.
struct Covered<'a> {
    log: &'a Log,
    /// Of each branch the first number that is not covered.
    next: Vec<u64>,
}

impl<'a> Covered<'a> {
    fn new(log: &'a Log) -> Self {
        let next = log.indexed().map(|(_, branch)| branch.first).collect();
        Self { log, next }
    }

    /// Covers what ends a branch; gives the other tips that may cover something from `floor` on, `None` if
    /// they are more than there can be.
    fn cover_tips(
        &mut self,
        floor: u64,
        have: &Frontier,
    ) -> Option<BTreeMap<u64, BTreeSet<EnvelopeId>>> {
        let log = self.log;
        let ends: BTreeMap<EnvelopeId, (u16, &Branch)> =
            log.indexed().map(|(index, branch)| (branch.tip, (index, branch))).collect();
        let mut sought: BTreeMap<u64, BTreeSet<EnvelopeId>> = BTreeMap::new();
        let mut left = SOUGHT_MAX;
        for tip in have.of(&log.device) {
            match ends.get(&tip.id) {
                Some((index, branch)) if branch.last == tip.number => {
                    self.cover(*index, tip.number);
                }
                _ if tip.number >= floor => {
                    left = left.checked_sub(1)?;
                    sought.entry(tip.number).or_default().insert(tip.id);
                }
                _ => {}
            }
        }
        Some(sought)
    }

    /// The branches that have an entry at `number`, which is not covered and not their last.
    fn open_at(&self, number: u64) -> Vec<u16> {
        let branches = self.log.indexed().zip(&self.next);
        let open = branches.filter(|((_, branch), next)| (**next..branch.last).contains(&number));
        open.map(|((index, _), _)| index).collect()
    }

    /// Covers the entry at `number` on `branch` and all it follows. A branch that is covered in part
    /// already has covered what it follows, so that each is gone through once.
    fn cover(&mut self, branch: u16, number: u64) {
        let mut entry = Some((branch, number));
        while let Some((index, number)) = entry {
            let branch = self.log.branch(index);
            let next = &mut self.next[usize::from(index)];
            let begun = *next > branch.first;
            *next = (*next).max(number + 1);
            entry =
                if begun { None } else { branch.parent.map(|parent| (parent, branch.first - 1)) };
        }
    }

    fn lacking(&self, floor: u64) -> Vec<Lacking> {
        let indexed = self.log.indexed().zip(&self.next);
        let runs = indexed.map(|((index, branch), next)| Lacking {
            branch: index,
            first: (*next).max(floor),
            last: branch.last,
        });
        runs.filter(|run| run.first <= run.last).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        base::Tip,
        store::log_store::branches::{
            Spot,
            tests::{forked, tip},
        },
    };

    fn lacking(log: &Log, held: &[(u16, u64)], floor: u64) -> Vec<(u16, u64, u64)> {
        let mut covered = Covered::new(log);
        held.iter().for_each(|(branch, number)| covered.cover(*branch, *number));
        let runs = covered.lacking(floor).into_iter();
        runs.map(|run| (run.branch, run.first, run.last)).collect()
    }

    #[test]
    fn a_tip_covers_what_it_follows_and_no_other_branch() {
        let lacking = |held: &[(u16, u64)], floor| lacking(&forked(), held, floor);
        assert_eq!(lacking(&[], 0), [(0, 1, 3), (1, 2, 3), (2, 3, 3)]);
        assert_eq!(lacking(&[], 3), [(0, 3, 3), (1, 3, 3), (2, 3, 3)]);
        assert_eq!(lacking(&[(0, 3)], 0), [(1, 2, 3), (2, 3, 3)]);
        assert_eq!(lacking(&[(2, 3)], 0), [(0, 2, 3), (1, 3, 3)]);
        assert_eq!(lacking(&[(1, 2), (0, 2)], 0), [(0, 3, 3), (1, 3, 3), (2, 3, 3)]);
        assert_eq!(lacking(&[(2, 3), (1, 3), (0, 3)], 0), []);
    }

    #[test]
    fn what_came_after_a_gap_covers_what_is_before_it_once_that_is_closed() {
        let mut log = Log::begin(&tip(1, 1), 1, 1);
        let beyond = log.add(Spot::Beyond, &tip(3, 3), 2);
        assert_eq!(lacking(&log, &[(beyond, 3)], 0), [(0, 1, 1)]);
        log.add(Spot::Follows(0), &tip(2, 2), 3);
        log.close_gap(beyond, 0);
        assert_eq!(lacking(&log, &[(beyond, 3)], 0), []);
    }

    #[test]
    fn what_ends_a_branch_or_stands_below_the_floor_is_not_looked_for() {
        let log = forked();
        let mut covered = Covered::new(&log);
        let have = [tip(3, 3), tip(3, 13), tip(1, 1), tip(2, 12), tip(2, 23)];
        let sought = covered.cover_tips(2, &have.into_iter().collect());
        let ids = [12, 23].map(|id| EnvelopeId::new([id; 32]));
        assert_eq!(sought, Some(BTreeMap::from([(2, BTreeSet::from(ids))])));
        assert_eq!(covered.lacking(0).len(), 1);
        assert!(covered.open_at(2).is_empty());
    }

    #[test]
    fn whoever_shows_more_tips_than_there_can_be_is_served_nothing_of_the_log() {
        let log = forked();
        let made_up = (0..=SOUGHT_MAX as u64).map(|number| {
            let id = EnvelopeId::new(*blake3::hash(&number.to_be_bytes()).as_bytes());
            Tip { number, id, ..tip(0, 0) }
        });
        let many: Frontier = made_up.clone().chain([tip(3, 23)]).collect();
        assert_eq!(Covered::new(&log).cover_tips(0, &many), None);
        let fewer = made_up.skip(1).collect();
        let sought = Covered::new(&log).cover_tips(0, &fewer).unwrap();
        assert_eq!(sought.values().map(BTreeSet::len).sum::<usize>(), SOUGHT_MAX);
    }
}
