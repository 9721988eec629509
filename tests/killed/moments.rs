//! Moments by name at which a node dies: over both stores, right before the save and right after it.
//! And a join at separate processes, killed at every step that it tells.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use spacepanda::{Node, transport::memory::MemoryNetwork};
use tempfile::tempdir;

use crate::{
    mortal::{Doomed, Moment, Side},
    process::{Chat, converge, invite, meet},
    world::{Person, Place, converged, found, join, messages, reads, texts, until},
};

/// Who joins until a join was killed at enough of its steps.
const NEWCOMERS: [&str; 4] = ["Carol", "Dave", "Erin", "Frank"];

/// Plays a story over both stores, with death on both sides of the save.
macro_rules! on_both_sides {
    ($($story:ident),* $(,)?) => {
        $(
            mod $story {
                use crate::{mortal::Side, world::Place};

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn before_the_save_in_memory() {
                    Box::pin(super::$story(Place::memory, Side::Before)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn after_the_save_in_memory() {
                    Box::pin(super::$story(Place::memory, Side::After)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn before_the_save_in_sqlite() {
                    Box::pin(super::$story(Place::sqlite, Side::Before)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn after_the_save_in_sqlite() {
                    Box::pin(super::$story(Place::sqlite, Side::After)).await;
                }
            }
        )*
    };
}

on_both_sides!(
    whoever_dies_between_saving_a_message_and_sending_it_sends_it_once,
    whoever_dies_between_receiving_a_commit_and_adopting_it_adopts_it,
    whoever_dies_between_the_welcome_and_being_in_comes_in,
);

/// Alice and somebody who will die, on one network.
struct Pair {
    alice: Node,
    network: MemoryNetwork,
    bobs: Arc<Person>,
}

impl Pair {
    async fn new(place: &impl AsyncFn() -> Place) -> Self {
        let network = MemoryNetwork::new();
        let alice = Person::new(&network, "alice", place().await).open().await;
        let bobs = Arc::new(Person::new(&network, "bob", place().await));
        Self { alice, network, bobs }
    }
}

async fn whoever_dies_between_saving_a_message_and_sending_it_sends_it_once(
    place: impl AsyncFn() -> Place,
    side: Side,
) {
    let Pair { alice, bobs, .. } = Pair::new(&place).await;
    let (server, channel, link) = found(&alice).await;
    let doomed = Doomed::open(&bobs, Moment::MessageWritten, side).await;
    join(&doomed.node, &link).await;
    converged(&[&alice, &doomed.node], server).await;

    doomed.arm();
    let bob = doomed.node.clone();
    let sending =
        tokio::spawn(async move { bob.send_message(server, channel, "last words").await });
    doomed.die().await;
    let accepted = sending.await.unwrap();
    assert!(texts(&alice, server, channel).await.is_empty(), "sent before the save returned");

    let bob = bobs.open().await;
    bob.send_message(server, channel, "first words").await.unwrap();
    reads(&alice, server, channel, "first words").await;
    converged(&[&alice, &bob], server).await;
    let heard = messages(&alice, server, channel).await;
    let last: Vec<_> = heard.iter().filter(|(_, text)| text == "last words").collect();
    match (accepted, side) {
        (Ok(id), _) => assert_eq!(last, [&(id, "last words".to_owned())]),
        (Err(_), Side::After) => assert_eq!(last.len(), 1),
        (Err(_), Side::Before) => assert!(last.len() <= 1),
    }
    assert_eq!(messages(&bob, server, channel).await, heard);
}

async fn whoever_dies_between_receiving_a_commit_and_adopting_it_adopts_it(
    place: impl AsyncFn() -> Place,
    side: Side,
) {
    let Pair { alice, network, bobs } = Pair::new(&place).await;
    let (server, channel, link) = found(&alice).await;
    let doomed = Doomed::open(&bobs, Moment::StateKept, side).await;
    join(&doomed.node, &link).await;
    converged(&[&alice, &doomed.node], server).await;

    doomed.arm();
    let carol = Person::new(&network, "carol", place().await).open().await;
    join(&carol, &link).await;
    doomed.die().await;
    carol.send_message(server, channel, "in a state that Bob does not know").await.unwrap();

    let bob = bobs.open().await;
    reads(&bob, server, channel, "in a state that Bob does not know").await;
    bob.send_message(server, channel, "I do now").await.unwrap();
    for node in [&alice, &carol] {
        reads(node, server, channel, "I do now").await;
    }
    converged(&[&alice, &bob, &carol], server).await;
}

async fn whoever_dies_between_the_welcome_and_being_in_comes_in(
    place: impl AsyncFn() -> Place,
    side: Side,
) {
    let Pair { alice, bobs, .. } = Pair::new(&place).await;
    let (server, channel, link) = found(&alice).await;
    let doomed = Doomed::open(&bobs, Moment::StateKept, side).await;
    doomed.arm();
    doomed.node.join_server(&link).await.unwrap();
    doomed.die().await;

    let bob = bobs.open().await;
    until("the join goes on by itself", async || {
        let servers = bob.servers().await.unwrap();
        if servers.iter().any(|server| server.joined) { Ok(()) } else { Err(servers) }
    })
    .await;
    bob.send_message(server, channel, "in").await.unwrap();
    reads(&alice, server, channel, "in").await;
    alice.send_message(server, channel, "welcome").await.unwrap();
    reads(&bob, server, channel, "welcome").await;
    converged(&[&alice, &bob], server).await;
}

#[test]
fn a_join_that_is_killed_at_every_step_goes_on_by_itself() {
    let folders: Vec<_> = (0..2 + NEWCOMERS.len()).map(|_| tempdir().unwrap()).collect();
    let mut alice = Chat::start("Alice", folders[0].path());
    let mut bob = Chat::start("Bob", folders[1].path());
    meet(&mut alice, &mut [&mut bob]);
    let link = invite(&mut alice);
    let mut people = vec![alice, bob];
    let mut killed_at = BTreeSet::new();
    // A kill may come too late for its step, but not for being in: then the next one comes.
    for (name, folder) in NEWCOMERS.iter().zip(&folders[2..]) {
        people.push(killed_while_joining(name, folder.path(), &link, &mut killed_at));
        if killed_at.len() > 3 {
            break;
        }
    }
    assert!(killed_at.len() > 3, "joins were killed at {killed_at:?} only");
    let members = people.len();
    converge(&mut people.iter_mut().collect::<Vec<_>>(), members);
    people[members - 1].ask("in after all");
    for person in &mut people[..members - 1] {
        person.reads(&["in after all"]);
    }
}

/// Somebody joins, and is killed at every step at which nobody was killed before.
fn killed_while_joining(
    name: &str,
    folder: &Path,
    link: &str,
    killed_at: &mut BTreeSet<String>,
) -> Chat {
    let mut newcomer = Chat::start(name, folder);
    newcomer.type_line(&format!("/join {link}"));
    newcomer.event("join_progress", |_| true);
    newcomer.kill();
    let mut newcomer = Chat::start(name, folder);
    while !is_in(&mut newcomer) {
        let event = newcomer.event_of(&["join_progress", "joined"], |event| {
            event["step"].as_str().is_none_or(|step| !killed_at.contains(step))
        });
        newcomer.kill();
        newcomer = Chat::start(name, folder);
        killed_at.insert(event["step"].as_str().unwrap_or("joined").to_owned());
    }
    newcomer
}

fn is_in(person: &mut Chat) -> bool {
    let servers = person.ask("/servers");
    servers["servers"].as_array().unwrap().iter().any(|server| server["joined"] == true)
}
