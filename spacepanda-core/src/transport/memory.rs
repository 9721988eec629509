//! A network inside one process: transports that reach each other by name.

mod hub;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use self::hub::Hub;
use super::{LinkId, Transport, TransportEvent};
use crate::base::{Error, ErrorKind, Result};

/// The greatest frame, in bytes.
pub const FRAME_LEN_MAX: usize = 65_535;
/// Frames on their way in one direction of one link; `send` waits while there are as many.
pub const LINK_FRAMES_MAX: usize = 64;
/// Links of one transport whose end it has not received yet.
pub const LINKS_MAX: usize = 4_096;

const SCHEME: &str = "memory:";

/// A network inside one process; its clones are the same network.
///
/// - Frames that `send` took before a link ended are received before its
///   [`Disconnected`](TransportEvent::Disconnected), on both sides.
/// - A transport that is closed receives nothing more; its links' other sides receive what it sent,
///   then `Disconnected`. Dropping a transport is like closing it.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    hub: Arc<Mutex<Hub>>,
}

impl MemoryNetwork {
    /// Makes a network on which nobody is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a transport that is reached at `memory://name`.
    ///
    /// The newest transport of a name has it: an older one keeps its links and can dial, but is
    /// reached no more. With an empty name it has no address and only dials.
    pub fn transport(&self, name: &str) -> MemoryTransport {
        let (end, news) = lock(&self.hub).open(name);
        MemoryTransport { hub: Arc::clone(&self.hub), end, news }
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryNetwork")
    }
}

/// One transport of a [`MemoryNetwork`].
pub struct MemoryTransport {
    hub: Arc<Mutex<Hub>>,
    end: u64,
    news: Arc<Notify>,
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTransport")
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        lock(&self.hub).close(self.end);
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn addresses(&self) -> Vec<String> {
        let name = lock(&self.hub).reached_as(self.end);
        name.into_iter().map(|name| format!("{SCHEME}//{name}")).collect()
    }

    fn frame_len_max(&self) -> usize {
        FRAME_LEN_MAX
    }

    async fn connect(&self, addresses: &[String]) -> Result<LinkId> {
        let mut hub = lock(&self.hub);
        hub.check_open(self.end)?;
        let mut failed: Option<Error> = None;
        for address in addresses.iter().filter(|address| address.starts_with(SCHEME)) {
            match name_of(address).and_then(|name| hub.link(self.end, name)) {
                Ok(link) => return Ok(link),
                Err(error) if error.kind() == ErrorKind::Unavailable => failed = Some(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            Error::new(ErrorKind::Unsupported, "connect in memory: no address begins with memory:")
        }))
    }

    async fn send(&self, link: LinkId, frame: Bytes) -> Result<()> {
        if frame.len() > FRAME_LEN_MAX {
            let message = format!("send a frame of {} bytes: at most {FRAME_LEN_MAX}", frame.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let room = lock(&self.hub).room(self.end, link)?;
        // An ended link's room is closed: then `push` says how it ended.
        let permit = room.acquire().await.ok();
        lock(&self.hub).push(self.end, link, frame)?;
        if let Some(permit) = permit {
            permit.forget();
        }
        Ok(())
    }

    async fn recv(&self) -> Result<TransportEvent> {
        loop {
            if let Some(event) = lock(&self.hub).pop(self.end)? {
                return Ok(event);
            }
            self.news.notified().await;
        }
    }

    async fn disconnect(&self, link: LinkId) -> Result<()> {
        lock(&self.hub).unlink(self.end, link);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        lock(&self.hub).close(self.end);
        Ok(())
    }
}

fn name_of(address: &str) -> Result<&str> {
    address.strip_prefix("memory://").filter(|name| !name.is_empty()).ok_or_else(|| {
        let message = format!("read the address {address:?}: memory://name is expected");
        Error::new(ErrorKind::Config, message)
    })
}

fn lock(hub: &Mutex<Hub>) -> MutexGuard<'_, Hub> {
    hub.lock().expect("no panic while held")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_before_a_link_ended_is_received_on_both_sides() {
        let network = MemoryNetwork::new();
        let (a, b) = (network.transport("a"), network.transport("b"));
        let link = a.connect(&b.addresses()).await.unwrap();
        let TransportEvent::Connected(back) = b.recv().await.unwrap() else { panic!() };
        a.send(link, Bytes::from_static(b"there")).await.unwrap();
        b.send(back, Bytes::from_static(b"back")).await.unwrap();
        a.disconnect(link).await.unwrap();

        let there = TransportEvent::Frame(back, Bytes::from_static(b"there"));
        assert_eq!(b.recv().await.unwrap(), there);
        assert!(
            matches!(b.recv().await.unwrap(), TransportEvent::Disconnected(at, _) if at == back)
        );
        assert_eq!(a.recv().await.unwrap(), TransportEvent::Connected(link));
        let back = TransportEvent::Frame(link, Bytes::from_static(b"back"));
        assert_eq!(a.recv().await.unwrap(), back);
        assert!(
            matches!(a.recv().await.unwrap(), TransportEvent::Disconnected(at, _) if at == link)
        );
    }

    #[tokio::test]
    async fn the_newest_transport_of_a_name_is_reached() {
        let network = MemoryNetwork::new();
        let (old, new) = (network.transport("b"), network.transport("b"));
        assert_eq!(old.addresses(), Vec::<String>::new());
        drop(old);
        let a = network.transport("");
        assert_eq!(a.addresses(), Vec::<String>::new());
        a.connect(&new.addresses()).await.unwrap();
        assert!(matches!(new.recv().await.unwrap(), TransportEvent::Connected(_)));
    }

    #[tokio::test]
    async fn a_transport_can_dial_itself() {
        let network = MemoryNetwork::new();
        let a = network.transport("a");
        let link = a.connect(&a.addresses()).await.unwrap();
        let (first, second) = (a.recv().await.unwrap(), a.recv().await.unwrap());
        assert_eq!(first, TransportEvent::Connected(link));
        let TransportEvent::Connected(other) = second else { panic!() };
        a.send(link, Bytes::from_static(b"me")).await.unwrap();
        let me = TransportEvent::Frame(other, Bytes::from_static(b"me"));
        assert_eq!(a.recv().await.unwrap(), me);
    }

    #[tokio::test]
    async fn links_are_bounded_until_their_end_is_received() {
        let network = MemoryNetwork::new();
        let (a, b) = (network.transport("a"), network.transport("b"));
        for _ in 0..LINKS_MAX {
            let link = a.connect(&b.addresses()).await.unwrap();
            a.disconnect(link).await.unwrap();
            while !matches!(a.recv().await.unwrap(), TransportEvent::Disconnected(..)) {}
        }
        let error = a.connect(&b.addresses()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        while !matches!(b.recv().await.unwrap(), TransportEvent::Disconnected(..)) {}
        a.connect(&b.addresses()).await.unwrap();
    }
}
