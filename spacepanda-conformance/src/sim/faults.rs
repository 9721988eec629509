use std::time::Duration;

use bytes::Bytes;
use spacepanda_core::app::engine::{Finding, Link};

use super::{
    chance::Chance,
    gate::Fate,
    node::Harm,
    plan::{CrashAt, Fault},
    trace::Kind,
    world::{Happening, World},
};

/// How long a lost link goes unnoticed at most.
const UNNOTICED_MAX: Duration = Duration::from_secs(5);
/// How long a node pauses at most after a save that failed.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so many saves in a row that failed a node closes.
const FAILURES_MAX: u32 = 5;
/// After how long somebody starts a node again that closed.
const STARTED_AGAIN: Duration = Duration::from_secs(20);

/// What is about to go wrong.
pub(super) struct Faults {
    chance: Chance,
    frames: Vec<(usize, FrameHarm)>,
    parts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameHarm {
    Altered,
    Doubled,
}

/// Something whole again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    /// A partition.
    Part(u64),
    /// Nobody could dial a node.
    Shut(usize),
    Slow(usize),
    /// A node's sleep, in that life of it.
    Sleep(usize, u32),
    /// A copy's time.
    Clone(usize),
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed, "faults"), frames: Vec::new(), parts: 0 }
    }

    /// A frame as it arrives at a node, and whether it arrives twice.
    pub(super) fn frame(&mut self, node: usize, bytes: Bytes) -> (Bytes, bool) {
        let Some(at) = self.frames.iter().position(|(to, _)| *to == node) else {
            return (bytes, false);
        };
        match self.frames.remove(at).1 {
            FrameHarm::Doubled => (bytes, true),
            FrameHarm::Altered => {
                let mut altered = bytes.to_vec();
                if !altered.is_empty() {
                    let at = self.chance.index(altered.len());
                    altered[at] ^= 1 << self.chance.below(8);
                }
                (altered.into(), false)
            }
        }
    }

    /// From now on nothing goes wrong.
    pub(super) fn end(&mut self) {
        self.frames.clear();
    }
}

