//! What is missing in logs: nobody who was met holds it any more, perhaps nobody does.

use std::collections::BTreeSet;

use super::{event::Event, machine::Cx, server::Server};
use crate::base::IdentityId;

impl Server {
    /// Those in whose logs something is missing here that nobody who was met holds.
    pub(super) fn missing_of(&self) -> BTreeSet<IdentityId> {
        let missing = self.channels.values().flat_map(|channel| channel.frontier.gaps());
        missing.filter_map(|tip| self.authority.certified(&tip.device)).collect()
    }

    /// Tells in whose logs something is missing, if that is somebody else than `before`.
    pub(super) fn tell_missing(&self, before: &BTreeSet<IdentityId>, cx: &mut Cx<'_>) {
        let missing = self.missing_of();
        if missing != *before {
            cx.tell(Event::Missing { server: self.id, of: self.names_of(&missing) });
        }
    }
}
