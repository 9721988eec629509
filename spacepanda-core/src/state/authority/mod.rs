//! Who may do what, resolved the same way by everybody, without anyone to ask.

mod act;
mod capability;
mod gate;

pub use act::{Act, CommitFacts, LeafFacts, Need, ProposalFacts, Touch};
pub use capability::Capability;
pub use gate::Authorized;
