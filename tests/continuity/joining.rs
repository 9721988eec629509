//! Joins that a restart interrupts, and joins by others than the founder.

use std::{fs, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use spacepanda::{
    Event, JoinStep,
    base::Result,
    store::{Batch, Capability, Namespace, Page, ProviderStorageBackend},
    transport::memory::MemoryNetwork,
};
use tokio::sync::Mutex;

use crate::{
    event, over_both_stores,
    world::{Person, Place, converged, found, join, messages, reads, texts, within},
};

/// Less than any pause after which something is tried again.
const AT_ONCE: Duration = Duration::from_secs(4);

over_both_stores!(
    a_key_package_made_before_a_restart_opens_a_welcome_that_comes_after_it,
    somebody_joins_by_another_member_while_the_founder_is_away,
    of_two_who_could_add_somebody_one_does,
);

async fn a_key_package_made_before_a_restart_opens_a_welcome_that_comes_after_it(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let alice = alices.open().await;
    let (server, channel, link) = found(&alice).await;
    alice.close().await.unwrap();

    let bob = bobs.open().await;
    assert_eq!(bob.join_server(&link).await.unwrap(), server);
    assert!(!bob.servers().await.unwrap()[0].joined);
    bob.close().await.unwrap();
    let alice = alices.open().await;
    let bob = bobs.open().await;
    // The same link asks again by the same request; a new one would make a new key package.
    assert_eq!(join(&bob, &link).await, (server, channel));
    alice.send_message(server, channel, "welcome").await.unwrap();
    reads(&bob, server, channel, "welcome").await;
    bob.send_message(server, channel, "thanks").await.unwrap();
    reads(&alice, server, channel, "thanks").await;
    converged(&[&alice, &bob], server).await;
}

async fn somebody_joins_by_another_member_while_the_founder_is_away(
    place: impl AsyncFn() -> Place,
) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let carols = Person::new(&network, "carol", place().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    alice.send_message(server, channel, "before Carol").await.unwrap();
    reads(&bob, server, channel, "before Carol").await;
    alice.close().await.unwrap();

    let link = bob.create_invite(server).await.unwrap();
    assert_eq!(join(&carol, &link).await, (server, channel));
    carol.send_message(server, channel, "hello Bob").await.unwrap();
    reads(&bob, server, channel, "hello Bob").await;
    let alice = alices.open().await;
    reads(&alice, server, channel, "hello Bob").await;
    alice.send_message(server, channel, "hello Carol").await.unwrap();
    reads(&carol, server, channel, "hello Carol").await;
    reads(&bob, server, channel, "hello Carol").await;
    converged(&[&alice, &bob, &carol], server).await;
    assert_eq!(messages(&alice, server, channel).await, messages(&bob, server, channel).await);
    assert!(!texts(&carol, server, channel).await.contains(&"before Carol".to_owned()));
    let names: Vec<_> =
        carol.members(server).await.unwrap().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["alice", "bob", "carol"]);
}

async fn of_two_who_could_add_somebody_one_does(place: impl AsyncFn() -> Place) {
    let network = MemoryNetwork::new();
    let alices = Person::new(&network, "alice", place().await);
    let bobs = Person::new(&network, "bob", place().await);
    let carols = Person::new(&network, "carol", place().await);
    let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
    let (server, channel, link) = found(&alice).await;
    join(&bob, &link).await;
    converged(&[&alice, &bob], server).await;
    let before = alice.server_status(server).await.unwrap().epoch.unwrap();
    join(&carol, &link).await;
    converged(&[&alice, &bob, &carol], server).await;
    let after = alice.server_status(server).await.unwrap().epoch.unwrap();
    assert_eq!(after, before + 1, "exactly one addition stands on the path");
    for (who, node) in [("alice", &alice), ("bob", &bob), ("carol", &carol)] {
        node.send_message(server, channel, format!("{who} is here")).await.unwrap();
    }
    for node in [&alice, &bob, &carol] {
        for who in ["alice", "bob", "carol"] {
            reads(node, server, channel, &format!("{who} is here")).await;
        }
    }
}

