use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use spacepanda_core::{
    base::{ErrorKind, Result},
    transport::{LinkId, Transport, TransportEvent},
};
use tokio::time::timeout;

use super::Factory;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The value of a future that must come.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

/// A transport and what was heard of it.
pub(super) struct Peer {
    pub(super) transport: Arc<dyn Transport>,
}

impl Peer {
    pub(super) async fn open(factory: &Factory) -> Self {
        let transport = within("open", factory.open()).await.expect("a transport opens");
        Self { transport }
    }

    pub(super) async fn connect(&self, to: &Peer) -> LinkId {
        let addresses = to.transport.addresses();
        assert!(!addresses.is_empty(), "a transport of the factory has an address");
        self.try_connect(&addresses).await.expect("connects")
    }

    pub(super) async fn try_connect(&self, addresses: &[String]) -> Result<LinkId> {
        within("connect", self.transport.connect(addresses)).await
    }

    /// Why `connect` fails.
    pub(super) async fn refusal(&self, addresses: &[String]) -> ErrorKind {
        self.try_connect(addresses).await.expect_err("connect fails").kind()
    }

    pub(super) async fn send(&self, link: LinkId, frame: impl Into<Bytes>) {
        let sent = within("send", self.transport.send(link, frame.into())).await;
        sent.expect("the link takes a frame");
    }

    pub(super) async fn event(&self) -> TransportEvent {
        within("recv", self.transport.recv()).await.expect("an event")
    }

    /// The next event must be a new link.
    pub(super) async fn connected(&self) -> LinkId {
        match self.event().await {
            TransportEvent::Connected(link) => link,
            other => panic!("expected a new link, got {}", text(&other)),
        }
    }

    /// The next event must be a frame of `link`.
    pub(super) async fn frame(&self, link: LinkId) -> Bytes {
        match self.event().await {
            TransportEvent::Frame(from, frame) if from == link => frame,
            other => panic!("expected a frame of {link:?}, got {}", text(&other)),
        }
    }

    /// The next event must be the end of `link`.
    pub(super) async fn disconnected(&self, link: LinkId) {
        match self.event().await {
            TransportEvent::Disconnected(ended, why) if ended == link => {
                assert!(!why.is_empty(), "people are told why a link ended");
            }
            other => panic!("expected the end of {link:?}, got {}", text(&other)),
        }
    }

    /// Waits for the end of `link`, over frames of it.
    pub(super) async fn ends(&self, link: LinkId) {
        loop {
            match self.event().await {
                TransportEvent::Disconnected(ended, _) if ended == link => return,
                TransportEvent::Frame(from, _) if from == link => {}
                other => panic!("expected the end of {link:?}, got {}", text(&other)),
            }
        }
    }
}

/// Two transports and a link between them: its number at `a`, its number at `b`.
pub(super) struct Pair {
    pub(super) a: Peer,
    pub(super) b: Peer,
    pub(super) at_a: LinkId,
    pub(super) at_b: LinkId,
}

impl Pair {
    pub(super) async fn open(factory: &Factory) -> Self {
        let (a, b) = (Peer::open(factory).await, Peer::open(factory).await);
        let (at_a, at_b) = link(&a, &b).await;
        Self { a, b, at_a, at_b }
    }
}

/// Links `a` with `b`, where nothing else happens at that time.
pub(super) async fn link(a: &Peer, b: &Peer) -> (LinkId, LinkId) {
    let at_a = a.connect(b).await;
    assert_eq!(a.connected().await, at_a, "the link that connect returns is announced");
    (at_a, b.connected().await)
}

/// A frame that says its number, `len` bytes long (at least 4).
pub(super) fn numbered(number: u32, len: usize) -> Bytes {
    let mut frame = vec![u8::try_from(number % 251).expect("a byte"); len.max(4)];
    frame[..4].copy_from_slice(&number.to_be_bytes());
    frame.into()
}

/// The number of a frame, which must be as `numbered` made it.
pub(super) fn number_of(frame: &Bytes) -> u32 {
    let first = frame.get(..4).and_then(|bytes| bytes.try_into().ok()).expect("4 bytes");
    let number = u32::from_be_bytes(first);
    assert!(*frame == numbered(number, frame.len()), "frame {number} arrived changed");
    number
}

fn text(event: &TransportEvent) -> String {
    match event {
        TransportEvent::Frame(link, frame) => format!("a frame of {} bytes, {link:?}", frame.len()),
        other => format!("{other:?}"),
    }
}
