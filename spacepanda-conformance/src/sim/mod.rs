//! The simulated world: several nodes' machines with virtual time, over a network and disks of its
//! own, all from one seed.
//!
//! The world carries out what each machine decides as a node's driver does: it saves, sends then,
//! tells last. Links lose what is under way, frames of different links overtake each other, a frame
//! is altered now and then, groups of nodes cannot reach each other for a while, and nodes crash
//! before or after a save. In the end all is well again, the world runs until it is quiet, and what
//! must hold then is checked:
//!
//! - everybody in good standing has one state hash, before and after a restart;
//! - nothing accepted is lost: whoever a message is for lists it once, in the same order, and reads it
//!   if its group's state held them;
//! - nobody removed reads what was written by somebody who knew of the removal;
//! - no log forks, no call stays without an answer, and the group goes on: a last message of
//!   everybody reaches everybody.
//!
//! The same seed makes the same run, in every process: [`Outcome::trace_hash`] covers the commands,
//! the envelopes, what was told and the states.

mod carry;
mod chance;
mod check;
mod disk;
mod faults;
mod kept;
mod known;
mod network;
mod node;
mod people;
mod story;
mod trace;
mod world;

pub use world::{Outcome, Violation, World};
