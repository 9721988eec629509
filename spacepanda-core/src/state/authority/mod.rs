//! Who may do what, resolved the same way by everybody, without anyone to ask (AUTHORITY).

mod act;
mod capability;
mod gate;
mod log;
mod matrix;
mod operation;
mod request;
mod resolver;

pub use act::{Act, CommitFacts, LeafFacts, Need, ProposalFacts, Touch};
pub use capability::Capability;
pub use gate::{Authorized, Denied, authorize};
pub use log::{AdmitError, Authority, Missing, Recount};
pub use matrix::{Explanation, Invite, PermissionMatrix};
pub use operation::{Genesis, Line, Operation, OperationError, control_channel};
pub use request::JoinRequest;
