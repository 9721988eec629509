//! A peer moved by hand: it dials a node and says whatever the test wants.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use minicbor::{Decode, Encoder};
use spacepanda::{
    DeviceId, ServerId,
    base::Secret,
    transport::{LinkId, Transport, TransportEvent, memory::MemoryNetwork},
};
use spacepanda_core::state::{
    identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
    link::{Kind, Me, Output, Session},
};

use crate::world::{Place, within};

/// A raw link, before anybody proved anything.
pub(crate) struct Raw {
    transport: Arc<dyn Transport>,
    link: LinkId,
}

impl Raw {
    pub(crate) async fn dial(network: &MemoryNetwork, name: &str) -> Self {
        Self::over(Arc::new(network.transport("")), &[format!("memory://{name}")]).await
    }

    /// The link that a transport makes to one of `addresses`.
    pub(crate) async fn over(transport: Arc<dyn Transport>, addresses: &[String]) -> Self {
        let link = transport.connect(addresses).await.unwrap();
        Self { transport, link }
    }

    /// Sends a frame; one that the link does not take any more is lost.
    pub(crate) async fn send(&self, frame: impl Into<Bytes>) {
        let _ = self.transport.send(self.link, frame.into()).await;
    }

    /// The next frame; `None` once the other side ended the link.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            match within("a frame, or the end", self.transport.recv()).await.unwrap() {
                TransportEvent::Connected(_) => {}
                TransportEvent::Frame(_, frame) => return Some(frame),
                TransportEvent::Disconnected(..) => return None,
            }
        }
    }
}

/// A link that somebody else dials.
pub(crate) struct Door {
    transport: Arc<dyn Transport>,
}

impl Door {
    /// Is reached by `name` from now on.
    pub(crate) fn open(network: &MemoryNetwork, name: &str) -> Self {
        Self { transport: Arc::new(network.transport(name)) }
    }

    /// Lets whoever dials first in, whoever they are.
    pub(crate) async fn welcome(self, me: &Me) -> Puppet {
        let Self { transport } = self;
        let link = loop {
            let event = within("somebody to dial", transport.recv()).await.unwrap();
            if let TransportEvent::Connected(link) = event {
                break link;
            }
        };
        let raw = Raw { transport, link };
        let mut session = Session::accept(&seed()).unwrap();
        loop {
            let frame = raw.next().await.expect("the dialler goes on");
            for output in session.read(&frame).unwrap() {
                match output {
                    Output::Send(frame) => raw.send(frame).await,
                    Output::Asks(_) => {
                        raw.send(session.accept_peer(me).unwrap()).await;
                        return Puppet { raw, session, inbox: VecDeque::new(), asked: 0 };
                    }
                    Output::Established(_) | Output::Message(..) => panic!("not to the dialled"),
                }
            }
        }
    }
}

/// A proven link.
pub(crate) struct Puppet {
    raw: Raw,
    session: Session,
    inbox: VecDeque<(Kind, Bytes)>,
    asked: u64,
}

impl Puppet {
    /// Makes a link as `me`; `None` if the node would not talk.
    pub(crate) async fn dial(
        network: &MemoryNetwork,
        name: &str,
        me: Me,
        meeting: Option<Secret<32>>,
    ) -> Option<Self> {
        Self::over(Raw::dial(network, name).await, me, meeting).await
    }

    /// As [`Self::dial`], over a link that was just made.
    pub(crate) async fn over(raw: Raw, me: Me, meeting: Option<Secret<32>>) -> Option<Self> {
        let (mut session, first) = Session::dial(&seed(), me, meeting).unwrap();
        raw.send(first).await;
        loop {
            let frame = raw.next().await?;
            for output in session.read(&frame).unwrap() {
                match output {
                    Output::Send(frame) => raw.send(frame).await,
                    Output::Established(_) => {
                        let inbox = VecDeque::new();
                        return Some(Self { raw, session, inbox, asked: 0 });
                    }
                    Output::Asks(_) | Output::Message(..) => panic!("not to a dialler"),
                }
            }
        }
    }

