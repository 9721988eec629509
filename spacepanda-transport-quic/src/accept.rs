use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use quinn::{Endpoint, Incoming};
use tokio::{sync::oneshot, time::timeout};

use crate::{DIAL_MAX, link, shared::Shared, tasks::Tasks};

/// Handshakes of diallers at one time. The oldest yields to one more, so that nobody who dials and says
/// nothing shuts the door for others.
pub(crate) const HANDSHAKES_MAX: usize = 256;
/// From as many handshakes on, a dialler must first prove that it receives at its address.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Makes a link of every connection that arrives, until the transport closes.
pub(crate) async fn all(endpoint: Endpoint, shared: Arc<Shared>, tasks: Tasks) {
    let handshakes = Arc::new(Handshakes::default());
    loop {
        let incoming = tokio::select! {
            biased;
            () = shared.until_closing() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        take(incoming, &handshakes, &shared, &tasks);
    }
}

fn take(incoming: Incoming, handshakes: &Arc<Handshakes>, shared: &Arc<Shared>, tasks: &Tasks) {
    let underway = handshakes.count();
    if must_prove(underway, incoming.remote_address_validated()) && incoming.may_retry() {
        // It fails only if a retry is not allowed, which was just asked.
        let _ = incoming.retry();
        return;
    }
    if !shared.takes_links() {
        incoming.refuse();
        return;
    }
    let (number, yielded) = handshakes.begin();
    let (shared, handshakes) = (Arc::clone(shared), Arc::clone(handshakes));
    tasks.start(async move {
        let wire = tokio::select! {
            wire = timeout(DIAL_MAX, link::answer(incoming)) => wire.ok().flatten(),
            _ = yielded => None,
        };
        handshakes.end(number);
        if let Some(wire) = wire {
            // A link too many, or one while closing, ends here; the dialler is told.
            let _ = shared.add(wire);
        }
    });
}

/// The handshakes under way, by age.
#[derive(Default)]
struct Handshakes(Mutex<Underway>);

#[derive(Default)]
struct Underway {
    last: u64,
    /// Dropping one ends its handshake.
    by_age: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Handshakes {
    /// Begins one: its number, and what ends once it must yield.
    fn begin(&self) -> (u64, oneshot::Receiver<()>) {
        let mut underway = self.underway();
        if underway.by_age.len() >= HANDSHAKES_MAX {
            underway.by_age.pop_first();
        }
        underway.last += 1;
        let (yields, yielded) = oneshot::channel();
        let number = underway.last;
        underway.by_age.insert(number, yields);
        (number, yielded)
    }

    fn end(&self, number: u64) {
        self.underway().by_age.remove(&number);
    }

    fn count(&self) -> usize {
        self.underway().by_age.len()
    }

    fn underway(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().expect("no panic while held")
    }
}

fn must_prove(underway: usize, proven: bool) -> bool {
    underway >= HANDSHAKES_UNPROVEN_MAX && !proven
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_load_a_dialler_must_prove_its_address_once() {
        assert!(!must_prove(0, false));
        assert!(must_prove(HANDSHAKES_UNPROVEN_MAX, false));
        assert!(!must_prove(HANDSHAKES_UNPROVEN_MAX, true));
    }

    #[test]
    fn of_too_many_handshakes_the_oldest_yields() {
        let handshakes = Handshakes::default();
        let mut begun: Vec<_> = (0..=HANDSHAKES_MAX).map(|_| handshakes.begin().1).collect();
        assert_eq!(handshakes.count(), HANDSHAKES_MAX);
        assert_eq!(begun[0].try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(begun[1].try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }
}
