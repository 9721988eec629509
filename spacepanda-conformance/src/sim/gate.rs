use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
};

/// What becomes of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Made,
    Failed,
}

/// A backend whose saves wait until the world says what becomes of them; everything else it answers at
/// once.
pub(super) struct Gate {
    backend: Arc<dyn ProviderStorageBackend>,
    fate: Mutex<Option<Fate>>,
}

impl Gate {
    pub(super) fn new(backend: Arc<dyn ProviderStorageBackend>) -> Self {
        Self { backend, fate: Mutex::new(None) }
    }

    /// Says what becomes of the save that waits.
    pub(super) fn decide(&self, fate: Fate) {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(fate);
    }

    /// Waits for its fate. Whoever waits is asked again once it was decided, and needs no waking.
    async fn fate(&self) -> Fate {
        let take = || self.fate.lock().unwrap_or_else(PoisonError::into_inner).take();
        poll_fn(|_| take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

#[async_trait]
impl ProviderStorageBackend for Gate {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.backend.load(namespace, key).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        self.backend.scan(namespace, page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        match self.fate().await {
            Fate::Made => self.backend.save(batch).await,
            Fate::Failed => {
                Err(Error::new(ErrorKind::Unavailable, "save: the simulated disk refuses"))
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.backend.close().await
    }

    fn capability(&self) -> Capability {
        self.backend.capability()
    }
}

/// Waits for what a backend answers, on this thread: a real one has threads of its own.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return done;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// Begins what goes on until its gate lets it end.
pub(super) fn begin<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