    /// The frames that would carry a message.
    pub(crate) fn seal(&mut self, kind: Kind, message: &[u8]) -> Vec<Bytes> {
        self.session.write(kind, message).unwrap()
    }

    pub(crate) async fn send(&mut self, kind: Kind, message: &[u8]) {
        for frame in self.seal(kind, message) {
            self.raw.send(frame).await;
        }
    }

    pub(crate) async fn send_raw(&self, frame: impl Into<Bytes>) {
        self.raw.send(frame).await;
    }

    /// The next message of a kind; `None` once the node ended the link.
    pub(crate) async fn next(&mut self, wanted: Kind) -> Option<Bytes> {
        loop {
            let (kind, message) = self.hear().await?;
            if kind == wanted {
                return Some(message);
            }
        }
    }

    async fn hear(&mut self) -> Option<(Kind, Bytes)> {
        loop {
            if let Some(heard) = self.inbox.pop_front() {
                return Some(heard);
            }
            let frame = self.raw.next().await?;
            for output in self.session.read(&frame).unwrap() {
                if let Output::Message(kind, message) = output {
                    self.inbox.push_back((kind, message));
                }
            }
        }
    }

    /// Waits until the node has worked off everything sent before; whether it still talks.
    pub(crate) async fn worked_off(&mut self, server: ServerId) -> bool {
        self.hear_off(server, Kind::Tree).await.is_some()
    }

    /// As [`Self::worked_off`]: the messages of a kind that came until then; `None` if the node ended
    /// the link.
    pub(crate) async fn hear_off(&mut self, server: ServerId, wanted: Kind) -> Option<Vec<Bytes>> {
        self.asked += 1;
        let mut state = [0xee; 32];
        state[..8].copy_from_slice(&self.asked.to_be_bytes());
        self.send(Kind::TreeRequest, &tree_request(server, &state)).await;
        let mut heard = Vec::new();
        loop {
            let (kind, message) = self.hear().await?;
            if kind == Kind::Tree && contains(&message, &state) {
                return Some(heard);
            }
            if kind == wanted {
                heard.push(message);
            }
        }
    }
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub(crate) fn tree_request(server: ServerId, state: &[u8; 32]) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.map(2).unwrap().u8(0).unwrap().bytes(server.as_bytes()).unwrap();
    e.u8(1).unwrap().bytes(state).unwrap();
    e.into_writer()
}

/// A seed that was not used yet.
fn seed() -> Secret<32> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static USED: AtomicU64 = AtomicU64::new(0);
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&USED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Secret::new(seed)
}

/// Somebody whom no server knows.
pub(crate) fn stranger() -> Me {
    let identity = KeyPair::from_secret(seed());
    let device = KeyPair::from_secret(seed());
    let certificate = DeviceCertificate::issue(&identity, DeviceId::new(*device.public()), now());
    Me { certificate, device }
}

fn now() -> spacepanda::Timestamp {
    spacepanda::Timestamp::from_micros(1_700_000_000_000_000)
}

/// What a node's store says of its identity and device.
#[derive(Decode)]
#[cbor(map)]
struct Account {
    #[cbor(n(0), with = "minicbor::bytes")]
    identity: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    certificate: Vec<u8>,
}

/// Takes over the device whose node was closed.
pub(crate) async fn take_over(place: &Place) -> Me {
    let account = account(place).await;
    Me {
        certificate: VerifiedCertificate::decode(&account.certificate).unwrap(),
        device: KeyPair::from_secret(Secret::new(account.device)),
    }
}

/// The key of the identity whose node was closed.
pub(crate) async fn identity_key(place: &Place) -> KeyPair {
    KeyPair::from_secret(Secret::new(account(place).await.identity))
}

async fn account(place: &Place) -> Account {
    let store = place.store().await;
    let row = store.load(&spacepanda::store::Namespace::new("node"), b"account").await.unwrap();
    minicbor::decode(&row.unwrap()).unwrap()
}
