//! The only door: nodes, servers, channels, messages.

mod announce;
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
    AppError, ChannelSummary, Continuity, Event, Hold, JoinLink, JoinStep, Member, Message,
    MessageState, ServerStatus, ServerSummary, Status, Text,
};
pub use node::{Events, InviteOptions, MessagePage, Missed, Node, ServerOptions};
pub use opening::hint;

pub use crate::state::mls::tree::Window;
