//! Members on real QUIC that take in nothing, or never say that they did: what is held for them is
//! bounded, and nobody else notices.
#![cfg(all(feature = "store-memory", feature = "store-sqlite", feature = "transport-quic"))]
#![allow(clippy::unwrap_used)]

#[path = "../hostile/puppet.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod puppet;
#[path = "../world/mod.rs"]
mod world;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use minicbor::Encoder;
use spacepanda::{
    ChannelId, JoinLink, Node, ServerId,
    base::{DeviceId, EnvelopeId, Frontier, Timestamp, Tip, limits::PEER_BYTES_MAX},
    transport::Transport,
};
use spacepanda_core::state::{
    envelope::Envelope,
    link::{Kind, Me},
    sync::{
        Action, Event, FRAME_LEN_LIMIT, FrontierSync, PAGE_BYTES_MAX, Start, SyncEngine,
        WINDOW_BYTES,
    },
};
use spacepanda_transport_quic::QuicTransport;

use crate::{
    puppet::{Puppet, Raw, take_over},
    world::{Place, converged, delivered, found, join, until, within},
};

const LOOPBACK: &str = "quic://127.0.0.1:0";
/// Great texts that Alice writes: more than may be held for one peer.
const TEXTS: usize = 2 * PEER_BYTES_MAX / TEXT_LEN;
const TEXT_LEN: usize = 30_000;
/// What each side of a link may hold in QUIC beside the queue of the node: its window and what was just
/// read; and as much again for what the allocator keeps.
const QUIC_BYTES_MAX: usize = 8 * 1024 * 1024;
/// One story at a time: what this process holds is measured.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
const NOW: Timestamp = Timestamp::from_micros(1);

/// Alice and Bob over QUIC, and Mallory's device, whose node is closed.
struct Wired {
    alice: Node,
    bob: Node,
    at: (ServerId, ChannelId),
    mallory: Me,
    addresses: Vec<String>,
}

impl Wired {
    async fn set() -> Self {
        let place = Place::memory().await;
        let (alice, bob) = (open("alice", "memory:").await, open("bob", "memory:").await);
        let mallory = Node::builder().name("mallory").store_with(place.store().await);
        let mallory = mallory.listen(LOOPBACK).open().await.unwrap();
        let (server, channel, link) = found(&alice).await;
        for node in [&bob, &mallory] {
            join(node, &link).await;
        }
        converged(&[&alice, &bob, &mallory], server).await;
        mallory.close().await.unwrap();
        let mallory = take_over(&place).await;
        let addresses = JoinLink::decode(&link).unwrap().addresses.concat();
        Self { alice, bob, at: (server, channel), mallory, addresses }
    }

    /// A link to Alice as Mallory.
    async fn puppet(&self) -> Puppet {
        let transport = QuicTransport::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let raw = Raw::over(Arc::new(transport) as Arc<dyn Transport>, &self.addresses).await;
        Puppet::over(raw, self.mallory.clone(), None).await.expect("a member is talked with")
    }

    async fn says(&self, number: usize) {
        let text = format!("{number} {}", "x".repeat(TEXT_LEN));
        self.alice.send_message(self.at.0, self.at.1, &text).await.unwrap();
    }

    /// Waits until Bob has just the messages that Alice wrote, each once, in their order.
    async fn bob_has(&self, written: usize) {
        until("Bob has every message", async || {
            let numbers = numbers(&self.bob, self.at).await;
            if numbers == (0..written).collect::<Vec<_>>() { Ok(()) } else { Err(numbers.len()) }
        })
        .await;
    }

    /// Whether Alice has a link with Mallory.
    async fn is_linked(&self) -> bool {
        let device = DeviceId::new(*self.mallory.device.public());
        self.alice.status().await.unwrap().peers.contains(&device)
    }
}

async fn open(name: &str, store: &str) -> Node {
    Node::builder().name(name).store(store).listen(LOOPBACK).open().await.unwrap()
}

/// The numbers of all messages that a node lists, oldest first.
async fn numbers(node: &Node, (server, channel): (ServerId, ChannelId)) -> Vec<usize> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = node.list_messages(server, channel, before, 100).await.unwrap();
        let texts = page.messages.iter().map(|message| message.text.to_string());
        let of = |text: String| text.split(' ').next().and_then(|number| number.parse().ok());
        pages.push(texts.filter_map(of).collect::<Vec<usize>>());
        before = page.earlier;
        if before.is_none() {
            return pages.into_iter().rev().flatten().collect();
        }
    }
}

/// A member's device that syncs as it should, but for what it says of what came.
struct Silent {
    puppet: Puppet,
    engine: FrontierSync,
    alice: DeviceId,
    silent: bool,
    withheld: Vec<Bytes>,
    bytes: usize,
    came: BTreeSet<EnvelopeId>,
    twice: usize,
}

impl Silent {
    async fn begin(wired: &Wired) -> Self {
        let (server, channel) = wired.at;
        let alice = wired.alice.device();
        let mut engine = FrontierSync::new();
        engine.handle(Event::Open { channel, frontier: Frontier::new() }, NOW);
        engine.handle(Event::Connected { peer: alice }, NOW);
        let from = Start::Beginning;
        let share = Event::Share { peer: alice, channel, control: false, from, up_to: None };
        engine.handle(share, NOW);
        let mut begun = Self {
            puppet: wired.puppet().await,
            engine,
            alice,
            silent: true,
            withheld: Vec::new(),
            bytes: 0,
            came: BTreeSet::new(),
            twice: 0,
        };
        begun.act().await;
        begun.work_off(server).await;
        begun
    }

