use std::{collections::BTreeMap, time::Duration};

use super::{published::Plea, server::Server};
use crate::{
    base::{DeviceId, StateId, Timestamp, limits::CLOCK_SKEW_MAX},
    state::mls::tree::{Commit, View},
};

/// Of the pleas of one device at most one in this time counts.
pub(super) const PLEA_PAUSE: Duration = Duration::from_secs(60 * 60);

/// How often one device is let in again in such a time: pleas are counted by the clock of who writes them.
const ANSWERS_MAX: usize = 3;

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
        if pleas.is_empty() {
            return pleas;
        }
        let view = self.0.view();
        let path = self.0.tree.path_to(&view, head).unwrap_or_default();
        pleas.retain(|plea| !path.iter().any(|commit| answers(&view, commit, device, plea)));
        pleas
    }

    /// Whether a device was let in again so often lately, by the stamps of those who did it, that a plea of it
    /// waits.
    pub(super) fn is_answered_enough(
        &self,
        device: &DeviceId,
        head: &StateId,
        now: Timestamp,
    ) -> bool {
        let Self(server) = self;
        let path = server.tree.path_to(&server.view(), head).unwrap_or_default();
        let again = path.iter().rev().filter(|commit| {
            commit.removes.contains(device)
                && commit.adds.iter().any(|added| added.device == *device)
        });
        let stamps = again.filter_map(|commit| server.roots.written_at(&commit.envelope));
        // A stamp that is far ahead says nothing.
        let lately =
            stamps.filter(|at| now.since(*at) < PLEA_PAUSE && at.since(now) <= CLOCK_SKEW_MAX);
        lately.take(ANSWERS_MAX).count() == ANSWERS_MAX
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
}

/// Whether a commit adds the device by the plea's package, or knowing of it.
fn answers(view: &dyn View, commit: &Commit, device: &DeviceId, plea: &Plea) -> bool {
    let mut adds = commit.adds.iter().filter(|added| added.device == *device);
    adds.any(|added| added.package == plea.package || view.knows(&commit.envelope, &plea.envelope))
}
