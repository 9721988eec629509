//! A node that dies in the middle of a save, as a process does: nothing of it goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda::{
    Node,
    base::Result,
    store::{Batch, Capability, Change, Namespace, Page, ProviderStorageBackend},
};
use tokio::{runtime::Runtime, sync::watch};

use crate::world::{Person, within};

/// How long the threads of a node that died may take to stop.
const STOPPING_MAX: Duration = Duration::from_secs(10);

/// In which save a node dies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// That of a message of one's own, from the drafts into the log.
    MessageWritten,
    /// That of a new state of the group.
    StateKept,
}

impl Moment {
    fn is_in(self, batch: &Batch) -> bool {
        batch.changes().iter().any(|change| match (self, change) {
            (Self::MessageWritten, Change::Delete { namespace, .. }) => {
                namespace.as_str() == "draft"
            }
            (Self::StateKept, Change::Put { namespace, .. }) => namespace.as_str() == "tree",
            _ => false,
        })
    }
}

/// Whether what was to be saved is kept when the node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// A store in which one save never returns.
struct Mortal {
    store: Arc<dyn ProviderStorageBackend>,
    moment: Moment,
    side: Side,
    armed: AtomicBool,
    died: watch::Sender<bool>,
}

#[async_trait]
impl ProviderStorageBackend for Mortal {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.store.load(namespace, key).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        self.store.scan(namespace, page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        if !self.moment.is_in(&batch) || !self.armed.swap(false, Ordering::SeqCst) {
            return self.store.save(batch).await;
        }
        if self.side == Side::After {
            self.store.save(batch).await?;
        }
        self.died.send_replace(true);
        std::future::pending().await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn capability(&self) -> Capability {
        self.store.capability()
    }
}

/// A node on threads of its own, which end with it.
pub(crate) struct Doomed {
    pub(crate) node: Node,
    mortal: Arc<Mortal>,
    runtime: Runtime,
}

impl Doomed {
    pub(crate) async fn open(person: &Arc<Person>, moment: Moment, side: Side) -> Self {
        let mortal = Arc::new(Mortal {
            store: person.place.store().await,
            moment,
            side,
            armed: AtomicBool::new(false),
            died: watch::Sender::new(false),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (person, store) = (Arc::clone(person), Arc::clone(&mortal));
        let node = runtime.spawn(async move { person.open_over(store).await }).await.unwrap();
        Self { node, mortal, runtime }
    }

    /// Lets the next such moment be the last.
    pub(crate) fn arm(&self) {
        self.mortal.armed.store(true, Ordering::SeqCst);
    }

    /// Waits for the moment, and ends every thread of the node where it stands.
    pub(crate) async fn die(self) {
        let Self { node, mortal, runtime } = self;
        let mut died = mortal.died.subscribe();
        within("the moment to die", died.wait_for(|died| *died)).await.unwrap();
        let stopping = move || runtime.shutdown_timeout(STOPPING_MAX);
        tokio::task::spawn_blocking(stopping).await.unwrap();
        drop(node);
    }
}
