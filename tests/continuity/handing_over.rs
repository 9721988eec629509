//! What somebody cannot open is handed over by those who could, and waits for them.

use spacepanda::{ChannelId, Node, ServerId, transport::memory::MemoryNetwork};

use crate::{
    over_both_stores,
    world::{Person, Place, converged, found, join, reads, until, within},
};

over_both_stores!(
    what_was_written_on_a_branch_that_somebody_never_held_is_read_by_all,
    while_its_author_is_away_somebody_else_hands_a_message_over,
    what_waits_is_asked_for_again_after_a_restart,
);

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