    /// Takes in what Alice sent until now.
    async fn work_off(&mut self, server: ServerId) {
        loop {
            let heard = self.puppet.hear_off(server, Kind::Sync).await.expect("the link stays");
            if heard.is_empty() {
                return;
            }
            for bytes in heard {
                self.engine.handle(Event::Received { peer: self.alice, bytes }, NOW);
                self.act().await;
            }
        }
    }

    async fn act(&mut self) {
        while let Some(action) = self.engine.poll() {
            match action {
                Action::Send { bytes, .. } if self.silent && is_ack(&bytes) => {
                    self.withheld.push(bytes);
                }
                Action::Send { bytes, .. } => self.puppet.send(Kind::Sync, &bytes).await,
                Action::Deliver { channel, bytes, .. } => {
                    self.bytes += bytes.len();
                    let envelope = Envelope::decode(&bytes).unwrap().verify().unwrap();
                    self.twice += usize::from(!self.came.insert(envelope.id()));
                    let entry = envelope.log_entry();
                    self.engine.handle(Event::Advanced { channel, entry, after_gap: false }, NOW);
                }
                Action::Load { ticket, .. } => {
                    self.engine.handle(Event::Loaded { ticket, entries: Vec::new() }, NOW);
                }
                Action::Probe { ticket, .. } => {
                    self.engine.handle(Event::Probed { ticket, held: Vec::new() }, NOW);
                }
                _ => {}
            }
        }
    }

    /// Says at last what came.
    async fn speak(&mut self) {
        self.silent = false;
        for ack in std::mem::take(&mut self.withheld) {
            self.puppet.send(Kind::Sync, &ack).await;
        }
    }

    /// Acknowledges what came and reads on: everything comes, once, and Alice's next message arrives.
    async fn gets_the_rest(&mut self, wired: &Wired) {
        let (server, channel) = wired.at;
        self.speak().await;
        within("the rest comes once it acknowledges", async {
            while self.came.len() < TEXTS {
                self.work_off(server).await;
            }
        })
        .await;
        assert_eq!(self.twice, 0, "nothing comes twice");
        let id = wired.alice.send_message(server, channel, "so long").await.unwrap();
        delivered(&wired.alice, wired.at, id).await;
    }
}

fn is_ack(frame: &[u8]) -> bool {
    frame.starts_with(&[0x82, 4])
}

/// Asks for the body of an envelope.
fn body_request(channel: ChannelId, tip: Tip) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.array(2).unwrap().u8(5).unwrap().map(2).unwrap();
    e.u8(0).unwrap().encode(channel).unwrap().u8(1).unwrap().encode(tip).unwrap();
    e.into_writer()
}

/// Bytes of this process in memory; 0 where the system does not say.
fn held() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4_096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_acknowledges_is_sent_its_window_and_others_everything() {
    let _alone = ALONE.lock().await;
    let wired = Wired::set().await;
    let server = wired.at.0;
    let mut silent = Silent::begin(&wired).await;
    for number in 0..TEXTS {
        wired.says(number).await;
        if number % 20 == 0 {
            silent.work_off(server).await;
        }
    }
    wired.bob_has(TEXTS).await;
    silent.work_off(server).await;
    let most = WINDOW_BYTES + PAGE_BYTES_MAX + FRAME_LEN_LIMIT;
    println!("{TEXTS} texts of {TEXT_LEN} bytes; {} bytes unacknowledged, of {most}", silent.bytes);
    assert!((WINDOW_BYTES / 2..most).contains(&silent.bytes), "{} bytes", silent.bytes);
    assert!(silent.came.len() < TEXTS / 4, "{} messages", silent.came.len());

    silent.gets_the_rest(&wired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_nothing_is_cut_where_its_queue_ends_and_others_hear_everything() {
    let _alone = ALONE.lock().await;
    let wired = Wired::set().await;
    let mut puppet = wired.puppet().await;
    let tip = Tip { device: wired.alice.device(), number: 1, id: EnvelopeId::new([5; 32]) };
    // Of a channel that there is not: the answer is short, and no window holds it back.
    let ask = body_request(ChannelId::new([9; 32]), tip);
    let (mut written, mut asked) = (0, 0);
    let (mut before, mut most) = (0, 0);
    while wired.is_linked().await {
        assert!(asked < 400_000, "it is never cut");
        for _ in 0..2_000 {
            puppet.send(Kind::Sync, &ask).await;
            asked += 1;
        }
        if asked % 20_000 == 0 {
            wired.says(written).await;
            written += 1;
            wired.bob_has(written).await;
        }
        before = if before == 0 { held() } else { before };
        most = most.max(held());
    }
    let grown = most.saturating_sub(before);
    println!(
        "cut after {asked} requests; {grown} bytes more in this process, of {PEER_BYTES_MAX} queued"
    );
    assert!(grown < PEER_BYTES_MAX + QUIC_BYTES_MAX, "{before} bytes, then {most}");

    // It may come back, and be served, once it reads.
    let mut again = wired.puppet().await;
    assert!(again.worked_off(wired.at.0).await);
    wired.says(written).await;
    wired.bob_has(written + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_nothing_of_what_is_pushed_keeps_its_link_and_holds_nobody_up() {
    let _alone = ALONE.lock().await;
    let wired = Wired::set().await;
    let mut silent = Silent::begin(&wired).await;
    for number in 0..TEXTS {
        wired.says(number).await;
    }
    wired.bob_has(TEXTS).await;
    assert!(wired.is_linked().await, "its window held back the rest");
    silent.gets_the_rest(&wired).await;
}
