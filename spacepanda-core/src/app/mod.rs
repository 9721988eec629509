//! The only door: nodes, servers, channels, messages.

pub mod engine;

pub use engine::{
    AppError, ChannelSummary, Event, JoinLink, JoinStep, Member, Message, MessageState,
    ServerStatus, ServerSummary, Status, Text,
};
