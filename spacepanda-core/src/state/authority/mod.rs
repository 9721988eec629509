//! Who may do what, resolved the same way by everybody, without anyone to ask.
//!
//! Operations are envelopes of the control channel. [`Authority`] holds them, judges each by
//! the same rules, and resolves any past to a [`PermissionMatrix`]; [`authorize`] is the one gate.

mod act;
mod capability;
mod cut;
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) mod decoders;
mod devices;
mod facts;
mod gate;
mod genesis;
mod heard;
mod insert;
mod join;
mod judge;
mod known;
mod log;
mod matrix;
mod operation;
mod policy;
mod query;
mod resolve;
mod resolved;
mod resolver;
mod standing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod view;

pub use crate::base::Name;
pub use act::{Act, CommitFacts, LeafFacts, Need, ProposalFacts, Touch};
pub use capability::Capability;
pub use cut::{Said, is_up_to};
pub use gate::{Authorized, Denied, authorize};
pub use genesis::{GENESIS_VERSION, Genesis, control_channel, server_of};
pub use heard::{HeardLine, heard};
pub use insert::{InsertError, Inserted};
pub use join::{JoinRequest, JoinRequestError, KEY_PACKAGE_LEN_MAX};
pub use known::{AdmitError, OpenInvite};
pub use matrix::{Because, ChannelPolicy, Explanation, Invite, Member, PermissionMatrix};
pub use operation::{ControlOp, IssueInvite, Operation, OperationError, Role};
pub use policy::{CommitFault, CommitHeader};
pub use query::Judged;
pub use resolver::{Authority, Missing, Recount};
pub use standing::{Seniority, Standing};
