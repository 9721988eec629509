//! What somebody cannot open is handed over by those who could, and waits for them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda::{
    ChannelId, Event, IdentityId, Node, ServerId,
    base::Result,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
    transport::memory::MemoryNetwork,
};
use tokio::sync::watch;

use crate::{
    event, over_both_stores,
    world::{Person, Place, converged, found, join, reads, until, within},
};

over_both_stores!(
    what_was_written_between_admission_and_addition_is_handed_over_to_the_newcomer,
    what_was_written_on_a_branch_that_somebody_never_held_is_read_by_all,
    while_its_author_is_away_somebody_else_hands_a_message_over,
    what_waits_is_asked_for_again_after_a_restart,
);

/// A store that stalls once it has kept an admission of somebody, until it is let go on.
struct Stalling {
    store: Arc<dyn ProviderStorageBackend>,
    after: Mutex<Option<IdentityId>>,
    stalls: watch::Sender<bool>,
}

impl Stalling {
    /// Whether it is to stall after this: once.
    fn stalls_after(&self, batch: &Batch) -> bool {
        let mut after = self.after.lock().unwrap();
        let Some(identity) = *after else { return false };
        let names = |value: &Bytes| value.windows(32).any(|part| part == identity.as_bytes());
        let admits = batch
            .changes()
            .iter()
            .filter(|change| *change.namespace() == Namespace::new("log"))
            .any(|change| change.value().is_some_and(names));
        admits && after.take().is_some()
    }
}

#[async_trait]
impl ProviderStorageBackend for Stalling {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.store.load(namespace, key).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        self.store.scan(namespace, page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let _ = self.stalls.subscribe().wait_for(|stalls| !*stalls).await;
        if self.stalls_after(&batch) {
            self.stalls.send_replace(true);
        }
        self.store.save(batch).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn capability(&self) -> Capability {
        self.store.capability()
    }
}

async fn what_was_written_between_admission_and_addition_is_handed_over_to_the_newcomer(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bob = Person::new(&network, "bob", place().await).open().await;
    let carol = Person::new(&network, "carol", place().await).open().await;
    let alice = alices.open().await;
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    bob.send_message(server, channel, "before Carol").await.unwrap();
    reads(&alice, server, channel, "before Carol").await;
    alice.close().await.unwrap();

    // Alice lets Carol in, and her disk stalls before she can add her.
    let (store, stalls) = (alices.place.store().await, watch::channel(false).0);
    let disk = Arc::new(Stalling { store, after: Mutex::new(None), stalls });
    let alice = alices.open_over(disk.clone()).await;
    // Once they have reconciled the control channel, and he has had news of it, what she writes there
    // reaches Bob without a word of his: a node whose disk stalls answers nobody.
    for name in ["den", "attic"] {
        let made = alice.create_channel(server, name).await.unwrap();
        until("the channel is known", async || {
            let channels = bob.channels(server).await.unwrap();
            if channels.iter().any(|known| known.channel == made) { Ok(()) } else { Err(channels) }
        })
        .await;
    }
    let mut events = bob.events();
    *disk.after.lock().unwrap() = Some(carol.identity());
    carol.join_server(&link).await.unwrap();
    is_member(&mut events, carol.identity()).await;
    bob.send_message(server, channel, "between").await.unwrap();
    disk.stalls.send_replace(false);
    reads(&carol, server, channel, "between").await;
    until("nothing waits any more", async || {
        let status = carol.server_status(server).await.unwrap();
        if status.unopened == 0 { Ok(()) } else { Err(status) }
    })
    .await;
    let texts = crate::world::texts(&carol, server, channel).await;
    assert!(!texts.contains(&"before Carol".to_owned()), "{texts:?}");
}

async fn is_member(events: &mut spacepanda::Events, wanted: IdentityId) {
    event(events, "somebody is a member", |event| match event {
        Event::MemberJoined { identity, .. } if *identity == wanted => Some(()),
        _ => None,
    })
    .await;
}

/// A server of two branches: on one Alice has let Carol in, on the other Bob has let Dave in.
struct Forked {
    people: [Person; 4],
    at: (ServerId, ChannelId),
}

impl Forked {
    async fn new(place: impl AsyncFn() -> Place) -> Self {
        let network = MemoryNetwork::new();
        let person = async |name| Person::new(&network, name, place().await);
        let people = [
            person("alice").await,
            person("bob").await,
            person("carol").await,
            person("dave").await,
        ];
        let (alice, bob) = (people[0].open().await, people[1].open().await);
        let (server, channel, link) = found(&alice).await;
        join(&bob, &link).await;
        converged(&[&alice, &bob], server).await;
        let bobs_link = bob.create_invite(server).await.unwrap();
        within("Alice knows Bob's invite", converged(&[&alice, &bob], server)).await;
        bob.close().await.unwrap();
        let carol = people[2].open().await;
        join(&carol, &link).await;
        for node in [alice, carol] {
            node.close().await.unwrap();
        }
        let (bob, dave) = (people[1].open().await, people[3].open().await);
        join(&dave, &bobs_link).await;
        for node in [bob, dave] {
            node.close().await.unwrap();
        }
        Self { people, at: (server, channel) }
    }

