//! The node's decisions, as one pure machine: inputs in; reads, rows, frames and tidings out.
//!
//! The driver pushes an [`Input`], then calls [`Machine::step`] until it says [`Step::Idle`]. A step
//! that needs something says [`Step::Load`]; nothing has changed then, and it is made again with what
//! was loaded. What a step did is saved first, sent then, told last.

mod account;
mod addresses;
mod admit;
mod chance;
mod channel;
mod commands;
mod error;
mod event;
mod found;
mod frames;
mod input;
mod invite;
mod join;
mod keep;
mod links;
mod machine;
mod progress;
mod query;
mod reads;
mod reconcile;
mod rows;
mod server;
mod settle;
mod share;
mod sizes;
mod start;
mod states;
mod talk;
mod write;

pub use error::AppError;
pub use event::{Event, JoinStep, Message, MessageState, Text};
pub use input::{
    Act, Call, ChannelSummary, Command, Effects, Input, Link, Member, Reply, ServerStatus,
    ServerSummary, Status, Step, Tell,
};
pub use invite::JoinLink;
pub use machine::Machine;
pub use reads::{Loaded, Missing, Reads};
pub use sizes::Sizes;
