use std::{collections::BTreeMap, time::Duration};

use spacepanda_core::{app::engine::Link, base::Timestamp};

/// Links between nodes. Each has two ends, and each end is a link's number to the node that has it.
#[derive(Debug, Default)]
pub(super) struct Network {
    ends: BTreeMap<Link, End>,
    last: Link,
    /// Which nodes are on the far side of each partition that there is.
    parts: BTreeMap<u64, Vec<usize>>,
    /// Nodes that cannot be dialled, and by how many faults.
    shut: BTreeMap<usize, usize>,
    /// How much later than others what a node sends and receives arrives.
    slow: BTreeMap<usize, Duration>,
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
    /// Whether nothing arrives here any more.
    mute: bool,
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

    /// Whether two nodes can hear each other.
    fn reaches(&self, one: usize, other: usize) -> bool {
        self.parts.values().all(|far| far.contains(&one) == far.contains(&other))
    }

    /// Whether one node can make a link to another.
    pub(super) fn can_dial(&self, dialler: usize, to: usize) -> bool {
        self.reaches(dialler, to) && !self.shut.contains_key(&to)
    }

    /// Parts the nodes of `far` from all others, and says which links that cuts.
    pub(super) fn part(&mut self, number: u64, far: Vec<usize>) -> Vec<Link> {
        self.parts.insert(number, far);
        let crossing = self.ends.iter().filter(|(_, end)| {
            self.ends.get(&end.peer).is_some_and(|peer| !self.reaches(end.node, peer.node))
        });
        crossing.map(|(link, _)| *link).collect()
    }

    /// Ends a partition.
    pub(super) fn meet(&mut self, number: u64) {
        self.parts.remove(&number);
    }

    pub(super) fn is_parted(&self) -> bool {
        !self.parts.is_empty()
    }

    /// From now on nobody can dial a node, until it was opened as often as it was shut.
    pub(super) fn shut(&mut self, node: usize) {
        *self.shut.entry(node).or_default() += 1;
    }

    pub(super) fn open(&mut self, node: usize) {
        if let Some(times) = self.shut.get_mut(&node) {
            *times -= 1;
            if *times == 0 {
                self.shut.remove(&node);
            }
        }
    }

    /// From now on whatever a node sends and receives is this late.
    pub(super) fn slow(&mut self, node: usize, late: Duration) {
        self.slow.insert(node, late);
    }

    /// The links between two nodes, as ends of the first.
    pub(super) fn between(&self, one: usize, other: usize) -> Vec<Link> {
        let leads = |end: &End| self.ends.get(&end.peer).is_some_and(|peer| peer.node == other);
        let found = self.ends.iter().filter(|(_, end)| end.node == one && leads(end));
        found.map(|(link, _)| *link).collect()
    }

    /// From now on nothing arrives at an end.
    pub(super) fn mute(&mut self, link: Link) {
        if let Some(end) = self.ends.get_mut(&link) {
            end.mute = true;
        }
    }

    pub(super) fn peer(&self, link: Link) -> Option<Link> {
        self.ends.get(&link).map(|end| end.peer)
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
        let end = |node, peer, open, clear| End {
            node,
            peer,
            open,
            cut: false,
            mute: false,
            delay,
            clear,
        };
        self.ends.insert(one, end(dialler, other, false, now.saturating_add(delay)));
        self.ends.insert(other, end(dialled, one, true, now));
        (one, other)
    }

    pub(super) fn end(&mut self, link: Link) -> Option<&mut End> {
        self.ends.get_mut(&link)
    }

    /// The end that still takes frames.
    fn whole(&self, link: Link) -> Option<&End> {
        self.ends.get(&link).filter(|end| !end.cut)
    }

    /// The node at an end to which frames still come.
    pub(super) fn hears(&self, link: Link) -> Option<usize> {
        let end = self.whole(link).filter(|end| end.open && !end.mute);
        end.map(|end| end.node)
    }

    /// Where a frame sent on `link` arrives, and when: in order, `late` beyond the link's delay.
    pub(super) fn send(
        &mut self,
        link: Link,
        now: Timestamp,
        late: Duration,
    ) -> Option<(Link, Timestamp)> {
        let (from, to, delay) = self.whole(link).map(|end| (end.node, end.peer, end.delay))?;
        let slower = self.slow.get(&from).copied().unwrap_or_default();
        let peer = self.ends.get_mut(&to)?;
        let slower = slower.max(self.slow.get(&peer.node).copied().unwrap_or_default());
        peer.clear = peer.clear.max(now.saturating_add(delay + late + slower));
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
