use crate::{
    app::engine::{Input, Loaded, Machine, Step},
    base::{Secret, Timestamp},
};

/// What the driver carries: the node's machine, or in tests one that follows a script.
pub(super) trait Machinery: Send + 'static {
    fn push(&mut self, input: Input);
    fn step(&mut self, loaded: &Loaded, now: Timestamp, seed: Secret<32>) -> Step;
    fn deadline(&self) -> Option<Timestamp>;
}

impl Machinery for Machine {
    fn push(&mut self, input: Input) {
        Machine::push(self, input);
    }

    fn step(&mut self, loaded: &Loaded, now: Timestamp, seed: Secret<32>) -> Step {
        Machine::step(self, loaded, now, seed)
    }

    fn deadline(&self) -> Option<Timestamp> {
        Machine::deadline(self)
    }
}