impl World<'_> {
    /// Something breaks. What names a node that there is not breaks nothing.
    pub(super) fn break_something(&mut self, fault: Fault) -> Result<(), String> {
        let nodes = self.nodes.len();
        self.note(Kind::World, 0, format_args!("{fault:?}"));
        match fault {
            Fault::Cut { one, other } => {
                for link in self.network.between(one, other) {
                    self.lose(link);
                }
            }
            Fault::Mute { from, to } => {
                for link in self.network.between(to, from) {
                    self.network.mute(link);
                    self.lose_later(link);
                }
            }
            Fault::Alter { to } => self.faults.frames.push((to, FrameHarm::Altered)),
            Fault::Double { to } => self.faults.frames.push((to, FrameHarm::Doubled)),
            Fault::Slow { who, late, lasts } => {
                self.network.slow(who, late);
                self.after(lasts, Happening::Over(Over::Slow(who)));
            }
            Fault::Part { far, lasts } => self.part(far, lasts),
            Fault::Shut { who, lasts } => {
                self.network.shut(who);
                self.after(lasts, Happening::Over(Over::Shut(who)));
            }
            Fault::Sleep { who, lasts } if who < nodes => self.sleep(who, lasts),
            Fault::Clock { who, by_ms } if who < nodes => {
                self.nodes[who].clock.jump(by_ms);
                self.nodes[who].plan_tick();
            }
            Fault::Crash { who, when: CrashAt::Now, down } if who < nodes => {
                self.crash(who, false, down)?;
            }
            Fault::Crash { who, when, down } if who < nodes => {
                self.nodes[who].harm = Some(Harm::Crash(when, down));
            }
            Fault::FailSave { who } if who < nodes => self.nodes[who].harm = Some(Harm::Fails),
            Fault::FailLoad { who } if who < nodes => self.nodes[who].misreads = true,
            Fault::Full { who, lasts } if who < nodes => {
                self.nodes[who].full = Some(self.now.saturating_add(lasts));
            }
            Fault::Stall { who, lasts } if who < nodes => {
                self.nodes[who].stalled = Some(self.now.saturating_add(lasts));
            }
            Fault::Gone { who } if who < nodes => {
                self.stop(who, true, false)?;
                self.nodes[who].gone = true;
            }
            Fault::Copy { who } if who < nodes => self.copy(who)?,
            Fault::Restore { who } if who < nodes => self.restore(who)?,
            Fault::Clone { who, lasts } => self.clone_node(who, lasts)?,
            _ => {}
        }
        Ok(())
    }

    /// Something is whole again.
    pub(super) fn mend(&mut self, over: Over) -> Result<Option<usize>, String> {
        match over {
            Over::Part(number) => self.network.meet(number),
            Over::Shut(node) => self.network.open(node),
            Over::Slow(node) => self.network.slow(node, Duration::ZERO),
            Over::Sleep(node, life) => {
                let asleep = &mut self.nodes[node];
                if asleep.life == life && asleep.asleep.is_some_and(|until| until <= self.now) {
                    asleep.asleep = None;
                    asleep.plan_tick();
                    return Ok(Some(node));
                }
            }
            Over::Clone(clone) => self.end_clone(clone)?,
        }
        Ok(None)
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn end_faults(&mut self) {
        self.faults.end();
        for node in &mut self.nodes {
            (node.harm, node.full, node.stalled) = (None, None, None);
            node.misreads = false;
        }
    }

    /// Puts a copy aside of what a node keeps, once its person is in.
    fn copy(&mut self, who: usize) -> Result<(), String> {
        if who != 0 && !self.story.people[who].joined {
            return Ok(());
        }
        self.disks.copy(who).map_err(|error| error.to_string())?;
        self.nodes[who].copied = Some(self.now);
        Ok(())
    }

    /// Whether somebody who means no harm is in, and stays.
    pub(super) fn is_in(&self, who: usize) -> bool {
        let person = &self.story.people[who];
        let joined = who == 0 || person.joined && !person.out;
        joined && !self.nodes[who].gone && !self.is_hostile(who)
    }

    /// Whether anybody else is in.
    pub(super) fn has_company(&self, who: usize) -> bool {
        let mut others = (0..self.plan_nodes()).filter(|other| *other != who);
        others.any(|other| self.is_in(other))
    }

    /// A node goes on from its copy, if it has one, if what it wrote since has reached anybody (what
    /// nobody else has is gone with it, as with the disk), and if somebody is there to add its new device.
    fn restore(&mut self, who: usize) -> Result<(), String> {
        let node = &self.nodes[who];
        let is_shared = node.devices.iter().all(|device| self.known.is_shared(who, device));
        let Some(copied) = node.copied else { return Ok(()) };
        if !is_shared || !self.has_company(who) || !node.is_running() {
            return Ok(());
        }
        // What is kept of it outside the store is as it was with some, and gone with others. These believe
        // the first member whom they meet: it must have seen what they wrote, and mean no harm.
        let others: Vec<_> =
            (0..self.nodes.len()).filter(|other| *other != who && self.is_in(*other)).collect();
        let seen = node.devices.iter().all(|device| self.known.is_held_by(&others, device));
        let gone = !who.is_multiple_of(2) && seen && self.puppets.is_empty();
        self.crash(who, false, Duration::from_secs(1))?;
        self.disks.restore(who).map_err(|error| error.to_string())?;
        let node = &mut self.nodes[who];
        node.restored = Some((copied, self.now));
        self.outcome.rollbacks += 1;
        node.finding = Some(if gone { Finding::Unknown } else { Finding::Ahead });
        self.note(Kind::World, who, format_args!("goes on from a copy"));
        Ok(())
    }

    fn part(&mut self, far: Vec<usize>, lasts: Duration) {
        self.faults.parts += 1;
        let number = self.faults.parts;
        for link in self.network.part(number, far) {
            self.lose(link);
        }
        self.after(lasts, Happening::Over(Over::Part(number)));
    }

    fn sleep(&mut self, node: usize, lasts: Duration) {
        if !self.nodes[node].is_up() || self.nodes[node].is_guest() {
            return;
        }
        self.outcome.sleeps += 1;
        self.nodes[node].asleep = Some(self.now.saturating_add(lasts));
        for link in self.network.of(node) {
            self.lose(link);
        }
        self.after(lasts, Happening::Over(Over::Sleep(node, self.nodes[node].life)));
    }

    /// Loses a link; both ends notice in a while.
    pub(super) fn lose(&mut self, link: Link) {
        let noticing = self.network.cut(link);
        self.outcome.losses += usize::from(!noticing.is_empty());
        for end in noticing {
            let unnoticed = self.faults.chance.within(UNNOTICED_MAX);
            self.after(unnoticed, Happening::Ended(end));
        }
    }

    /// One side does not hear the other any more; what it sends arrives until both notice.
    fn lose_later(&mut self, link: Link) {
        let unnoticed = self.faults.chance.within(UNNOTICED_MAX);
        self.outcome.losses += 1;
        self.after(unnoticed, Happening::Ended(link));
        if let Some(peer) = self.network.peer(link) {
            self.after(unnoticed, Happening::Ended(peer));
        }
    }

    /// A save of a node ends.
    pub(super) fn save_ends(&mut self, node: usize, life: u32) -> Result<Option<usize>, String> {
        if self.nodes[node].life != life || !self.nodes[node].is_running() {
            return Ok(None);
        }
        if let Some(until) = self.nodes[node].stalled.filter(|until| *until > self.now) {
            self.at(until, Happening::Saved(node, life));
            return Ok(None);
        }
        self.meet_point(node);
        let full = self.nodes[node].full.is_some_and(|until| until > self.now);
        let fate = match self.nodes[node].harm.take() {
            Some(Harm::Crash(when, down)) => {
                self.crash(node, when == CrashAt::AfterSave, down)?;
                return Ok(None);
            }
            Some(Harm::Fails) => Fate::Failed,
            None if full => Fate::Failed,
            None => Fate::Made,
        };
        match self.nodes[node].saved(fate)? {
            Some(progress) => self.progress(node, progress)?,
            None => {
                self.outcome.failed_saves += 1;
                return self.recover(node, false).map(|()| None);
            }
        }
        self.is_bounded(node)?;
        self.count_handed_over(node);
        Ok(Some(node))
    }

    /// A store failed: what was staged and the machine are dropped, and after a pause all is loaded
    /// again, as a node's driver does. One that fails again and again closes, until somebody starts it.
    /// A save under way was made if `kept`.
    pub(super) fn recover(&mut self, node: usize, kept: bool) -> Result<(), String> {
        let failures = self.nodes[node].failures + 1;
        let closes = failures >= FAILURES_MAX || !self.nodes[node].is_started();
        self.stop(node, kept, true)?;
        self.nodes[node].failures = if closes { 0 } else { failures };
        let pause = if closes { STARTED_AGAIN } else { self.faults.chance.within(PAUSE_MAX) };
        self.after(pause, Happening::Start(node));
        Ok(())
    }

    /// Stops a node at once, and starts it again after a while. A save under way was made if `kept`.
    fn crash(&mut self, node: usize, kept: bool, down: Duration) -> Result<(), String> {
        if !self.nodes[node].is_running() || self.nodes[node].is_guest() {
            return Ok(());
        }
        self.outcome.crashes += 1;
        let quietly = self.faults.chance.once_in(2);
        self.stop(node, kept, quietly)?;
        self.after(down, Happening::Start(node));
        Ok(())
    }

    /// Stops a node: its links are lost, or end when all that was sent has arrived.
    pub(super) fn stop(&mut self, node: usize, kept: bool, flushed: bool) -> Result<(), String> {
        self.note(Kind::World, node, format_args!("stops, kept {kept}"));
        for done in self.nodes[node].stop(kept)? {
            self.durable(node, done.appended, &done.filled)?;
        }
        for link in self.network.of(node) {
            if !flushed {
                self.lose(link);
                self.network.forget(link);
            } else if let Some((peer, at)) = self.network.close(link, self.now) {
                self.after(at.since(self.now), Happening::Ended(peer));
            }
        }
        self.forget_calls(node);
        Ok(())
    }
}
