use std::sync::Arc;

use quinn::{Endpoint, Incoming};
use tokio::{sync::Semaphore, time::timeout};

use crate::{DIAL_MAX, link, shared::Shared, tasks::Tasks};

/// Handshakes of diallers at one time.
pub(crate) const HANDSHAKES_MAX: usize = 256;
/// From as many handshakes on, a dialler must first prove that it receives at its address.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Makes a link of every connection that arrives, until the transport closes.
pub(crate) async fn all(endpoint: Endpoint, shared: Arc<Shared>, tasks: Tasks) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
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

fn take(incoming: Incoming, handshakes: &Arc<Semaphore>, shared: &Arc<Shared>, tasks: &Tasks) {
    let underway = HANDSHAKES_MAX - handshakes.available_permits();
    if must_prove(underway, incoming.remote_address_validated()) && incoming.may_retry() {
        // It fails only if a retry is not allowed, which was just asked.
        let _ = incoming.retry();
        return;
    }
    let permit = Arc::clone(handshakes).try_acquire_owned();
    let Some(permit) = permit.ok().filter(|_| shared.takes_links()) else {
        incoming.refuse();
        return;
    };
    let shared = Arc::clone(shared);
    tasks.start(async move {
        let _permit = permit;
        if let Ok(Some(wire)) = timeout(DIAL_MAX, link::answer(incoming)).await {
            // A link too many, or one while closing, ends here; the dialler is told.
            let _ = shared.add(wire);
        }
    });
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
}
