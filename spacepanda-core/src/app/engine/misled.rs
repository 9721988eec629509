//! Members for whom nothing but a new group is left: they choose a branch that all who can check it refuse.

use std::cell::OnceCell;

use super::{machine::Node, server::Server, start_over::VAIN_PLEAS};
use crate::state::mls::tree::Choice;

impl Server {
    /// Whether a member who could not check them chooses commits that are invalid, and has pleaded often
    /// enough for where these lead to. Those who stand below them outnumber, in a roster of before their
    /// time, those who refuse them: whoever is added beside them never comes in.
    ///
    /// The branch must outweigh one that goes on here: without any, the next commit is the cure. Pleas
    /// that a root knew of are answered by it.
    pub(super) fn misleads(&self, node: &Node) -> bool {
        let Some(choice) = &self.choice else { return false };
        let me = node.device();
        let unchecked = OnceCell::new();
        let mut others = self
            .packages
            .pleaders()
            .filter(|device| **device != me && self.matrix.device(device).is_some());
        others.any(|device| {
            let mut pleas = self.since_the_root(self.pleas().of(device));
            pleas.retain(|plea| !choice.path.contains(&plea.lost));
            let Some(last) = pleas.last().filter(|_| pleas.len() >= VAIN_PLEAS) else {
                return false;
            };
            let other = unchecked.get_or_init(|| self.tree.choose_unchecked(&self.view()));
            let other = other.as_ref().filter(|other| other.path.contains(&last.lost));
            other.is_some_and(|other| parts_from(other, choice))
        })
    }
}

/// Whether one path leaves another before that ends.
fn parts_from(path: &Choice, other: &Choice) -> bool {
    path.root == other.root
        && path.path.iter().zip(&other.path).any(|(state, other)| state != other)
}
