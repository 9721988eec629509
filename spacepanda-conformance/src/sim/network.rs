use std::{collections::BTreeMap, time::Duration};

use spacepanda_core::{app::engine::Link, base::Timestamp};

/// Links between nodes. Each has two ends, and each end is a link's number to the node that has it.
#[derive(Debug, Default)]
pub(super) struct Network {
    ends: BTreeMap<Link, End>,
    last: Link,
    /// Which nodes are on the far side of a partition.
    far: Vec<usize>,
}

/// One end of a link.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: usize,
    peer: Link,
    /// Whether its node's machine was told of it.
    pub(super) open: bool,
    /// Whether the link is lost, which the node has not noticed yet.
    cut: bool,
    /// How long a frame is on its way.
    delay: Duration,
    /// When everything sent to this end so far has arrived.
    clear: Timestamp,
}

impl Network {
    /// The address of a node.
    pub(super) fn address(node: usize) -> String {
        format!("sim:{node}")
    }

    /// The node at an address.
    pub(super) fn at(address: &str) -> Option<usize> {
        address.strip_prefix("sim:")?.parse().ok()
    }

    /// Whether a new link between two nodes can be made.
    pub(super) fn reaches(&self, one: usize, other: usize) -> bool {
        self.far.contains(&one) == self.far.contains(&other)
    }

    /// Parts the nodes of `far` from all others, and says which links that cuts.
    pub(super) fn part(&mut self, far: Vec<usize>) -> Vec<Link> {
        self.far = far;
        let crossing = self.ends.iter().filter(|(_, end)| {
            self.ends.get(&end.peer).is_some_and(|peer| !self.reaches(end.node, peer.node))
        });
        crossing.map(|(link, _)| *link).collect()
    }

    /// Makes a link: the dialled end is open now, the dialler's from `up` on.
    pub(super) fn join(
        &mut self,
        (dialler, dialled): (usize, usize),
        now: Timestamp,
        delay: Duration,
    ) -> (Link, Link) {
        let (one, other) = (self.last + 1, self.last + 2);
        self.last = other;
        let end = |node, peer, open, clear| End { node, peer, open, cut: false, delay, clear };
        self.ends.insert(one, end(dialler, other, false, now.saturating_add(delay)));
        self.ends.insert(other, end(dialled, one, true, now));
        (one, other)
    }

    pub(super) fn end(&mut self, link: Link) -> Option<&mut End> {
        self.ends.get_mut(&link)
    }

    /// The end that still takes frames.
    pub(super) fn whole(&self, link: Link) -> Option<&End> {
        self.ends.get(&link).filter(|end| !end.cut)
    }

    /// A link chosen by `number`; none if there is no link.
    pub(super) fn any(&self, number: u64) -> Option<Link> {
        let at = number.checked_rem(self.ends.len() as u64)?;
        self.ends.keys().nth(usize::try_from(at).ok()?).copied()
    }

    /// Where a frame sent on `link` arrives, and when: in order, `late` beyond the link's delay.
    pub(super) fn send(
        &mut self,
        link: Link,
        now: Timestamp,
        late: Duration,
    ) -> Option<(Link, Timestamp)> {
        let (to, delay) = self.whole(link).map(|end| (end.peer, end.delay))?;
        let peer = self.ends.get_mut(&to)?;
        peer.clear = peer.clear.max(now.saturating_add(delay + late));
        Some((to, peer.clear))
    }

    /// Ends `link` at its own side; the other end notices once all that was sent has arrived.
    pub(super) fn close(&mut self, link: Link, now: Timestamp) -> Option<(Link, Timestamp)> {
        let closed = self.ends.remove(&link)?;
        let peer = self.ends.get(&closed.peer)?;
        Some((closed.peer, peer.clear.max(now.saturating_add(closed.delay))))
    }

    /// Loses a link with everything under way on it, and says which ends have to notice.
    pub(super) fn cut(&mut self, link: Link) -> Vec<Link> {
        let Some(peer) = self.ends.get(&link).map(|end| end.peer) else { return Vec::new() };
        let mut noticing = Vec::new();
        for link in [link, peer] {
            if let Some(end) = self.ends.get_mut(&link).filter(|end| !end.cut) {
                end.cut = true;
                noticing.push(link);
            }
        }
        noticing
    }

    /// The links of a node.
    pub(super) fn of(&self, node: usize) -> Vec<Link> {
        self.ends.iter().filter(|(_, end)| end.node == node).map(|(link, _)| *link).collect()
    }

    /// Forgets an end, and says whether its node's machine was told of it.
    pub(super) fn forget(&mut self, link: Link) -> Option<End> {
        self.ends.remove(&link)
    }
}