/// Asking again while a link is being made makes no second one, which would end the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_and_again_does_not_wait_longer() {
    let network = MemoryNetwork::new();
    let alice = Person::new(&network, "alice", Place::memory().await).open().await;
    let (server, _, link) = found(&alice).await;
    for _ in 0..12 {
        let bob = Person::new(&network, "bob", Place::memory().await).open().await;
        for _ in 0..4 {
            // Where it is complete already, there is nothing to ask for.
            let asked = bob.join_server(&link).await;
            assert!(asked.is_ok() || asked.is_err_and(|error| error.code() == "join.member"));
            tokio::task::yield_now().await;
        }
        let joined = async {
            while !bob.servers().await.unwrap()[0].joined {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(AT_ONCE, joined).await.expect("before the link is dialled again");
        bob.leave(server).await.unwrap();
        within("Bob is out", async {
            while alice.members(server).await.unwrap().len() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        bob.close().await.unwrap();
    }
}

/// A store that is cut off: after so many saves none returns, as if the machine had lost its power.
struct CutOff {
    store: Arc<dyn ProviderStorageBackend>,
    left: Mutex<usize>,
}

#[async_trait]
impl ProviderStorageBackend for CutOff {
    async fn load(&self, namespace: &Namespace, key: &[u8]) -> Result<Option<Bytes>> {
        self.store.load(namespace, key).await
    }

    async fn scan(&self, namespace: &Namespace, page: Page) -> Result<Vec<(Bytes, Bytes)>> {
        self.store.scan(namespace, page).await
    }

    async fn save(&self, batch: Batch) -> Result<()> {
        let mut left = self.left.lock().await;
        let Some(after) = left.checked_sub(1) else {
            drop(left);
            return std::future::pending().await;
        };
        *left = after;
        self.store.save(batch).await
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn capability(&self) -> Capability {
        self.store.capability()
    }
}

/// Wherever the inviter's machine loses its power, before or after the newcomer is let in, added or
/// welcomed: both go on and the newcomer gets in by the key package that they had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_survives_the_inviter_at_every_save() {
    for saves in 0..6 {
        Box::pin(join_with_the_inviter_cut_off_after(saves)).await;
    }
}

async fn join_with_the_inviter_cut_off_after(saves: usize) {
    let network = MemoryNetwork::new();
    let mut alices = Person::new(&network, "alice", Place::memory().await);
    let bobs = Person::new(&network, "bob", Place::memory().await);
    let alice = alices.open().await;
    let (server, channel, link) = found(&alice).await;
    alice.close().await.unwrap();
    // Opening saves once: the addresses.
    let store = alices.place.store().await;
    let power = Arc::new(CutOff { store, left: Mutex::new(1 + saves) });
    let cut = alices.open_over(power.clone()).await;
    let bob = bobs.open().await;
    let mut events = bob.events();
    bob.join_server(&link).await.unwrap();
    event(&mut events, "Bob asked", |event| match event {
        Event::JoinProgress { step, .. } => (*step >= JoinStep::Requested).then_some(()),
        Event::Joined { .. } => Some(()),
        _ => None,
    })
    .await;
    if saves == 0 {
        assert!(!bob.servers().await.unwrap()[0].joined);
    }
    bob.close().await.unwrap();
    *power.left.lock().await = 0;
    // A machine without power writes nothing outside its store either.
    let state = tempfile::tempdir().unwrap();
    for file in fs::read_dir(alices.state.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), state.path().join(file.file_name())).unwrap();
    }
    alices.state = Arc::new(state);
    drop(cut);

    let alice = alices.open().await;
    let bob = bobs.open().await;
    // A join that was complete already is not one that can be made again.
    if !bob.servers().await.unwrap()[0].joined {
        join(&bob, &link).await;
    }
    alice.send_message(server, channel, "you are in").await.unwrap();
    reads(&bob, server, channel, "you are in").await;
    within("converge", converged(&[&alice, &bob], server)).await;
}
