use tokio::sync::broadcast;

use crate::app::engine::Event;

/// Events that wait for a subscriber; the oldest are dropped when there are more.
pub(super) const EVENTS_MAX: usize = 1_024;

/// So many events were dropped because their reader was too slow: read anew what they were about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct Missed(pub u64);

/// What happens on a node, from the moment of [`Node::events`](super::Node::events) on.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(super) fn new(sender: &broadcast::WeakSender<Event>) -> Self {
        match sender.upgrade() {
            Some(sender) => Self { receiver: sender.subscribe() },
            None => Self { receiver: broadcast::channel(1).1 },
        }
    }

    /// Waits for the next event; `None` once the node is closed and all are read.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost if the future is dropped.
    ///
    /// # Errors
    /// [`Missed`] in the place of events that were dropped; the next call goes on after them.
    pub async fn next(&mut self) -> Option<Result<Event, Missed>> {
        match self.receiver.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Err(Missed(count))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
