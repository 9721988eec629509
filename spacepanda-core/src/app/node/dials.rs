use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};

use crate::transport::{LinkId, Transport};

/// Dials at one time.
const DIALS_MAX: usize = 32;
/// Dials that wait for their turn; one more has failed.
const WAITING_MAX: usize = 1_024;

/// Dials under way and dials that wait, each with a number that is never used again.
pub(super) struct Dials {
    transport: Arc<dyn Transport>,
    last: u64,
    under_way: FuturesUnordered<BoxFuture<'static, (u64, Option<LinkId>)>>,
    /// The number that the machine gave each; `None` once that machine is gone.
    asked: BTreeMap<u64, Option<u64>>,
    waiting: VecDeque<(u64, Vec<String>)>,
}

/// A dial that returned.
pub(super) struct Dialled {
    pub(super) dial: u64,
    /// The link, if somebody answered.
    pub(super) made: Option<LinkId>,
    /// The machine's number for it, if that machine is still there.
    pub(super) asked: Option<u64>,
}

impl Dials {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            last: 0,
            under_way: FuturesUnordered::new(),
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Dials now or later; false if too many wait.
    pub(super) fn begin(&mut self, asked: u64, addresses: Vec<String>) -> bool {
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.waiting.push_back((asked, addresses));
        self.start();
        true
    }

    /// The dials that have not returned.
    pub(super) fn under_way(&self) -> BTreeSet<u64> {
        self.asked.keys().copied().collect()
    }

    /// Forgets who asked: nobody is told of the dials under way, and those that wait are dropped.
    pub(super) fn abandon(&mut self) {
        self.waiting.clear();
        self.asked.values_mut().for_each(|asked| *asked = None);
    }

    /// Waits for the next dial to return, for ever if there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Dialled {
        let Some((dial, made)) = self.under_way.next().await else {
            return std::future::pending().await;
        };
        let asked = self.asked.remove(&dial).flatten();
        self.start();
        Dialled { dial, made, asked }
    }

    fn start(&mut self) {
        while self.under_way.len() < DIALS_MAX
            && let Some((asked, addresses)) = self.waiting.pop_front()
        {
            self.last += 1;
            let dial = self.last;
            self.asked.insert(dial, Some(asked));
            let transport = Arc::clone(&self.transport);
            self.under_way
                .push(Box::pin(async move { (dial, transport.connect(&addresses).await.ok()) }));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transport::memory::MemoryNetwork;

    #[tokio::test]
    async fn only_so_many_dials_are_under_way_and_only_so_many_wait() {
        let mut dials = Dials::new(Arc::new(MemoryNetwork::new().transport("")));
        let begun = (0..2_000).filter(|dial| dials.begin(*dial, Vec::new())).count();
        assert_eq!((begun, dials.under_way().len()), (DIALS_MAX + WAITING_MAX, DIALS_MAX));
        for asked in 0..begun {
            let dialled = dials.next().await;
            assert_eq!((dialled.made, dialled.asked), (None, Some(u64::try_from(asked).unwrap())));
        }
        assert!(dials.under_way().is_empty());
    }

    #[tokio::test]
    async fn nobody_is_told_of_a_dial_whose_asker_is_gone() {
        let network = MemoryNetwork::new();
        let _peer = network.transport("peer");
        let mut dials = Dials::new(Arc::new(network.transport("")));
        dials.begin(1, vec!["memory://peer".to_owned()]);
        dials.abandon();
        dials.begin(1, Vec::new());
        let mut told =
            [dials.next().await, dials.next().await].map(|it| (it.asked, it.made.is_some()));
        told.sort_unstable();
        assert_eq!(told, [(None, true), (Some(1), false)]);
    }
}
