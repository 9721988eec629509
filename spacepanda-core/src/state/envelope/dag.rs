use std::collections::HashMap;

use imbl::Vector;

use crate::base::{DeviceId, EnvelopeId, Frontier, Tip};

/// An envelope's number in a [`Dag`]: parents have lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u32);

/// Which envelopes of one channel are in the past of which.
///
/// Each branch of a log is a chain; an envelope keeps, per chain, how much of it lies in its past. So
/// asking costs nearly the same at any size. Pasts share what they have in common: an envelope that follows
/// one other costs some hundred bytes, however many chains there are.
#[derive(Debug, Clone, Default)]
pub struct Dag {
    nodes: Vec<Node>,
    by_id: HashMap<EnvelopeId, Index>,
    /// Per chain, its envelopes.
    chains: Vec<Vec<Index>>,
}

#[derive(Debug, Clone)]
struct Node {
    tip: Tip,
    chain: usize,
    /// Per chain, how many of its envelopes are in the past, itself included.
    past: Past,
    named: Vec<Index>,
    /// Its place in its chain, from 1.
    place: u32,
}

/// A closed set of a [`Dag`]'s envelopes: everything that some of them have in their past, and these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Past(Vector<u32>);

impl Past {
    /// How many envelopes it holds.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|place| u64::from(*place)).sum()
    }

    fn reach(&self, chain: usize) -> u32 {
        self.0.get(chain).copied().unwrap_or(0)
    }

    fn join(&mut self, other: &Self) {
        if self.0.ptr_eq(&other.0) {
            return;
        }
        let mut other = other.0.clone();
        if self.0.len() < other.len() {
            std::mem::swap(&mut self.0, &mut other);
        }
        let both = (0..).zip(self.0.iter().zip(&other));
        let more = both.filter(|(_, (mine, theirs))| mine < theirs);
        let more: Vec<(usize, u32)> = more.map(|(chain, (_, theirs))| (chain, *theirs)).collect();
        for (chain, reach) in more {
            self.0.set(chain, reach);
        }
    }

    fn include(&mut self, chain: usize, place: u32) {
        while self.0.len() <= chain {
            self.0.push_back(0);
        }
        if self.0[chain] < place {
            self.0.set(chain, place);
        }
    }
}

impl Dag {
    /// A graph of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an envelope whose whole past is here, and returns its number; one that is here already
    /// keeps its own.
    ///
    /// # Errors
    /// The first of what it names that is not here: it must wait for that.
    pub fn insert(
        &mut self,
        tip: Tip,
        previous: Option<EnvelopeId>,
        parents: impl IntoIterator<Item = EnvelopeId>,
    ) -> Result<Index, EnvelopeId> {
        if let Some(index) = self.by_id.get(&tip.id) {
            return Ok(*index);
        }
        let named = previous
            .into_iter()
            .chain(parents)
            .map(|id| self.index(&id).ok_or(id))
            .collect::<Result<Vec<_>, _>>()?;
        let index = Index(u32::try_from(self.nodes.len()).expect("fewer than 2^32 envelopes"));
        let mut past = Past::default();
        for parent in &named {
            past.join(&self.node(*parent).past);
        }
        let (chain, place) = match previous.and_then(|id| self.continued(&id)) {
            Some(chain) => (chain, self.node(named[0]).place + 1),
            None => (self.chains.len(), 1),
        };
        match self.chains.get_mut(chain) {
            Some(continued) => continued.push(index),
            None => self.chains.push(vec![index]),
        }
        past.include(chain, place);
        self.nodes.push(Node { tip, chain, past, named, place });
        self.by_id.insert(tip.id, index);
        Ok(index)
    }

    /// The chain of which this is the last.
    fn continued(&self, id: &EnvelopeId) -> Option<usize> {
        let at = self.index(id)?;
        let chain = self.node(at).chain;
        (self.chains[chain].last() == Some(&at)).then_some(chain)
    }

    /// The number of an envelope that is here.
    pub fn index(&self, id: &EnvelopeId) -> Option<Index> {
        self.by_id.get(id).copied()
    }

    /// Whether an envelope is here.
    pub fn contains(&self, id: &EnvelopeId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Where an envelope stands in its log.
    pub fn tip(&self, index: Index) -> Tip {
        self.node(index).tip
    }

    /// Whose log it stands in.
    pub fn device(&self, index: Index) -> DeviceId {
        self.node(index).tip.device
    }

    /// What it names directly, `previous` first.
    pub fn named(&self, index: Index) -> &[Index] {
        &self.node(index).named
    }

    /// Whether `earlier` is in the past of `later`; nothing is in its own.
    pub fn is_before(&self, earlier: Index, later: Index) -> bool {
        earlier < later && self.holds(self.past_of(later), earlier)
    }

    /// Whether neither is in the past of the other, and they are not the same.
    pub fn are_concurrent(&self, a: Index, b: Index) -> bool {
        a != b && !self.is_before(a, b) && !self.is_before(b, a)
    }

    /// The past of an envelope, itself included.
    pub fn past_of(&self, index: Index) -> &Past {
        &self.node(index).past
    }

    /// The closure of several envelopes, themselves included.
    ///
    /// # Errors
    /// The first that is not here.
    pub fn closure<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a EnvelopeId>,
    ) -> Result<Past, EnvelopeId> {
        let mut past = Past::default();
        for id in ids {
            past.join(self.past_of(self.index(id).ok_or(*id)?));
        }
        Ok(past)
    }

    /// Whether a closed set holds an envelope.
    pub fn holds(&self, past: &Past, index: Index) -> bool {
        let node = self.node(index);
        past.reach(node.chain) >= node.place
    }

    /// The tips of a closed set, per chain.
    pub fn frontier(&self, past: &Past) -> Frontier {
        let last = |(chain, reach): (&Vec<Index>, &u32)| {
            let place = usize::try_from(*reach).ok()?.checked_sub(1)?;
            Some(self.tip(*chain.get(place)?))
        };
        self.chains.iter().zip(&past.0).filter_map(last).collect()
    }

    /// Every envelope, parents first.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = Index> + use<> {
        (0..u32::try_from(self.nodes.len()).expect("fewer than 2^32 envelopes")).map(Index)
    }

    /// How many envelopes are here.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The envelopes that are in no other's past, ascending by (device, number, id).
    pub fn heads(&self) -> Vec<Tip> {
        let mut named = vec![false; self.nodes.len()];
        for node in &self.nodes {
            for index in &node.named {
                named[index.0 as usize] = true;
            }
        }
        let heads = self.nodes.iter().zip(named).filter(|(_, named)| !named);
        let mut heads: Vec<_> = heads.map(|(node, _)| node.tip).collect();
        heads.sort_unstable();
        heads
    }

    fn node(&self, index: Index) -> &Node {
        &self.nodes[index.0 as usize]
    }
}
