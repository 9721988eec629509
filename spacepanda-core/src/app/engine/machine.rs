use super::{Input, Loaded, Step};
use crate::base::{Secret, Timestamp};

/// One node's decisions.
#[derive(Debug)]
pub struct Machine {}

impl Machine {
    /// A machine before its first step, which loads or makes the identity. `name` is what its person
    /// is called at first; it is needed only where no identity is kept yet.
    pub fn new(_name: Option<String>) -> Self {
        Self {}
    }

    /// Queues an input.
    pub fn push(&mut self, _input: Input) {}

    /// Makes the next step. `loaded` answers the [`Step::Load`] before, all rounds together; else it
    /// is empty.
    pub fn step(&mut self, _loaded: &Loaded, _now: Timestamp, _seed: Secret<32>) -> Step {
        Step::Idle
    }

    /// When [`Input::Tick`] is due next.
    pub fn deadline(&self) -> Option<Timestamp> {
        None
    }
}
