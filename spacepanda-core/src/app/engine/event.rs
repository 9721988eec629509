use std::fmt;

use super::continuity::{Continuity, Hold};
use crate::base::{ChannelId, DeviceId, IdentityId, MessageId, ServerId, Timestamp};

/// Where one of one's own messages is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    /// Durable here, given to no link yet.
    Queued,
    /// Taken by a link.
    Sent,
    /// Held by a device of another person.
    Delivered,
}

impl MessageState {
    /// Its name, as interfaces write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
        }
    }
}

/// A message as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name among those of its author's device.
    pub id: MessageId,
    /// The channel it stands in.
    pub channel: ChannelId,
    /// The device that wrote it.
    pub device: DeviceId,
    /// Who wrote it.
    pub author: IdentityId,
    /// What the author is called in this server.
    pub name: String,
    /// What it says, or why it cannot be read here.
    pub text: Text,
    /// When it was written, never later than now.
    pub at: Timestamp,
    /// Where it is; others' messages are delivered.
    pub state: MessageState,
}

/// The text of a message, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// What it says.
    Known(String),
    /// It will be opened once its group's state is here, or somebody hands it over.
    Waiting {
        /// The names of those who were asked meanwhile.
        asked: Vec<String>,
    },
    /// It cannot be opened here.
    Unreadable {
        /// Why, for people.
        reason: String,
        /// The names of those who were asked meanwhile; nobody, if nobody can open it.
        asked: Vec<String>,
    },
}

impl Text {
    /// Why there is no text, and who was asked, for people.
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::Waiting { asked } => Some(with_asked("waiting for its keys", asked)),
            Self::Unreadable { reason, asked } => Some(with_asked(reason, asked)),
        }
    }
}

fn with_asked(reason: &str, asked: &[String]) -> String {
    match asked {
        [] => reason.to_owned(),
        asked => format!("{reason}; asked {}", asked.join(", ")),
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(text) => f.write_str(text),
            Self::Waiting { .. } => write!(f, "({})", self.why_not().unwrap_or_default()),
            Self::Unreadable { .. } => {
                write!(f, "(unreadable: {})", self.why_not().unwrap_or_default())
            }
        }
    }
}

/// A step of a join, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JoinStep {
    /// Dialling the addresses of the link.
    Dialling,
    /// The request was sent.
    Requested,
    /// A member let us in.
    Admitted,
    /// Loading the control channel.
    Syncing,
    /// Waiting for a member to add this device to the group.
    Adding,
    /// Waiting for the group's tree.
    Tree,
    /// In, and caught up.
    Joined,
}

impl JoinStep {
    /// Its name, as interfaces write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::Requested => "requested",
            Self::Admitted => "admitted",
            Self::Syncing => "syncing",
            Self::Adding => "adding",
            Self::Tree => "tree",
            Self::Joined => "joined",
        }
    }

    /// What this step waits for, for people.
    pub fn waiting_for(self) -> &'static str {
        match self {
            Self::Dialling => "a member to be reachable",
            Self::Requested => "a member's answer",
            Self::Admitted | Self::Syncing => "the server's control channel",
            Self::Adding => "a member to add this device to the group",
            Self::Tree => "the group's tree",
            Self::Joined => "nothing",
        }
    }
}

/// What happened, told once and not stored: after a restart an app reads on from its last position.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The store failed, and the node goes on from what was saved last: what it showed or was about to tell
    /// since may not hold, may be told again, or may never be told, and all its links have ended. Read again
    /// whatever is shown.
    Reloaded,
    /// This node is another device of its identity now.
    DeviceRenewed {
        /// Which.
        device: DeviceId,
    },
    /// A message of somebody else can be read.
    Message {
        /// In which server.
        server: ServerId,
        /// The message.
        message: Message,
    },
    /// One of one's own messages moved on.
    MessageState {
        /// In which server.
        server: ServerId,
        /// In which channel.
        channel: ChannelId,
        /// Which.
        id: MessageId,
        /// Where it is now.
        state: MessageState,
    },
    /// Somebody is a member now.
    MemberJoined {
        /// Of which server.
        server: ServerId,
        /// Who.
        identity: IdentityId,
        /// Their name there.
        name: String,
    },
    /// Somebody is no longer a member.
    MemberRemoved {
        /// Of which server.
        server: ServerId,
        /// Who.
        identity: IdentityId,
        /// Their last name there.
        name: String,
    },
    /// A channel was made.
    ChannelCreated {
        /// In which server.
        server: ServerId,
        /// Which.
        channel: ChannelId,
        /// Its name.
        name: String,
    },
    /// A device proved itself on a link.
    PeerConnected {
        /// Which.
        device: DeviceId,
        /// Whose.
        identity: IdentityId,
    },
    /// The last link with a device ended.
    PeerDisconnected {
        /// Which.
        device: DeviceId,
        /// Whose.
        identity: IdentityId,
    },
    /// A join went on.
    JoinProgress {
        /// Which server.
        server: ServerId,
        /// Where it is.
        step: JoinStep,
    },
    /// A member who was asked to let one in has refused; told again when they answer otherwise. The join goes
    /// on: others are asked, and the same again later.
    JoinRefused {
        /// Which server.
        server: ServerId,
        /// Who was asked.
        by: IdentityId,
        /// What they are called there; the beginning of their id where that is not known.
        name: String,
        /// The stable code.
        code: &'static str,
        /// Why, and what holds now, for people.
        message: String,
    },
    /// A join is complete.
    Joined {
        /// Which server.
        server: ServerId,
        /// Its first channel.
        channel: ChannelId,
    },
    /// A join was refused, or taken back by a removal or by leaving, and does not go on.
    JoinFailed {
        /// Which server.
        server: ServerId,
        /// The stable code.
        code: &'static str,
        /// What happened and what to do, for people.
        message: String,
    },
    /// Others were asked for messages that cannot be opened here, or nothing waits any more.
    Unopened {
        /// In which server.
        server: ServerId,
        /// How many wait.
        count: usize,
        /// The names of those who were asked.
        asked: Vec<String>,
    },
    /// Something is missing here that nobody who was met holds, or nothing is any more.
    Missing {
        /// In which server.
        server: ServerId,
        /// The names of those who wrote it.
        of: Vec<String>,
    },
    /// The group of a server is not whole here, or is again.
    Healing {
        /// Which server.
        server: ServerId,
        /// What it waits for, for people; `None` once it is whole.
        waiting: Option<String>,
    },
    /// It turned out whether the store may write with its device.
    Continuity {
        /// Whether it may.
        continuity: Continuity,
    },
    /// A message was accepted, and waits as nothing is written now.
    MessageHeld {
        /// In which server.
        server: ServerId,
        /// In which channel.
        channel: ChannelId,
        /// Its name.
        id: MessageId,
        /// Why.
        hold: Hold,
    },
    /// What is kept outside the store about how far its device has come cannot be used.
    MirrorFailed {
        /// What happened, for people.
        message: String,
    },
    /// Everything that a peer showed of a server is held.
    CaughtUp {
        /// Which server.
        server: ServerId,
        /// The peer.
        device: DeviceId,
    },
}
