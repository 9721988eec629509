//! The node's decisions, as one pure machine: inputs in; reads, rows, frames and tidings out.
//!
//! The driver pushes an [`Input`], then calls [`Machine::step`] until it says [`Step::Idle`]. A step
//! that needs something says [`Step::Load`]; nothing has changed then, and it is made again with what
//! was loaded. What a step did is saved first, sent then, told last.

mod account;
mod addresses;
mod admit;
mod branches;
mod chance;
mod channel;
mod choose;
mod comeback;
mod commands;
mod continuity;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
mod decoders;
mod enter;
mod error;
mod event;
mod found;
mod frames;
mod gaps;
mod handover;
mod input;
mod invite;
mod join;
mod keep;
mod links;
mod machine;
mod misled;
mod new_device;
mod packages;
mod pleas;
mod progress;
mod published;
mod query;
mod reads;
mod reconcile;
mod renew;
mod rows;
mod server;
mod settle;
mod share;
mod sizes;
mod start;
mod start_over;
mod states;
mod talk;
mod tenure;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod version;
mod write;

pub use continuity::{Continuity, Finding, Hold};
#[cfg(any(test, fuzzing))]
pub use decoders::decoders;
pub use error::AppError;
pub use event::{Event, JoinStep, Message, MessageState, Text};
pub use input::{
    Act, Call, ChannelSummary, Command, Effects, Input, Link, Member, Reply, ServerStatus,
    ServerSummary, Status, Step, Tell,
};
pub use invite::JoinLink;
pub use machine::Machine;
pub use reads::{LOAD_ROUNDS_MAX, Loaded, Missing, Reads};
pub use sizes::Sizes;
