//! Reconciliation of logs between two devices: who lacks what, served in causal order and in bounded
//! pages, then pushed as it comes.
//!
//! Envelopes are opaque here. The engine does no I/O: the driver hands it events and carries out its
//! actions, in the order in which [`SyncEngine::poll`] gives them.
//!
//! For each channel that a peer and this device share with one another:
//!
//! 1. each sends a digest of the frontier it shows; equal digests end it;
//! 2. else each sends that frontier, and serves from its store what the other lacks;
//! 3. from then on new entries are pushed, and each tells the tips that it came to hold.
//!
//! A peer that shows tips which do not arrive is asked again with growing pauses, then left alone.
//!
//! Whoever holds the beginning of a log, and for whom only what stands further on is, is served the
//! headers in between first, in the order of the log: its log has no hole, and nothing of it waits.

mod bodies;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod engine;
mod exchange;
mod frame;
mod lacking;
mod learn;
mod peer;
mod pump;
mod scope;
mod serve;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use crate::base::{
    ChannelId, DeviceId, EnvelopeId, Floors, Frontier, LogEntry, PeerId, Timestamp, Tip, limits,
};

pub use engine::FrontierSync;
pub use frame::FrameError;

/// Bytes of a frame's payload, unless it holds one envelope that is greater.
pub const FRAME_LEN_MAX: usize = 60 * 1024;
/// Bytes of any frame's payload.
pub const FRAME_LEN_LIMIT: usize = limits::ENVELOPE_LEN_MAX + 1024;
/// Bytes sent to one peer that it has not acknowledged, beyond which no further page is begun.
pub const WINDOW_BYTES: usize = 1024 * 1024;
/// Entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 256;
/// Bytes of a page, unless it holds one entry that is greater.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Channels of which state is kept for one peer.
pub const CHANNELS_PER_PEER_MAX: usize = 4 * limits::CHANNELS_MAX;
/// Bytes of envelopes of one peer that the driver has not taken yet.
pub const INBOX_BYTES_MAX: usize = limits::PEER_BYTES_MAX / 2;
/// Tips that one peer may have shown and this device not hold.
pub const TIPS_PER_PEER_MAX: usize = limits::PEER_BYTES_MAX / 160;
/// Exchanges of one channel that are begun anew on one link.
pub const ROUNDS_MAX: u64 = 1 << 32;
/// Bodies asked of one peer at the same time.
pub const ASKS_MAX: usize = 8;
/// Bodies that wait to be asked of, or by, one peer.
pub const ASKS_WAITING_MAX: usize = 1_024;
/// How long a peer has to answer for a body.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a peer is first asked again for what it showed and did not send.
pub const RETRY_MIN: Duration = Duration::from_secs(5);
/// The longest such pause.
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often a peer is asked again without anything arriving, before it is left alone.
pub const RETRIES_MAX: u32 = 10;

/// Decides what is exchanged with whom.
///
/// - `handle` takes an event and never fails; what concerns a peer that is not connected, or a
///   channel that is not open, is ignored.
/// - `poll` gives the next action, or `None` when there is nothing to do until the next event. It is
///   to be called until it gives `None`; what a step asks for is gathered until then.
/// - `deadline` is when [`Event::Tick`] is due next; `None` if nothing waits for time.
/// - Nothing is served to a peer but what was shared with it.
pub trait SyncEngine {
    /// Takes what happened at `now`.
    fn handle(&mut self, event: Event, now: Timestamp);
    /// Gives the next thing to do.
    fn poll(&mut self) -> Option<Action>;
    /// When the next [`Event::Tick`] is due.
    fn deadline(&self) -> Option<Timestamp>;
}

/// Names a read, so that its answer finds what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Where what a reader gets begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Everything is for the reader.
    Beginning,
    /// Of each log what stands at its floor or after it; nothing of a log without one.
    Floors(Floors),
}

impl Start {
    /// The start for a peer that is served nothing, not even a single header: only wanted from.
    pub fn nothing() -> Self {
        Self::Floors(Floors::new())
    }
}

