//! The only door: nodes, servers, channels, messages.

mod builder;
mod context;
pub mod engine;
#[cfg(test)]
mod mutation;
mod node;
mod opening;
mod os;

pub use builder::NodeBuilder;
pub use context::IdentityContext;
pub use engine::{
    AppError, ChannelSummary, Event, JoinLink, JoinStep, Member, Message, MessageState,
    ServerStatus, ServerSummary, Status, Text,
};
pub use node::{Events, InviteOptions, MessagePage, Missed, Node};
pub use opening::hint;
