use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use spacepanda_core::app::engine::Finding;

use super::{
    chance::Chance,
    faults::Over,
    plan::{Fault, Plan, Step, What},
    trace::Kind,
    world::{Happening, World},
};

/// When something is said at a copy that runs, at most: while it is not noticed yet, perhaps.
const SAID_WITHIN: Duration = Duration::from_secs(5);
/// How much is said there.
const WORDS: usize = 3;

/// Copies of nodes that run beside them: each is one more node of the world.
#[derive(Debug, Default)]
pub(super) struct Clones {
    /// The node that a copy of another is, by that other.
    of: BTreeMap<usize, usize>,
}

impl Clones {
    /// Those that a plan has, from this node on.
    pub(super) fn new(plan: &Plan, first: usize) -> Self {
        let cloned = plan.entries.iter().filter_map(|entry| match &entry.what {
            What::Break(Fault::Clone { who, .. }) if *who < plan.nodes => Some(*who),
            _ => None,
        });
        let cloned: BTreeSet<_> = cloned.collect();
        Self { of: cloned.into_iter().zip(first..).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Whose words are said at a node.
    pub(super) fn original(&self, node: usize) -> usize {
        let mut all = self.of.iter();
        all.find(|(_, clone)| **clone == node).map_or(node, |(original, _)| *original)
    }
}

impl World<'_> {
    /// A copy of a node begins to run, if its person is in and means no harm, and if somebody is there to
    /// add its new device. Its person says something at both.
    pub(super) fn clone_node(&mut self, who: usize, lasts: Duration) -> Result<(), String> {
        let Some(clone) = self.clones.of.get(&who).copied() else { return Ok(()) };
        let ran = self.nodes[clone].life > 0;
        let has_place = self.is_in(who) && self.has_company(who);
        if ran || !has_place || !self.nodes[who].is_started() {
            return Ok(());
        }
        let Some((identity, device)) = self.nodes[who].ids else { return Ok(()) };
        self.note(Kind::World, who, format_args!("a copy runs as node {clone}"));
        self.disks.clone_to(who, clone).map_err(|error| error.to_string())?;
        self.known.cloned.insert(device);
        self.outcome.clones += 1;
        self.nodes[clone].is_now((identity, device));
        // Somewhere else nothing is known of how far its device had come.
        self.nodes[clone].finding = Some(Finding::Unknown);
        let channels = self.story.people[who].channels.clone();
        let person = &mut self.story.people[clone];
        (person.joined, person.channels) = (true, channels);
        self.after(Duration::ZERO, Happening::Start(clone));
        let mut chance = Chance::new(self.seed(), "words at a copy");
        for _ in 0..WORDS {
            for who in [who, clone] {
                self.after(chance.within(SAID_WITHIN), Happening::Do(Step::Say { who }));
            }
        }
        self.after(lasts, Happening::Over(Over::Clone(clone)));
        Ok(())
    }

    /// A copy stops, and is never started again.
    pub(super) fn end_clone(&mut self, clone: usize) -> Result<(), String> {
        if !self.nodes[clone].gone {
            self.stop(clone, true, false)?;
            self.nodes[clone].gone = true;
        }
        Ok(())
    }

    /// No copy runs any more.
    pub(super) fn end_clones(&mut self) -> Result<(), String> {
        let clones: Vec<_> = self.clones.of.values().copied().collect();
        clones.into_iter().try_for_each(|clone| self.end_clone(clone))
    }
}
