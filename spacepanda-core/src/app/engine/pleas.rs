use std::{collections::BTreeMap, time::Duration};

use super::{published::Plea, server::Server};
use crate::base::{Bug, DeviceId, EnvelopeId, StateId};

/// Of the pleas of one device at most one in this time counts.
pub(super) const PLEA_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The pleas of those who cannot reach the head, as the log has them.
pub(super) struct Pleas<'a>(&'a Server);

impl Pleas<'_> {
    /// The pleas of a device that count, oldest first: at most one an hour.
    pub(super) fn of(&self, device: &DeviceId) -> Vec<Plea> {
        let mut counting: Vec<Plea> = Vec::new();
        for plea in self.0.packages.all_pleas(device) {
            let next = counting.last().map(|last| last.at.saturating_add(PLEA_PAUSE));
            if next.is_none_or(|next| plea.at >= next) {
                counting.push(*plea);
            }
        }
        counting
    }

    /// The pleas that count and that nothing on the path to `head` answers; which head each names, it
    /// says itself.
    pub(super) fn unanswered(&self, head: &StateId) -> Vec<(DeviceId, Plea)> {
        let pleaders = self.0.packages.pleaders();
        let of = |device: &DeviceId| self.in_vain(device, head).into_iter();
        pleaders.flat_map(|device| of(device).map(|plea| (*device, plea))).collect()
    }

    /// Those of one device, oldest first.
    pub(super) fn in_vain(&self, device: &DeviceId, head: &StateId) -> Vec<Plea> {
        let mut pleas = self.of(device);
        pleas.retain(|plea| !self.0.answers(head, device, plea));
        pleas
    }

    /// Of each device the newest of them: it speaks for those before it.
    pub(super) fn open(&self, head: &StateId) -> Vec<(DeviceId, Plea)> {
        // Oldest first, so of one device the newest stays.
        let newest: BTreeMap<_, _> = self.unanswered(head).into_iter().collect();
        newest.into_iter().collect()
    }
}

impl Server {
    /// The pleas in the control channel.
    pub(super) fn pleas(&self) -> Pleas<'_> {
        Pleas(self)
    }

    /// Whether a commit on the path to `head` adds the device by the plea's package, or knowing of it.
    fn answers(&self, head: &StateId, device: &DeviceId, plea: &Plea) -> bool {
        let dag = self.authority.dag();
        let knows = |commit: &EnvelopeId| {
            let pair = dag.index(&plea.envelope).zip(dag.index(commit));
            pair.is_some_and(|(plea, commit)| dag.is_before(plea, commit))
        };
        let path = self.tree.path_to(&self.view(), head).unwrap_or_default();
        path.iter().any(|commit| {
            let mut adds = commit.adds.iter().filter(|added| added.device == *device);
            !Bug::AnswersPleasAgain.is_planted()
                && adds.any(|added| added.package == plea.package || knows(&commit.envelope))
        })
    }
}
