//! What whole stories are played with: nodes over an in-memory network, each on a store that outlives
//! it, and waits that end by themselves.
#![allow(dead_code, reason = "each test uses its part")]

use std::{fmt::Debug, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda::{
    ChannelId, Member, MessageId, MessageState, Node, ServerId, Text, backends,
    base::Result,
    registry::Setup,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
    transport::memory::MemoryNetwork,
};
use tempfile::TempDir;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(10);
const PAGE: usize = 100;

/// A memory store that stays when a node closes it, as a file does.
struct Lasting(Arc<dyn ProviderStorageBackend>);

#[async_trait]
impl ProviderStorageBackend for Lasting {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.0.load(namespace, key).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        self.0.scan(namespace, page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        self.0.save(batch).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn capability(&self) -> Capability {
        self.0.capability()
    }
}

/// Where one person keeps everything.
pub(crate) enum Place {
    Memory(Arc<dyn ProviderStorageBackend>),
    Sqlite(TempDir),
}

impl Place {
    pub(crate) async fn memory() -> Self {
        Self::Memory(backends().open_store("memory:", Setup::new()).await.unwrap())
    }

    pub(crate) async fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Opens the store; nobody else may have it open.
    pub(crate) async fn store(&self) -> Arc<dyn ProviderStorageBackend> {
        match self {
            Self::Memory(store) => Arc::new(Lasting(Arc::clone(store))),
            Self::Sqlite(folder) => {
                // A node that was ended without a word lets go of it a moment later.
                let url = sqlite_url(folder.path());
                until("open the store", async || backends().open_store(&url, Setup::new()).await)
                    .await
            }
        }
    }
}

fn sqlite_url(folder: &Path) -> String {
    format!("sqlite://{}/node.db", folder.display())
}

/// One person: a name on the network and a place that outlives every node of theirs.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// What is kept outside the place.
    pub(crate) state: Arc<TempDir>,
    network: MemoryNetwork,
}

impl Person {
    pub(crate) fn new(network: &MemoryNetwork, name: &'static str, place: Place) -> Self {
        let state = Arc::new(tempfile::tempdir().unwrap());
        Self { name, place, state, network: network.clone() }
    }

    /// Opens this person's node where the one before it ended.
    pub(crate) async fn open(&self) -> Node {
        self.open_over(self.place.store().await).await
    }

    pub(crate) async fn open_over(&self, store: Arc<dyn ProviderStorageBackend>) -> Node {
        let transport = Arc::new(self.network.transport(self.name));
        let builder = Node::builder().name(self.name).store_with(store).transport_with(transport);
        let builder = builder.state_folder(self.state.path());
        within("open a node", builder.open()).await.unwrap()
    }
}

/// Waits for `future`, or fails with what it was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(PATIENCE, future).await else { panic!("too slow: {what}") };
    done
}

/// Asks again and again until the answer is `Ok`; fails with the last one that was not.
pub(crate) async fn until<T, E: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> std::result::Result<T, E>,
) -> T {
    let mut turns = tokio::time::interval(POLL);
    let mut last = None;
    let answered = async {
        loop {
            turns.tick().await;
            match ask().await {
                Ok(answer) => break answer,
                Err(not_yet) => last = Some(not_yet),
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await;
    answered.unwrap_or_else(|_| panic!("too slow: {what}; last: {last:?}"))
}

/// A channel's messages as two people must agree on them.
pub(crate) async fn messages(
    node: &Node,
    server: ServerId,
    channel: ChannelId,
) -> Vec<(MessageId, String)> {
    let page = node.list_messages(server, channel, None, PAGE).await.unwrap();
    page.messages.into_iter().map(|message| (message.id, message.text.to_string())).collect()
}

/// The texts of a channel that can be read.
pub(crate) async fn texts(node: &Node, server: ServerId, channel: ChannelId) -> Vec<String> {
    let Ok(page) = node.list_messages(server, channel, None, PAGE).await else { return Vec::new() };
    let known = page.messages.into_iter().filter_map(|message| match message.text {
        Text::Known(text) => Some(text),
        Text::Waiting { .. } | Text::Unreadable { .. } => None,
    });
    known.collect()
}

/// Waits until `node` can read `text`.
pub(crate) async fn reads(node: &Node, server: ServerId, channel: ChannelId, text: &str) {
    until(&format!("read {text:?}"), async || {
        let held = texts(node, server, channel).await;
        if held.iter().any(|held| held == text) { Ok(()) } else { Err(held) }
    })
    .await;
}

/// Where one of one's own messages is.
pub(crate) async fn state(
    node: &Node,
    (server, channel): (ServerId, ChannelId),
    id: MessageId,
) -> MessageState {
    let page = node.list_messages(server, channel, None, PAGE).await.unwrap();
    page.messages.iter().find(|message| message.id == id).expect("it is listed").state
}

/// Waits until one of one's own messages is delivered.
pub(crate) async fn delivered(node: &Node, at: (ServerId, ChannelId), id: MessageId) {
    until("a message is delivered", async || match state(node, at, id).await {
        MessageState::Delivered => Ok(()),
        other => Err(other),
    })
    .await;
}

/// Who is in, under which names and with which roles; who is online is each node's own.
pub(crate) async fn roster(node: &Node, server: ServerId) -> Vec<(String, Vec<String>)> {
    let members = node.members(server).await.unwrap();
    members.into_iter().map(|Member { name, roles, .. }| (name, roles)).collect()
}

/// Waits until all have one state hash, and stand on one head; then checks that all agree.
pub(crate) async fn converged(nodes: &[&Node], server: ServerId) {
    until("all have one state", async || {
        let mut all = Vec::new();
        for node in nodes {
            all.push(node.server_status(server).await.map_err(|error| error.to_string())?);
        }
        let settled = all.iter().all(|status| {
            status.state_hash == all[0].state_hash
                && status.head == all[0].head
                && status.stand == status.head
                && status.epoch.is_some()
        });
        if settled { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    let first = roster(nodes[0], server).await;
    let channels = nodes[0].channels(server).await.unwrap();
    for node in &nodes[1..] {
        assert_eq!(roster(node, server).await, first);
        assert_eq!(node.channels(server).await.unwrap(), channels);
    }
}

/// Joins by a link and waits until that is complete.
pub(crate) async fn join(node: &Node, link: &str) -> (ServerId, ChannelId) {
    within("join", node.join(link)).await.unwrap()
}

/// A server of `node`'s, with its first channel and a link into it.
pub(crate) async fn found(node: &Node) -> (ServerId, ChannelId, String) {
    let (server, channel) = node.create_server("Pandas").await.unwrap();
    let link = node.create_invite(server).await.unwrap();
    (server, channel, link)
}
