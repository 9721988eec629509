//! What is missing in logs: nobody who was met holds it any more, perhaps nobody does.

use std::{collections::BTreeSet, time::Duration};

use super::{event::Event, machine::Cx, server::Server};
use crate::base::{IdentityId, Timestamp};

/// How long something is missing, or nothing is, before people are told: a member who came late hands on
/// what others wrote from then on, and who wrote it brings the rest in a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of whom something is missing, as people were told.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    told: BTreeSet<IdentityId>,
    /// When people are told, unless it is as they were told by then.
    pub at: Option<Timestamp>,
}

impl Gaps {
    /// Whether something was missing when logs were looked at last, or people were told so.
    pub(super) fn are_any(&self) -> bool {
        self.at.is_some() || !self.told.is_empty()
    }
}

impl Server {
    /// Those in whose logs something is missing here that nobody who was met holds.
    fn missing_of(&self) -> BTreeSet<IdentityId> {
        let missing = self.channels.values().flat_map(|channel| channel.frontier.gaps());
        missing.filter_map(|tip| self.authority.certified(&tip.device)).collect()
    }

    /// Looks at the gaps anew: logs were loaded, or one has changed.
    pub(super) fn note_gaps(&mut self, now: Timestamp) {
        let as_told = self.missing_of() == self.gaps.told;
        let since = self.gaps.at.unwrap_or_else(|| now.saturating_add(PATIENCE));
        self.gaps.at = (!as_told).then_some(since);
    }

    /// Tells in whose logs something is missing, once it is time.
    pub(super) fn tell_gaps(&mut self, cx: &mut Cx<'_>) {
        if self.gaps.at.is_none_or(|at| at > cx.now) {
            return;
        }
        self.gaps = Gaps { told: self.missing_of(), at: None };
        cx.tell(Event::Missing { server: self.id, of: self.missing() });
    }

    /// The names of those of whom something is missing, as people were told.
    pub(super) fn missing(&self) -> Vec<String> {
        self.names_of(&self.gaps.told)
    }
}
