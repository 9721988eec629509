//! The scene of every attack: Alice and Bob talk, and Mallory, a member like them, turned.

use spacepanda::{
    ChannelId, MessageId, Node, ServerId,
    base::{Floors, Frontier, LogEntry, Secret},
    store::{CrdtStore, LogStore},
    transport::memory::MemoryNetwork,
};
use spacepanda_core::state::{authority::control_channel, identity::KeyPair, link::Me};

use crate::{
    puppet::{Puppet, identity_key, take_over},
    world::{Person, Place, converged, delivered, found, join, messages, reads, roster},
};

pub(crate) struct Scene {
    pub(crate) network: MemoryNetwork,
    pub(crate) alice: Node,
    pub(crate) bob: Node,
    pub(crate) server: ServerId,
    pub(crate) channel: ChannelId,
    pub(crate) link: String,
    /// Mallory's device, whose node is closed.
    pub(crate) mallory: Me,
    mallorys: Person,
    pub(crate) alices: Person,
    before: Seen,
}

/// What the honest would notice.
type Seen = (Vec<[u8; 32]>, Vec<Vec<(MessageId, String)>>, Vec<Vec<(String, Vec<String>)>>);

impl Scene {
    pub(crate) async fn set() -> Self {
        let network = MemoryNetwork::new();
        let alices = Person::new(&network, "alice", Place::memory().await);
        let alice = alices.open().await;
        let bob = Person::new(&network, "bob", Place::sqlite().await).open().await;
        let mallorys = Person::new(&network, "mallory", Place::memory().await);
        let mallory = mallorys.open().await;
        let (server, channel, link) = found(&alice).await;
        join(&bob, &link).await;
        join(&mallory, &link).await;
        for node in [&alice, &bob, &mallory] {
            let id = node.send_message(server, channel, "hello").await.unwrap();
            delivered(node, (server, channel), id).await;
        }
        converged(&[&alice, &bob, &mallory], server).await;
        mallory.close().await.unwrap();
        let mallory = take_over(&mallorys.place).await;
        let before = (Vec::new(), Vec::new(), Vec::new());
        let mut scene =
            Self { network, alice, bob, server, channel, link, mallory, mallorys, alices, before };
        scene.before = scene.seen().await;
        scene
    }

    async fn seen(&self) -> Seen {
        let mut seen: Seen = Default::default();
        for node in [&self.alice, &self.bob] {
            seen.0.push(node.server_status(self.server).await.unwrap().state_hash);
            seen.1.push(messages(node, self.server, self.channel).await);
            seen.2.push(roster(node, self.server).await);
        }
        seen
    }

    /// A link to Alice as Mallory.
    pub(crate) async fn puppet(&self) -> Puppet {
        self.puppet_as(self.mallory.clone(), None).await.expect("a member is talked with")
    }

    pub(crate) async fn puppet_as(&self, me: Me, meeting: Option<Secret<32>>) -> Option<Puppet> {
        Puppet::dial(&self.network, "alice", me, meeting).await
    }

    /// Both answer, and nothing that anybody sees has changed.
    pub(crate) async fn check_unharmed(&self, after: &str) {
        assert_eq!(self.seen().await, self.before, "changed by {after}");
    }

    /// Honest traffic goes on, both ways, on the link that there was.
    pub(crate) async fn check_goes_on(&self) {
        let at = (self.server, self.channel);
        let id = self.alice.send_message(at.0, at.1, "still here").await.unwrap();
        reads(&self.bob, at.0, at.1, "still here").await;
        delivered(&self.alice, at, id).await;
        self.bob.send_message(at.0, at.1, "so am I").await.unwrap();
        reads(&self.alice, at.0, at.1, "so am I").await;
        converged(&[&self.alice, &self.bob], at.0).await;
    }

    /// The key of Mallory's identity.
    pub(crate) async fn mallorys_identity(&self) -> KeyPair {
        identity_key(&self.mallorys.place).await
    }

    pub(crate) fn control(&self) -> ChannelId {
        control_channel(&self.server)
    }

    /// What Mallory's node held of a channel.
    pub(crate) async fn log(&self, channel: ChannelId) -> (Frontier, Vec<LogEntry>) {
        log(&self.mallorys.place, channel).await
    }

    /// What Alice's node holds of a channel.
    pub(crate) async fn alices_log(&self, channel: ChannelId) -> Vec<LogEntry> {
        log(&self.alices.place, channel).await.1
    }
}

pub(crate) async fn log(place: &Place, channel: ChannelId) -> (Frontier, Vec<LogEntry>) {
    let store = LogStore::open(place.store().await).await.unwrap();
    let frontier = store.frontier(&channel).await.unwrap();
    let floors: Floors = frontier.tips().map(|tip| (tip.device, 1)).collect();
    let none = Frontier::new();
    let entries = store.missing(&channel, &floors, &none, 500, 8_000_000).await.unwrap();
    (frontier, entries)
}
