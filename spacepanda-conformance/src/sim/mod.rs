//! The simulated world: several nodes' machines with virtual time, over a network and disks of its
//! own, all from one seed.
//!
//! A run is a [`Plan`]: what people do and what breaks, as data drawn from a seed. The world carries out
//! what each machine decides as a node's driver does: it saves, sends then, tells last. Links lose what
//! is under way, frames are altered, doubled and late, some nodes cannot reach or hear each other, sleep,
//! crash around a save, cannot save, have clocks that jump, or never return. In the end all is well
//! again, the world runs until it is quiet, and what must hold is checked, now, after a restart, and
//! once a newcomer came in; in one run of eight, the long ones, also after 90 days:
//!
//! - everybody in good standing stands on the group's head with one state hash, which covers authority,
//!   structure and what is held of each channel; names are those that their people gave; who has a leaf there, and whom each
//!   node lists, is who is a member by rules that are written down once more here;
//! - everything accepted is at whoever it is for, once, in one order, from whoever signed it, as they said
//!   it, readable if its group's state held them;
//! - nothing is shown that does not count, and nobody removed reads what was written by somebody who
//!   knew of the removal;
//! - no log forks, no message's name is used twice, no call stays without an answer, what is held in
//!   memory is bounded, and the group goes on: a last message of everybody reaches everybody, and a
//!   newcomer comes in.
//!
//! The same plan makes the same run, in every process: [`Outcome::trace_hash`] covers the commands, the
//! envelopes, what was told and the states.
//!
//! Others can run their own nodes and backends in it: [`Disks`] is where nodes keep things, and a
//! [`Guest`] is a node of one's own.
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//!
//! use spacepanda_conformance::sim::{Disks, Plan, Setup, World};
//! use spacepanda_core::{base::Result, store::ProviderStorageBackend};
//! use spacepanda_store_memory::MemoryStore;
//!
//! #[derive(Default)]
//! struct Mine(BTreeMap<usize, Arc<MemoryStore>>);
//!
//! impl Disks for Mine {
//!     fn open(&mut self, node: usize) -> Result<Arc<dyn ProviderStorageBackend>> {
//!         Ok(self.0.entry(node).or_default().clone())
//!     }
//! }
//!
//! let plan = Plan::draw(1, Setup { nodes: Some(3), steps: 30, ..Setup::default() });
//! match World::builder(&plan).disks(Mine::default()).run() {
//!     Ok(outcome) => println!("{} messages", outcome.totals.messages),
//!     Err(violation) => panic!("{violation}\n{plan}"),
//! }
//! ```

mod ask;
mod branches;
mod carry;
mod chance;
mod check;
mod clock;
mod clones;
mod devices;
mod disk;
mod disks;
mod faults;
mod gate;
mod guest;
mod heal;
mod hostile;
mod kept;
mod known;
mod network;
mod node;
mod open;
mod outcome;
mod packages;
mod people;
mod plan;
mod points;
mod profile;
mod rules;
mod run;
mod set;
mod shrink;
mod story;
mod trace;
mod world;

pub use disks::{Disks, MemoryDisks};
pub use guest::Guest;
pub use heal::{Healing, heal};
pub use open::{Opening, open};
pub use outcome::{Outcome, Totals, Violation};
pub use plan::{CrashAt, Deed, Entry, Fault, Malice, Plan, PlanError, STEPS, Setup, Step, What};
pub use points::{Befalls, Point};
pub use profile::{CLONES, COMING_BACK, LONG_ABSENCES, NEVER_RETURNING, Profile, ROLLBACKS};
pub use run::{Ran, jobs, run_all, run_caught, spread};
pub use shrink::shrink;
pub use world::{World, WorldBuilder};
