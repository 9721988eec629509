//! The node: a handle that calls, and the driver that carries out what the machine decides.

mod calls;
mod dials;
mod driver;
mod ending;
mod events;
mod fault;
mod links;
mod machinery;
mod mirror;
mod mirroring;
mod queue;
mod reads;
mod release;
mod saves;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use self::{
    calls::{InviteOptions, MessagePage, ServerOptions},
    events::{Events, Missed},
};
use self::{
    driver::{Driver, Parts, REQUESTS_MAX, Request},
    ending::closed,
    events::EVENTS_MAX,
    machinery::Machinery,
    mirroring::Mirroring,
    reads::Kept,
};
use super::{
    builder::NodeBuilder,
    context::IdentityContext,
    engine::{AppError, Command, Event, Machine, Reply},
    opening,
};
use crate::{
    base::{DeviceId, IdentityId},
    store::ProviderStorageBackend,
    transport::Transport,
};

/// A handle of a running node; its clones are the same node.
///
/// Make one with [`Node::builder`]. Once every handle is dropped the node closes by itself, as by
/// [`close`](Self::close), without anybody waiting for it; its [`Events`] do not keep it open.
///
/// Every call answers once what it did is durable. Its errors carry stable codes: `node.closed`,
/// `store.failed` (retryable; nothing of it was sent) and those of the call itself.
///
/// # Cancel safety
/// A call whose future is dropped is made whole or not at all, and its answer is lost. One that reads
/// only can be dropped at any time; for each of the others it says where to look whether it was made.
#[derive(Clone)]
pub struct Node {
    context: IdentityContext,
    handle: Handle,
}

#[derive(Clone)]
struct Handle {
    requests: mpsc::Sender<Request>,
    events: broadcast::WeakSender<Event>,
    closing: Arc<watch::Sender<bool>>,
    ended: watch::Receiver<Option<Result<(), AppError>>>,
}

impl Node {
    /// Describes a node that is to be opened.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    /// Opens what the builder has put together; the node has its identity when it returns.
    pub(super) async fn open(
        name: Option<String>,
        backend: Arc<dyn ProviderStorageBackend>,
        transport: Arc<dyn Transport>,
        state_folder: Option<PathBuf>,
    ) -> Result<Self, AppError> {
        let machine = move || Machine::to_be_judged(name.clone());
        Self::open_with(Box::new(machine), backend, transport, state_folder).await
    }

    async fn open_with<M: Machinery>(
        machine: Box<dyn Fn() -> M + Send>,
        backend: Arc<dyn ProviderStorageBackend>,
        transport: Arc<dyn Transport>,
        state_folder: Option<PathBuf>,
    ) -> Result<Self, AppError> {
        let kept = match Kept::open(Arc::clone(&backend)).await {
            Ok(kept) => kept,
            Err(error) => {
                opening::let_go(&*backend, &[transport]).await;
                return Err(opening::unread(&error));
            }
        };
        let (requests, to_answer) = mpsc::channel(REQUESTS_MAX);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (closing, is_closing) = watch::channel(false);
        let (has_ended, ended) = watch::channel(None);
        let (started, starts) = oneshot::channel();
        let (device, is_device) = watch::channel(None);
        let handle =
            Handle { requests, events: events.downgrade(), closing: Arc::new(closing), ended };
        let driver = Driver::new(Parts {
            machine,
            backend: Arc::clone(&backend),
            kept,
            mirroring: Mirroring::new(state_folder),
            transport,
            requests: to_answer,
            events,
            started,
            closing: is_closing,
            device,
        });
        tokio::spawn(async move {
            let ended = driver.run().await;
            has_ended.send_replace(Some(ended));
        });
        match starts.await {
            Ok(Ok((identity, device))) => {
                let context = IdentityContext::new(identity, (device, is_device), backend);
                Ok(Self { context, handle })
            }
            Ok(Err(error)) => {
                // It lets go of the store and the transports first, so that one can open them again.
                let _ = handle.wait_ended().await;
                Err(error)
            }
            Err(_) => Err(handle.why_ended().await),
        }
    }

    /// Whose node it is, which device, and what its store promises.
    pub fn context(&self) -> &IdentityContext {
        &self.context
    }

    /// Whose node it is.
    pub fn identity(&self) -> IdentityId {
        self.context.identity()
    }

    /// Which device it is now; see [`Self::renew_device`].
    pub fn device(&self) -> DeviceId {
        self.context.device()
    }

    /// Listens to what happens from now on. Events are hints and are not stored: after [`Missed`] and after
    /// [`Event::Reloaded`] read again whatever is shown.
    pub fn events(&self) -> Events {
        Events::new(&self.handle.events)
    }

    /// Closes the node in good order: no further call is taken, those under way are answered, what was
    /// decided is saved, and the links, transports and store are let go of. A second call waits for the
    /// first.
    ///
    /// # Cancel safety
    /// Once polled, the node closes even if the future is dropped.
    ///
    /// # Errors
    /// Why the node had ended before, or could not save or let go.
    pub async fn close(&self) -> Result<(), AppError> {
        self.handle.closing.send_replace(true);
        self.handle.wait_ended().await
    }

    async fn call(&self, command: Command) -> Result<Reply, AppError> {
        self.handle.call(command).await
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Handle {
    async fn call(&self, command: Command) -> Result<Reply, AppError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Request { command, answer }).await;
        if sent.is_err() {
            return Err(self.why_ended().await);
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(self.why_ended().await),
        }
    }

    async fn wait_ended(&self) -> Result<(), AppError> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        // Without a word the driver was cut off with its runtime.
        ended.ok().and_then(|ended| ended.clone()).unwrap_or_else(|| Err(closed()))
    }

    async fn why_ended(&self) -> AppError {
        self.wait_ended().await.err().unwrap_or_else(closed)
    }
}
