use std::{collections::BTreeSet, fmt};

use bytes::Bytes;

use super::{
    continuity::{Continuity, Finding, Hold},
    error::AppError,
    event::{Event, Message},
    reads::Reads,
};
use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, IdentityId, LogEntry, MessageId, Result, ServerId, StateId,
    },
    state::mls::tree::Window,
    store::{Batch, CrdtStore},
};

/// A link's number, as the driver's transport gave it.
pub type Link = u64;

/// Which call a reply belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(pub u64);

/// What reaches the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody calls the app API.
    Command(Call, Command),
    /// A link was made: by a dial of ours, named by its number, or by somebody else.
    Connected {
        /// The link.
        link: Link,
        /// The [`Act::Dial`] it answers.
        dial: Option<u64>,
    },
    /// A dial reached nobody.
    DialFailed {
        /// Which.
        dial: u64,
    },
    /// A frame arrived.
    Frame {
        /// On which link.
        link: Link,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A link ended.
    Disconnected {
        /// Which.
        link: Link,
    },
    /// The addresses at which this node can be reached, at the start and when they change.
    Addresses(Vec<String>),
    /// What was found outside the store about how far its device had come: once after the machine has
    /// [`Started`](Tell::Started), and again when that changes.
    Found(Finding),
    /// The machine's deadline has come.
    Tick,
}

/// A call of the app API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes a server with its first channel.
    CreateServer {
        /// Its name.
        name: String,
        /// How long its group keeps the states it left.
        window: Window,
    },
    /// Makes a channel.
    CreateChannel {
        /// Where.
        server: ServerId,
        /// Its name.
        name: String,
    },
    /// Issues an invite and makes its link.
    CreateInvite {
        /// Into which server.
        server: ServerId,
        /// How many may come by it; `None` for any number.
        max_uses: Option<u32>,
        /// For how long; `None` for 7 days.
        valid: Option<std::time::Duration>,
    },
    /// Revokes an invite by its public key.
    RevokeInvite {
        /// In which server.
        server: ServerId,
        /// Which.
        invite: [u8; 32],
    },
    /// Begins to join by a link, or asks again.
    JoinServer {
        /// The link.
        link: String,
    },
    /// Accepts a message.
    SendMessage {
        /// In which server.
        server: ServerId,
        /// In which channel.
        channel: ChannelId,
        /// What it says.
        text: String,
    },
    /// Lists messages, oldest first, ending before `before` or with the newest, after which stands what was
    /// accepted and not sent yet.
    ListMessages {
        /// In which server.
        server: ServerId,
        /// In which channel.
        channel: ChannelId,
        /// The cursor of an earlier page.
        before: Option<Bytes>,
        /// How many at most, beside what was not sent yet.
        limit: usize,
    },
    /// Removes a member.
    RemoveMember {
        /// From which server.
        server: ServerId,
        /// Whom.
        identity: IdentityId,
    },
    /// Leaves a server.
    Leave {
        /// Which.
        server: ServerId,
    },
    /// Lists members.
    Members {
        /// Of which server.
        server: ServerId,
    },
    /// Becomes another device of the same identity.
    RenewDevice,
    /// Lists servers.
    Servers,
    /// Lists the channels of a server.
    Channels {
        /// Of which server.
        server: ServerId,
    },
    /// Says that there is no other copy of the store.
    ConfirmOnlyCopy,
    /// Says how the node is, and how a server is.
    Status {
        /// Which server, if one.
        server: Option<ServerId>,
    },
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A server was made, or is being joined.
    Server {
        /// Which.
        server: ServerId,
        /// Its first channel, once it is known.
        channel: Option<ChannelId>,
    },
    /// A channel was made.
    Channel(ChannelId),
    /// An invite's link.
    Link(String),
    /// A message was accepted.
    Message(MessageId),
    /// Messages, oldest first.
    Messages {
        /// The messages.
        messages: Vec<Message>,
        /// The cursor of the page before; `None` at the beginning.
        earlier: Option<Bytes>,
    },
    /// Somebody was removed.
    Removed {
        /// The invites by which they could come back, by their public keys.
        open_invites: Vec<[u8; 32]>,
    },
    /// It is done.
    Done,
    /// Which device this node is now.
    Device(DeviceId),
    /// Members, by seniority.
    Members(Vec<Member>),
    /// Servers.
    Servers(Vec<ServerSummary>),
    /// Channels, in order.
    Channels(Vec<ChannelSummary>),
    /// How the node is.
    Status(Box<Status>),
}

