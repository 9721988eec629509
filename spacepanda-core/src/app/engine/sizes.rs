use super::machine::Machine;
use crate::base::{ServerId, StateId};

/// How much a machine holds in memory, over all its servers, and what it has counted since it began: for
/// tests and for whoever operates a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Steps to be made.
    pub work: usize,
    /// Links, proven or not.
    pub links: usize,
    /// Envelopes whose past is not here.
    pub waiting: usize,
    /// Messages that cannot be opened yet.
    pub unopened: usize,
    /// Texts accepted and not encrypted yet.
    pub drafts: usize,
    /// States of groups whose rows are kept.
    pub kept: usize,
    /// Groups held in memory.
    pub groups: usize,
    /// Messages opened because somebody handed them over, so far.
    pub handed_over: usize,
    /// Messages under a key that had been used before, so far: of somebody who ran twice, or who means harm.
    pub reused: usize,
}

/// What is counted of one server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub handed_over: usize,
    pub reused: usize,
}

impl Machine {
    /// How much is held.
    pub fn sizes(&self) -> Sizes {
        let mut sizes =
            Sizes { work: self.node.work.len(), links: self.node.links.len(), ..Sizes::default() };
        for server in self.servers.values() {
            sizes.waiting += server.waiting.len();
            sizes.unopened += server.unopened.values().map(|of| of.len()).sum::<usize>();
            sizes.drafts += server.drafts.len();
            sizes.kept += server.kept.len();
            sizes.groups += server.groups.len();
            sizes.handed_over += server.counts.handed_over;
            sizes.reused += server.counts.reused;
        }
        sizes
    }

    /// The state of a server's group in which this device encrypts.
    pub fn stand(&self, server: &ServerId) -> Option<StateId> {
        self.servers.get(server)?.stand
    }

    /// The state of a server's group that this device chooses, whether it can be reached or not.
    pub fn head(&self, server: &ServerId) -> Option<StateId> {
        self.servers.get(server)?.head
    }

    /// One hash of what members who have converged hold alike of a server, without what was said in its
    /// channels.
    pub fn control_hash(&self, server: &ServerId) -> Option<[u8; 32]> {
        Some(self.servers.get(server)?.control_hash())
    }
}
