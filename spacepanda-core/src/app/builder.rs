//! How a node is put together: a name, a store, transports.

use std::{fmt, path::PathBuf, sync::Arc};

use super::{announce, engine::AppError, node::Node, opening};
use crate::{
    registry::{Registry, Setup},
    store::ProviderStorageBackend,
    transport::{Transport, paths::Paths},
};

/// Describes a node; [`open`](Self::open) opens it.
///
/// A store is needed. Without a transport the node works alone, on what it holds.
#[must_use]
pub struct NodeBuilder {
    name: Option<String>,
    store: Option<Store>,
    listen: Vec<String>,
    announce: Vec<String>,
    transports: Vec<Arc<dyn Transport>>,
    folder: Option<PathBuf>,
    state_folder: Option<PathBuf>,
    registry: Option<Registry>,
}

enum Store {
    Url(String),
    Instance(Arc<dyn ProviderStorageBackend>),
}

impl NodeBuilder {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            store: None,
            listen: Vec::new(),
            announce: Vec::new(),
            transports: Vec::new(),
            folder: None,
            state_folder: None,
            registry: None,
        }
    }

    /// What the node's person is called at first; it is needed where the store holds no identity yet.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps everything in the store at a URL, such as `sqlite:///folder/file.db` or `memory:`.
    pub fn store(mut self, url: impl Into<String>) -> Self {
        self.store = Some(Store::Url(url.into()));
        self
    }

    /// Keeps everything in a store that is at hand. The node alone writes to it, and closes it.
    pub fn store_with(mut self, store: Arc<dyn ProviderStorageBackend>) -> Self {
        self.store = Some(Store::Instance(store));
        self
    }

    /// Listens, and dials, by the transport at a URL, such as `quic://0.0.0.0:0`. May be called several
    /// times.
    pub fn listen(mut self, url: impl Into<String>) -> Self {
        self.listen.push(url.into());
        self
    }

    /// Tells others to dial `address`, such as `quic://192.0.2.7:4433`, in place of the addresses that
    /// the transports find themselves: where a router forwards a port. May be called several times.
    pub fn announce(mut self, address: impl Into<String>) -> Self {
        self.announce.push(address.into());
        self
    }

    /// Uses a transport that is at hand. The node alone uses it, and closes it. May be called several
    /// times.
    pub fn transport_with(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transports.push(transport);
        self
    }

    /// Where backends may keep files of their own, such as the port last used.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Where it is kept how far this device has come, so that a store that was restored from a copy is
    /// noticed at once: a folder that is not copied with the store, such as the system's for state. It
    /// may serve many nodes. Without it a durable store that is opened again waits for a member to say
    /// so before it sends anything, or for [`Node::confirm_only_copy`].
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// Opens URLs by this registry, instead of everything that was linked.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Opens the node; call it within a tokio runtime. When it returns, the node has its identity and
    /// its servers, and listens.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything is let go of, though perhaps a moment later.
    ///
    /// # Errors
    /// `store.none`, `store.scheme_unknown`, `store.url_invalid`, `store.locked`, `store.newer`,
    /// `store.corrupt`, `store.unavailable` (retryable) for the store; `listen.scheme_unknown`,
    /// `listen.url_invalid`, `listen.failed` for a transport; `announce.scheme_unknown`,
    /// `announce.url_invalid`, `announce.too_many` for what is announced; `store.failed` or the machine's own, such
    /// as for a missing name, for what came after. Nothing stays open then.
    pub async fn open(self) -> Result<Node, AppError> {
        let registry = self.registry.unwrap_or_else(opening::linked);
        let mut setup = Setup::new();
        setup.folder = self.folder;
        announce::check(&self.announce, &registry, !self.transports.is_empty())?;
        let store = match self.store {
            Some(Store::Instance(store)) => store,
            Some(Store::Url(url)) => opening::store(&registry, &url, setup.clone()).await?,
            None => return Err(opening::no_store()),
        };
        let mut transports = self.transports;
        for url in self.listen {
            match opening::transport(&registry, &url, setup.clone()).await {
                Ok(transport) => transports.push(transport),
                Err(error) => {
                    opening::let_go(&*store, &transports).await;
                    return Err(error);
                }
            }
        }
        let paths = Paths::new(transports).announcing(self.announce);
        Node::open(self.name, store, Arc::new(paths), self.state_folder).await
    }
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs are left out: they may hold a password.
        f.debug_struct("NodeBuilder").field("listen", &self.listen.len()).finish_non_exhaustive()
    }
}
