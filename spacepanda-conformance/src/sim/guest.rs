use spacepanda_core::{
    app::engine::{Act, Input},
    base::{Secret, Timestamp},
};

/// A node of one's own in a world: another implementation, or a member who means harm.
///
/// It is reached at an address of its own, which is the first thing it is told, and takes part as every
/// node does: it is told of links and frames, and answers with what it does on the network. It never
/// crashes or sleeps. No call reaches it.
pub trait Guest: Send {
    /// Something reached it.
    fn take(&mut self, input: Input, now: Timestamp, seed: Secret<32>) -> Vec<Act>;

    /// It holds an invite of the founder's, by which it may join.
    fn invited(&mut self, link: &str, now: Timestamp, seed: Secret<32>) -> Vec<Act>;

    /// When it has to be given [`Input::Tick`] next.
    fn deadline(&self) -> Option<Timestamp>;
}