/// A member of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub identity: IdentityId,
    /// Their name in the server.
    pub name: String,
    /// Whether one of their devices has a link with this one; oneself is online.
    pub online: bool,
    /// Their roles, highest first.
    pub roles: Vec<String>,
}

/// A server that this node is in, or is joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSummary {
    /// Which.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Its channels, in order.
    pub channels: Vec<ChannelSummary>,
    /// Whether the join is complete.
    pub joined: bool,
    /// Whether the join is under way; of one that is neither it was told why it ended.
    pub joining: bool,
    /// Whether this node's person is a member.
    pub member: bool,
}

/// A channel of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSummary {
    /// Which.
    pub channel: ChannelId,
    /// Its name.
    pub name: String,
}

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whose node it is.
    pub identity: IdentityId,
    /// Which device.
    pub device: DeviceId,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// The devices with a proven link.
    pub peers: Vec<DeviceId>,
    /// Messages accepted and not yet delivered.
    pub pending: usize,
    /// Whether the store may write with its device.
    pub continuity: Continuity,
    /// The device that this node was when it was opened, if it became another one because its store is
    /// older than what that device had written.
    pub gave_up: Option<DeviceId>,
    /// The server asked about.
    pub server: Option<ServerStatus>,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// The epoch of the state this device encrypts in; `None` while joining.
    pub epoch: Option<u64>,
    /// That state.
    pub stand: Option<StateId>,
    /// The state that everybody chooses.
    pub head: Option<StateId>,
    /// What the way from the one to the other waits for, for people; `None` if it is whole or on its way.
    pub healing: Option<String>,
    /// How many members there are.
    pub members: usize,
    /// One hash, equal on any two members' nodes that have converged.
    pub state_hash: [u8; 32],
    /// How many messages cannot be opened yet.
    pub unopened: usize,
    /// The names of those who were asked for them.
    pub asked: Vec<String>,
    /// The names of those of whose words or acts something is missing that nobody who was met holds.
    pub missing: Vec<String>,
    /// Why nothing is written in it now; what is accepted waits.
    pub hold: Option<Hold>,
}

/// What to do once everything before it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Send a frame on a link.
    Send(Link, Bytes),
    /// Make a link to whoever answers first at these addresses; answer `Connected` or `DialFailed`.
    Dial(u64, Vec<String>),
    /// End a link.
    Close(Link),
}

/// What to tell the application, last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// The machine has its identity and its servers; calls are answered from now on. Or it cannot go
    /// on, and says why.
    Started(Result<(IdentityId, DeviceId), AppError>),
    /// What was found outside the store is taken into account, and the store may be what is kept there
    /// from now on.
    Judged,
    /// The answer to a call.
    Reply(Call, Result<Reply, AppError>),
    /// Something happened.
    Event(Event),
}

/// What came of a step.
#[derive(Debug)]
pub enum Step {
    /// Nothing is left to do until the next input or the deadline.
    Idle,
    /// Load this, then step again with it. Nothing has changed.
    Load(Reads),
    /// One step was made.
    Done(Effects),
}

/// What a step did: save `log` and `batch` together, then carry out `acts`, then tell.
#[derive(Default)]
pub struct Effects {
    /// Entries to append to the logs of their channels.
    pub log: Vec<(ChannelId, LogEntry)>,
    /// Those of them that stand after a gap: what comes before them cannot be had.
    pub after_gaps: BTreeSet<EnvelopeId>,
    /// Bodies that came later than their headers.
    pub bodies: Vec<(ChannelId, crate::base::Tip, Bytes)>,
    /// Rows to change.
    pub batch: Batch,
    /// What to do on the network.
    pub acts: Vec<Act>,
    /// What to tell.
    pub tells: Vec<Tell>,
}

impl Effects {
    /// Stages what is to be appended to the logs.
    ///
    /// # Errors
    /// The log's: then everything staged must be dropped.
    pub async fn append_to(&self, logs: &dyn CrdtStore, batch: &mut Batch) -> Result<()> {
        for (channel, entry) in &self.log {
            if self.after_gaps.contains(&entry.id) {
                logs.append_after_gap(batch, channel, entry).await?;
            } else {
                logs.append(batch, channel, entry).await?;
            }
        }
        Ok(())
    }

    /// Whether there is nothing to keep.
    pub fn saves_nothing(&self) -> bool {
        self.log.is_empty() && self.bodies.is_empty() && self.batch.is_empty()
    }
}

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects")
            .field("log", &self.log.len())
            .field("rows", &self.batch.changes().len())
            .field("acts", &self.acts.len())
            .field("tells", &self.tells.len())
            .finish_non_exhaustive()
    }
}