    async fn open<const N: usize>(&self, who: [usize; N]) -> [Node; N] {
        let mut nodes = Vec::new();
        for index in who {
            nodes.push(self.people[index].open().await);
        }
        nodes.try_into().unwrap_or_else(|_| panic!("as many as were asked for"))
    }

    /// Waits until a node knows that all four are members.
    async fn knows_all(&self, node: &Node) {
        until("all four are known", async || {
            let members = node.members(self.at.0).await.unwrap();
            if members.len() == 4 { Ok(()) } else { Err(members) }
        })
        .await;
    }

    async fn say(&self, node: &Node, text: &str) {
        node.send_message(self.at.0, self.at.1, text).await.unwrap();
    }

    async fn reads(&self, node: &Node, text: &str) {
        reads(node, self.at.0, self.at.1, text).await;
    }
}

async fn what_was_written_on_a_branch_that_somebody_never_held_is_read_by_all(
    place: impl AsyncFn() -> Place,
) {
    let forked = Forked::new(place).await;
    let nodes = forked.open([0, 1, 2, 3]).await;
    let [_, _, carol, dave] = &nodes;
    for node in [carol, dave] {
        forked.knows_all(node).await;
    }
    // Neither was in the state in which the other stands.
    forked.say(carol, "from Carol's side").await;
    forked.say(dave, "from Dave's side").await;
    for node in &nodes {
        forked.reads(node, "from Carol's side").await;
        forked.reads(node, "from Dave's side").await;
    }
}

async fn while_its_author_is_away_somebody_else_hands_a_message_over(
    place: impl AsyncFn() -> Place,
) {
    let forked = Forked::new(place).await;
    let [alice, bob, carol] = forked.open([0, 1, 2]).await;
    forked.knows_all(&carol).await;
    forked.say(&carol, "I am off").await;
    for node in [&alice, &bob] {
        forked.reads(node, "I am off").await;
    }
    carol.close().await.unwrap();
    let [dave] = forked.open([3]).await;
    forked.reads(&dave, "I am off").await;
}

async fn what_waits_is_asked_for_again_after_a_restart(place: impl AsyncFn() -> Place) {
    let forked = Forked::new(place).await;
    let [alice, bob, carol] = forked.open([0, 1, 2]).await;
    forked.knows_all(&carol).await;
    for number in 0..40 {
        forked.say(&carol, &format!("{number}")).await;
    }
    for node in [&alice, &bob] {
        forked.reads(node, "39").await;
    }
    carol.close().await.unwrap();
    // Dave's node stops as soon as it lists anything of it, opened or not.
    let [dave] = forked.open([3]).await;
    until("Dave lists something", async || {
        let listed = crate::world::messages(&dave, forked.at.0, forked.at.1).await;
        if listed.is_empty() { Err(()) } else { Ok(()) }
    })
    .await;
    dave.close().await.unwrap();
    let [dave] = forked.open([3]).await;
    for number in 0..40 {
        forked.reads(&dave, &format!("{number}")).await;
    }
}
