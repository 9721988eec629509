//! A newcomer whom only a hostile member helps.

use minicbor::{Decoder, Encoder};
use spacepanda::{JoinLink, Node, ServerId, StateId};
use spacepanda_core::state::link::Kind;

use crate::{
    bytes::spoilt,
    frames::news,
    puppet::{Door, Puppet, tree_request},
    scene::Scene,
    world::{Person, Place, converged, reads, until},
};

fn tree(server: ServerId, state: &[u8], tree: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.map(3).unwrap().u8(0).unwrap().bytes(server.as_bytes()).unwrap();
    e.u8(1).unwrap().bytes(state).unwrap().u8(2).unwrap().bytes(tree).unwrap();
    e.into_writer()
}

/// The second and, if there is one, the third field of a record about a server.
fn fields(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut d = Decoder::new(message);
    let len = d.map().unwrap().unwrap();
    d.u8().unwrap();
    d.bytes().unwrap();
    d.u8().unwrap();
    let second = d.bytes().unwrap().to_vec();
    let third = if len == 3 && d.u8().is_ok() { d.bytes().unwrap().to_vec() } else { Vec::new() };
    (second, third)
}

/// Asks Alice for the tree of a state.
async fn ask_for_tree(alice: &mut Puppet, server: ServerId, state: StateId) -> Vec<u8> {
    alice.send(Kind::TreeRequest, &tree_request(server, state.as_bytes())).await;
    let (of, tree) = fields(&alice.next(Kind::Tree).await.unwrap());
    assert_eq!(of, state.as_bytes());
    assert!(!tree.is_empty());
    tree
}

async fn is_joined(node: &Node) -> bool {
    node.servers().await.unwrap()[0].joined
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_enters_by_the_true_tree_and_by_no_other() {
    let scene = Scene::set().await;
    let server = scene.server;
    let mut link = JoinLink::decode(&scene.link).unwrap();
    link.addresses = vec![vec!["memory://mallory".to_owned()]];
    let door = Door::open(&scene.network, "mallory");
    let eve = Person::new(&scene.network, "eve", Place::memory().await).open().await;
    eve.join_server(link.encode()).await.unwrap();
    let mut to_eve = door.welcome(&scene.mallory).await;

    // What Eve asks for is passed on, and Alice lets her in.
    let request = to_eve.next(Kind::JoinRequest).await.unwrap();
    let mut to_alice = scene.puppet().await;
    let before = scene.alice.server_status(server).await.unwrap().epoch;
    to_alice.send(Kind::JoinRequest, &request).await;
    let admitted = to_alice.next(Kind::JoinReply).await.unwrap();
    let head = until("Eve is added", async || {
        let status = scene.alice.server_status(server).await.unwrap();
        let added = status.members == 4 && status.stand == status.head && status.epoch > before;
        if added { Ok(status.head.unwrap()) } else { Err(status) }
    })
    .await;
    converged(&[&scene.alice, &scene.bob], server).await;
    let true_tree = ask_for_tree(&mut to_alice, server, head).await;

    to_eve.send(Kind::JoinReply, &admitted).await;
    for entry in scene.alices_log(scene.control()).await {
        to_eve.send(Kind::Sync, &news(scene.control(), &[&entry.bytes])).await;
    }
    // Eve knows by now which state she may enter, and asks for its tree.
    let (asked, _) = fields(&to_eve.next(Kind::TreeRequest).await.unwrap());
    assert_eq!(asked, head.as_bytes());
    for false_tree in spoilt(&true_tree) {
        to_eve.send(Kind::Tree, &tree(server, head.as_bytes(), &false_tree)).await;
    }
    to_eve.send(Kind::Tree, &tree(server, &[4; 32], &true_tree)).await;
    assert!(to_eve.worked_off(server).await);
    assert_eq!(eve.server_status(server).await.unwrap().epoch, None);
    assert!(!is_joined(&eve).await);

    // With the true one she is in, and once she meets the others she has caught up.
    to_eve.send(Kind::Tree, &tree(server, head.as_bytes(), &true_tree)).await;
    until("Eve has entered", async || {
        let status = eve.server_status(server).await.unwrap();
        if status.epoch.is_some() { Ok(()) } else { Err(status) }
    })
    .await;
    let records = scene.puppet().await.next(Kind::AddressRecords).await.unwrap();
    to_eve.send(Kind::AddressRecords, &records).await;
    until("Eve has joined", async || if is_joined(&eve).await { Ok(()) } else { Err(()) }).await;
    converged(&[&scene.alice, &scene.bob, &eve], server).await;
    eve.send_message(server, scene.channel, "in after all").await.unwrap();
    for node in [&scene.alice, &scene.bob] {
        reads(node, server, scene.channel, "in after all").await;
    }
}
