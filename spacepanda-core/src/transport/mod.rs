//! The port through which whole frames travel between two devices.

pub mod memory;
pub mod paths;

use async_trait::async_trait;
use bytes::Bytes;

use crate::base::Result;

/// A link's number: given by the transport, unique in its lifetime, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What happened on a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// A link was made, by either side's `connect`; it comes before any frame of that link.
    Connected(LinkId),
    /// A link ended; the last event of that link. The text is for people.
    Disconnected(LinkId, String),
    /// One whole frame, as it was sent.
    Frame(LinkId, Bytes),
}

/// Carries whole frames, in order on one link, or the link ends.
///
/// A transport knows no keys and is never trusted: who is at the other end, the state code proves.
///
/// - A frame arrives whole, once, unchanged and in the order in which it was sent on that link, or
///   the link ends and both sides are told with [`TransportEvent::Disconnected`].
/// - Links do not wait for each other: a full link delays nobody but its own senders.
/// - Methods may be called from several tasks at once; `recv` is for one task at a time.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The addresses at which this transport can be reached now, as URLs; empty if it only dials.
    fn addresses(&self) -> Vec<String>;

    /// The greatest frame, in bytes, that `send` takes.
    fn frame_len_max(&self) -> usize;

    /// Makes a link to whoever is reached first at one of `addresses`, which are tried in order.
    ///
    /// The link it returns is also announced by [`TransportEvent::Connected`].
    ///
    /// # Errors
    /// `Unsupported` if no address is of this transport; `Config` if one of its own cannot be read;
    /// `Unavailable` if nobody answered; `Closed` after `close`.
    async fn connect(&self, addresses: &[String]) -> Result<LinkId>;

    /// Sends one frame; waits while the link is full.
    ///
    /// When it returns the frame was taken by the link, which does not say that it arrived.
    ///
    /// # Cancel safety
    /// If the future is dropped, the frame was sent whole or not at all, or the link ends.
    ///
    /// # Errors
    /// `TooLarge` above `frame_len_max`, and the link lives on; `NotConnected` if there is no such
    /// link (any more); `Closed` after `close`.
    async fn send(&self, link: LinkId, frame: Bytes) -> Result<()>;

    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost if the future is dropped.
    ///
    /// # Errors
    /// `Closed` after `close`.
    async fn recv(&self) -> Result<TransportEvent>;

    /// Ends one link; the other side is told. A link that is gone already is no error.
    async fn disconnect(&self, link: LinkId) -> Result<()>;

    /// Ends all links and stops listening. A second call does nothing.
    async fn close(&self) -> Result<()>;
}
