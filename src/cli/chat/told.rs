//! What happens beside the replies, as JSON writes it.

use serde::Serialize;
use spacepanda::{
    AppError, ChannelId, Continuity, DeviceId, Event, IdentityId, Message, MessageId, ServerId,
};

use super::{
    folder::Place,
    reply::{Id, missing, split, unopened},
};

/// What it means that a node has read its store again.
const RELOADED: &str = "the store failed, and the node goes on from what was saved last: something that was \
                        shown since may not hold, may come again or may have been missed; look at \
                        `/history` and `/status`";

/// An event, with its keys in their order.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Told {
    /// The node is open and answers.
    Ready {
        identity: Id<IdentityId>,
        device: Id<DeviceId>,
        server: Option<Id<ServerId>>,
        channel: Option<Id<ChannelId>>,
    },
    /// Something to know.
    Notice {
        code: &'static str,
        message: String,
    },
    /// The node did not open, or ended by itself.
    Failed {
        code: &'static str,
        message: String,
        retryable: bool,
    },
    /// So many events were dropped: ask anew.
    Missed {
        count: u64,
    },
    /// The node goes on from what was saved last: ask anew.
    Reloaded {
        message: &'static str,
    },
    Message {
        server: Id<ServerId>,
        channel: Id<ChannelId>,
        id: Id<MessageId>,
        author: Id<IdentityId>,
        name: String,
        text: Option<String>,
        /// Milliseconds since 1970.
        at: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(skip)]
        message: Box<Message>,
    },
    MessageState {
        server: Id<ServerId>,
        channel: Id<ChannelId>,
        id: Id<MessageId>,
        state: &'static str,
    },
    MemberJoined {
        server: Id<ServerId>,
        identity: Id<IdentityId>,
        name: String,
    },
    MemberRemoved {
        server: Id<ServerId>,
        identity: Id<IdentityId>,
        name: String,
    },
    ChannelCreated {
        server: Id<ServerId>,
        channel: Id<ChannelId>,
        name: String,
    },
    PeerConnected {
        device: Id<DeviceId>,
        identity: Id<IdentityId>,
    },
    PeerDisconnected {
        device: Id<DeviceId>,
        identity: Id<IdentityId>,
    },
    JoinProgress {
        step: &'static str,
        waiting_for: &'static str,
        server: Id<ServerId>,
    },
    JoinRefused {
        code: &'static str,
        message: String,
        server: Id<ServerId>,
        identity: Id<IdentityId>,
        name: String,
    },
    Joined {
        server: Id<ServerId>,
        channel: Id<ChannelId>,
    },
    JoinFailed {
        code: &'static str,
        message: String,
        server: Id<ServerId>,
    },
    Healing {
        server: Id<ServerId>,
        waiting: Option<String>,
    },
    DeviceRenewed {
        device: Id<DeviceId>,
    },
    Unopened {
        server: Id<ServerId>,
        count: usize,
        asked: Vec<String>,
        message: String,
    },
    /// Something is not held by anybody who was met.
    Missing {
        server: Id<ServerId>,
        of: Vec<String>,
        message: String,
    },
    CaughtUp {
        server: Id<ServerId>,
        device: Id<DeviceId>,
    },
    /// Whether the data folder may be written with.
    Continuity {
        continuity: &'static str,
        message: &'static str,
    },
    /// A message waits that was accepted.
    MessageHeld {
        code: &'static str,
        message: &'static str,
        server: Id<ServerId>,
        channel: Id<ChannelId>,
        id: Id<MessageId>,
    },
}

impl Told {
    /// Why the node is not there, or no longer.
    pub(super) fn failed(error: &AppError) -> Self {
        Self::Failed {
            code: error.code(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        }
    }

    /// The node is open, and messages go there.
    pub(super) fn ready(identity: IdentityId, device: DeviceId, place: Option<Place>) -> Self {
        Self::Ready {
            identity: Id(identity),
            device: Id(device),
            server: place.map(|place| Id(place.server)),
            channel: place.map(|place| Id(place.channel)),
        }
    }

    /// Whether the data folder may be written with.
    pub(super) fn continuity(continuity: Continuity) -> Self {
        Self::Continuity { continuity: continuity.name(), message: continuity.explain() }
    }

    /// What a node told; `None` for what this program is too old to know.
    pub(super) fn event(event: Event) -> Option<Self> {
        Some(match event {
            Event::Reloaded => Self::Reloaded { message: RELOADED },
            Event::Message { server, message } => {
                let (text, reason) = split(&message.text);
                Self::Message {
                    server: Id(server),
                    channel: Id(message.channel),
                    id: Id(message.id),
                    author: Id(message.author),
                    name: message.name.clone(),
                    text,
                    at: message.at.millis(),
                    reason,
                    message: Box::new(message),
                }
            }
            Event::MessageState { server, channel, id, state } => Self::MessageState {
                server: Id(server),
                channel: Id(channel),
                id: Id(id),
                state: state.name(),
            },
            Event::MemberJoined { server, identity, name } => {
                Self::MemberJoined { server: Id(server), identity: Id(identity), name }
            }
            Event::MemberRemoved { server, identity, name } => {
                Self::MemberRemoved { server: Id(server), identity: Id(identity), name }
            }
            Event::ChannelCreated { server, channel, name } => {
                Self::ChannelCreated { server: Id(server), channel: Id(channel), name }
            }
            Event::PeerConnected { device, identity } => {
                Self::PeerConnected { device: Id(device), identity: Id(identity) }
            }
            Event::PeerDisconnected { device, identity } => {
                Self::PeerDisconnected { device: Id(device), identity: Id(identity) }
            }
            Event::JoinProgress { server, step } => Self::JoinProgress {
                step: step.name(),
                waiting_for: step.waiting_for(),
                server: Id(server),
            },
            Event::JoinRefused { server, by, name, code, message } => {
                Self::JoinRefused { code, message, server: Id(server), identity: Id(by), name }
            }
            Event::Joined { server, channel } => {
                Self::Joined { server: Id(server), channel: Id(channel) }
            }
            Event::JoinFailed { server, code, message } => {
                Self::JoinFailed { code, message, server: Id(server) }
            }
            Event::Healing { server, waiting } => Self::Healing { server: Id(server), waiting },
            Event::DeviceRenewed { device } => Self::DeviceRenewed { device: Id(device) },
            Event::Unopened { server, count, asked } => Self::Unopened {
                server: Id(server),
                count,
                message: unopened(count, &asked),
                asked,
            },
            Event::Missing { server, of } => {
                Self::Missing { server: Id(server), message: missing(&of), of }
            }
            Event::CaughtUp { server, device } => {
                Self::CaughtUp { server: Id(server), device: Id(device) }
            }
            Event::Continuity { continuity } => Self::continuity(continuity),
            Event::MessageHeld { server, channel, id, hold } => Self::MessageHeld {
                code: hold.code(),
                message: hold.explain(),
                server: Id(server),
                channel: Id(channel),
                id: Id(id),
            },
            Event::MirrorFailed { message } => Self::Notice { code: "mirror.failed", message },
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
