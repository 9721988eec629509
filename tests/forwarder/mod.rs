//! Forwarders of UDP before the nodes of several processes: each node announces its own, so that
//! every datagram between two nodes passes through this process, which lets it through or not.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often a thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);
/// Nodes that reach one other node.
const WAYS_MAX: usize = 16;
/// Bytes of a datagram.
const DATAGRAM_LEN_MAX: usize = 65_536;

/// The forwarders of a test; they end with it.
pub(crate) struct Network {
    map: Arc<Map>,
    threads: Vec<JoinHandle<()>>,
}

/// Where everybody is, and who reaches whom.
#[derive(Default)]
struct Map(Mutex<State>);

#[derive(Default)]
struct State {
    /// Each node's folder, which names its port, and its side of the partition.
    nodes: Vec<(PathBuf, usize)>,
    over: bool,
}

/// A node, by its place in the list.
type Node = usize;

impl Network {
    pub(crate) fn new() -> Self {
        Self { map: Arc::default(), threads: Vec::new() }
    }

    /// Opens a forwarder before the node in `folder`, on the side of the partition that `side` numbers,
    /// and returns the URL that this node is to announce.
    pub(crate) fn place(&mut self, folder: &Path, side: usize) -> String {
        let front = socket();
        let url = format!("quic://{}", front.local_addr().unwrap());
        let to = {
            let mut state = self.map.0.lock().unwrap();
            state.nodes.push((folder.to_owned(), side));
            state.nodes.len() - 1
        };
        let map = Arc::clone(&self.map);
        self.threads.push(thread::spawn(move || forward(&Arc::new(front), to, &map)));
        url
    }

    /// Puts nodes, in the order in which they were placed, on sides: nothing passes between two.
    pub(crate) fn part(&self, sides: &[usize]) {
        let mut state = self.map.0.lock().unwrap();
        for ((_, side), new) in state.nodes.iter_mut().zip(sides) {
            *side = *new;
        }
    }

    /// Lets everything through.
    pub(crate) fn heal(&self) {
        let len = self.map.0.lock().unwrap().nodes.len();
        self.part(&vec![0; len]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Ok(mut state) = self.map.0.lock() {
            state.over = true;
        }
        for thread in self.threads.drain(..) {
            // Whatever it panicked with was printed.
            let _ = thread.join();
        }
    }
}

impl Map {
    fn is_over(&self) -> bool {
        self.0.lock().unwrap().over
    }

    /// The node that sends and dials from `address`.
    fn node_at(&self, address: SocketAddr) -> Option<Node> {
        let state = self.0.lock().unwrap();
        state.nodes.iter().position(|(folder, _)| port(folder) == Some(address.port()))
    }

    /// Where `node` listens, if what `other` sends reaches it.
    fn reached(&self, other: Node, node: Node) -> Option<SocketAddr> {
        let state = self.0.lock().unwrap();
        let ((_, from), (folder, to)) = (&state.nodes[other], &state.nodes[node]);
        let port = port(folder).filter(|_| from == to)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }
}

/// Passes on what arrives for node `to`; each node that dials it is given a socket, at which its
/// answers arrive.
fn forward(front: &Arc<UdpSocket>, to: Node, map: &Arc<Map>) {
    let mut ways: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut threads = Vec::new();
    each_datagram(front, map, |bytes, dialler| {
        let Some(from) = map.node_at(dialler) else { return };
        if ways.len() >= WAYS_MAX && !ways.contains_key(&dialler) {
            return;
        }
        let way = ways.entry(dialler).or_insert_with(|| {
            let way = Arc::new(socket());
            let (front, back, map) = (Arc::clone(front), Arc::clone(&way), Arc::clone(map));
            threads.push(thread::spawn(move || {
                each_datagram(&back, &map, |bytes, _| {
                    if map.reached(to, from).is_some() {
                        send(&front, bytes, dialler);
                    }
                });
            }));
            way
        });
        if let Some(address) = map.reached(from, to) {
            send(way, bytes, address);
        }
    });
    for thread in threads {
        // Whatever it panicked with was printed.
        let _ = thread.join();
    }
}

fn each_datagram(socket: &UdpSocket, map: &Map, mut take: impl FnMut(&[u8], SocketAddr)) {
    let mut bytes = vec![0; DATAGRAM_LEN_MAX];
    while !map.is_over() {
        // It fails when nobody sends, or when what was sent before met a closed port.
        if let Ok((len, from)) = socket.recv_from(&mut bytes) {
            take(&bytes[..len], from);
        }
    }
}

/// Sends, or loses it, as a network does.
fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    let _: io::Result<usize> = socket.send_to(bytes, to);
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    socket
}

/// The port on which the node in `folder` listens, as it keeps it there.
fn port(folder: &Path) -> Option<u16> {
    fs::read_to_string(folder.join("quic.port")).ok()?.trim().parse().ok()
}