/// What the engine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `channel` is known here, and `frontier` is what is held of it. Comes before anything else about
    /// the channel; a second one replaces the frontier.
    Open {
        /// The channel.
        channel: ChannelId,
        /// Its tips held here, saved.
        frontier: Frontier,
    },
    /// A link with `peer` stands, and its device is proven. A second one begins anew.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// The link with `peer` is gone; everything kept for it is dropped.
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// From now on serve `peer` of `channel`, and take from it. Both sides must share a channel for
    /// anything to pass: who only wants to receive shares [`Start::Floors`] without a floor. Sharing
    /// again replaces start and limit and begins the exchange anew.
    Share {
        /// The peer.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// Whether it is a control channel: these are served before all others.
        control: bool,
        /// Where it begins.
        from: Start,
        /// Nothing that these tips, all held here, do not cover; `None` for no limit.
        up_to: Option<Frontier>,
    },
    /// Serve `peer` nothing more of `channel`, and take nothing more of it.
    Unshare {
        /// The peer.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
    },
    /// `entry` is now saved here, one's own or received.
    Advanced {
        /// The channel.
        channel: ChannelId,
        /// The entry, its body included where held.
        entry: LogEntry,
        /// Whether the log has a gap before it.
        after_gap: bool,
    },
    /// The envelope at `tip` is never kept here: it does not count as lacking any more.
    PassedOver {
        /// The channel.
        channel: ChannelId,
        /// The envelope.
        tip: Tip,
    },
    /// What is missing in a gap at `tip` is not for this device: the log begins after it.
    NoGap {
        /// The channel.
        channel: ChannelId,
        /// What is missing.
        tip: Tip,
    },
    /// The body of an envelope is now held here: nobody need be asked for it.
    BodyHeld {
        /// The channel.
        channel: ChannelId,
        /// The envelope.
        id: EnvelopeId,
    },
    /// Ask `ask` for the envelope at `tip` with its body, or, where it stands below one's floor, for
    /// its header. Answered by [`Action::DeliverBody`] or [`Action::NotHeld`].
    Want {
        /// The channel.
        channel: ChannelId,
        /// The envelope.
        tip: Tip,
        /// Whom to ask.
        ask: PeerId,
    },
    /// An envelope of `device` came from `ask` and does not follow what is held of that log. Once in a
    /// round `ask` is told where the log ends here, if it was not shown that: it then serves what it has
    /// in between.
    Gap {
        /// The channel.
        channel: ChannelId,
        /// Whose log it is.
        device: DeviceId,
        /// Who sent it.
        ask: PeerId,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// Of that action.
        ticket: Ticket,
        /// What is missing, in causal order; empty if nothing is.
        entries: Vec<LogEntry>,
    },
    /// The answer to [`Action::Probe`].
    Probed {
        /// Of that action.
        ticket: Ticket,
        /// Those of the tips that are held, in any order.
        held: Vec<Tip>,
    },
    /// The answer to [`Action::LoadEntry`].
    LoadedEntry {
        /// Of that action.
        ticket: Ticket,
        /// The envelope as the action asks for it; `None` if it is not held or not for this peer.
        entry: Option<LogEntry>,
    },
    /// A frame of kind *sync* came from `peer`.
    Received {
        /// The peer.
        peer: PeerId,
        /// The frame's payload.
        bytes: Bytes,
    },
    /// Time passed.
    Tick,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read what `have` does not cover of `channel` from `floors` on (`CrdtStore::missing`, with just
    /// these arguments) and answer [`Event::Loaded`]: with saved entries only, of which
    /// [`Event::Advanced`] was said, and with the headers alone of those that stand before
    /// `bare_below`.
    Load {
        /// To be repeated in the answer.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// Where each log begins.
        floors: Floors,
        /// Of some logs, what comes before the reader's floor and is given without its body.
        bare_below: Floors,
        /// What is not missing.
        have: Frontier,
        /// Entries at most.
        limit: usize,
        /// Bytes at most, but always one entry.
        bytes_max: usize,
    },
    /// Find which of `tips` are held (`CrdtStore::entry`) and answer [`Event::Probed`].
    Probe {
        /// To be repeated in the answer.
        ticket: Ticket,
        /// The channel.
        channel: ChannelId,
        /// The tips in question.
        tips: Vec<Tip>,
    },
    /// Read the envelope at `tip` for `peer` and answer [`Event::LoadedEntry`].
    LoadEntry {
        /// To be repeated in the answer.
        ticket: Ticket,
        /// Who asks.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// The envelope.
        tip: Tip,
        /// It stands below the peer's floor: give the header alone, and only if it is a parent of
        /// what is the peer's.
        bare: bool,
    },
    /// Decode and verify an envelope that came, keep it, and say [`Event::Advanced`] once saved.
    Deliver {
        /// From whom.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// The envelope as it travelled, at most `ENVELOPE_LEN_MAX` bytes; nothing is checked.
        bytes: Bytes,
    },
    /// As `Deliver`, for the envelope that was wanted at `tip`.
    DeliverBody {
        /// From whom.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// The envelope that was asked for.
        tip: Tip,
        /// What came; nothing is checked.
        bytes: Bytes,
    },
    /// `peer` does not have what was wanted, or did not say within [`ASK_TIMEOUT`].
    NotHeld {
        /// Whether the peer said so.
        said: bool,
        /// Who was asked.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// The envelope.
        tip: Tip,
    },
    /// Send one frame of kind *sync*.
    Send {
        /// To whom.
        peer: PeerId,
        /// The frame's payload, at most [`FRAME_LEN_LIMIT`] bytes.
        bytes: Bytes,
    },
    /// All is held of `channel` that `peer` showed at one moment after the link was made.
    CaughtUp {
        /// The peer.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
    },
    /// `peer` holds these tips, and all that is before them.
    Covered {
        /// The peer.
        peer: PeerId,
        /// The channel.
        channel: ChannelId,
        /// The tips that it named; of other logs nothing changed.
        tips: Vec<Tip>,
    },
    /// `peer` broke the protocol: close the link. The engine has dropped it already.
    Fault {
        /// The peer.
        peer: PeerId,
        /// How.
        why: Fault,
    },
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A frame that cannot be read.
    #[error("a sync frame cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// It shows more tips than are kept for one peer.
    #[error("a peer shows more tips than are kept for one")]
    TooManyTips,
    /// It sends more than its window.
    #[error("a peer sends more than its window")]
    WindowExceeded,
    /// It begins exchanges anew without end.
    #[error("a peer begins exchanges anew too often")]
    TooManyRounds,
}
