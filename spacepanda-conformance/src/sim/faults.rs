use std::time::Duration;

use bytes::Bytes;

use super::{
    chance::Chance,
    trace::Kind,
    world::{Happening, World},
};

/// How long nothing breaks at most.
const PEACE_MAX: Duration = Duration::from_secs(10);
/// How long a crashed node stays down at most.
const DOWN_MAX: Duration = Duration::from_secs(20);
/// How long a partition lasts at most.
const PARTED_MAX: Duration = Duration::from_secs(40);
/// Of how many saves one is a crash.
const SAVES_PER_CRASH: u64 = 80;

/// What breaks, and when.
pub(super) struct Faults {
    chance: Chance,
    on: bool,
    /// What happens to the next frame that arrives.
    harm: Option<Harm>,
}

enum Harm {
    Altered,
    Doubled,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed, "faults"), on: false, harm: None }
    }

    /// Whether a save ends in a crash, and if so whether it was made.
    pub(super) fn crashes_at_save(&mut self) -> Option<bool> {
        (self.on && self.chance.once_in(SAVES_PER_CRASH)).then(|| self.chance.once_in(2))
    }

    /// A frame as it arrives, and whether it arrives twice.
    pub(super) fn frame(&mut self, bytes: Bytes) -> (Bytes, bool) {
        match self.harm.take() {
            None => (bytes, false),
            Some(Harm::Doubled) => (bytes, true),
            Some(Harm::Altered) => {
                let mut altered = bytes.to_vec();
                if !altered.is_empty() {
                    let at = self.chance.index(altered.len());
                    altered[at] ^= 1 << self.chance.below(8);
                }
                (altered.into(), false)
            }
        }
    }
}

impl World<'_> {
    /// From now on things break.
    pub(super) fn begin_faults(&mut self) {
        self.faults.on = true;
        self.plan_next();
    }

    /// From now on all is well: whatever is parted meets again, and whoever is down starts.
    pub(super) fn end_faults(&mut self) {
        self.faults.on = false;
        self.faults.harm = None;
        self.heal();
    }

    fn plan_next(&mut self) {
        let peace = self.faults.chance.within(PEACE_MAX);
        self.after(peace, Happening::Break);
    }

    pub(super) fn break_something(&mut self) -> Result<(), String> {
        if !self.faults.on {
            return Ok(());
        }
        match self.faults.chance.below(10) {
            0..=3 => self.lose_link(),
            4..=6 => {
                let node = self.faults.chance.index(self.nodes.len());
                let kept = self.faults.chance.once_in(2);
                self.crash(node, kept)?;
            }
            7 => self.faults.harm = Some(Harm::Altered),
            8 => self.faults.harm = Some(Harm::Doubled),
            _ => self.part(),
        }
        self.plan_next();
        Ok(())
    }

    fn lose_link(&mut self) {
        let number = self.faults.chance.below(u64::MAX);
        if let Some(link) = self.network.any(number) {
            self.outcome.losses += 1;
            self.cut(link);
        }
    }

    fn part(&mut self) {
        let chance = &mut self.faults.chance;
        let far: Vec<usize> = (0..self.nodes.len()).filter(|_| chance.once_in(2)).collect();
        let lasts = chance.within(PARTED_MAX);
        self.outcome.losses += 1;
        self.note(Kind::World, 0, format_args!("cannot reach, or is among, {far:?}"));
        for link in self.network.part(far) {
            self.cut(link);
        }
        self.after(lasts, Happening::Heal);
    }

    pub(super) fn heal(&mut self) {
        self.network.part(Vec::new());
    }

    /// Stops a node at once, and starts it again after a while. A save under way was made if `kept`.
    pub(super) fn crash(&mut self, node: usize, kept: bool) -> Result<(), String> {
        if !self.nodes[node].is_running() {
            return Ok(());
        }
        self.outcome.crashes += 1;
        let down = self.faults.chance.within(DOWN_MAX);
        let quietly = self.faults.chance.once_in(2);
        self.stop(node, kept, quietly)?;
        self.after(down, Happening::Start(node));
        Ok(())
    }

    /// Stops a node: its links are lost, or end when all that was sent has arrived.
    pub(super) fn stop(&mut self, node: usize, kept: bool, flushed: bool) -> Result<(), String> {
        self.note(Kind::World, node, format_args!("crashes, kept {kept}"));
        for done in self.nodes[node].crash(kept) {
            self.durable(done.appended)?;
        }
        for link in self.network.of(node) {
            if !flushed {
                self.cut(link);
                self.network.forget(link);
            } else if let Some((peer, at)) = self.network.close(link, self.now) {
                self.after(at.since(self.now), Happening::Ended(peer));
            }
        }
        self.forget_calls(node);
        Ok(())
    }
}
