//! How long a group takes to be one again after its network was parted.

use std::time::Duration;

use super::{
    chance::Chance,
    outcome::Violation,
    plan::{Entry, Fault, Plan, Step, What},
    profile::Profile,
    run::caught,
    trace::Kind,
    world::World,
};

/// When the last of those who are there at first begins to join.
const JOINS_UNTIL: Duration = Duration::from_secs(30);
/// When members make invites of their own.
const INVITES_AT: Duration = Duration::from_secs(60);
/// When the network is parted.
const PARTED_AT: Duration = Duration::from_secs(90);
/// The shortest partition.
const PARTED_MIN: Duration = Duration::from_secs(2 * 60);
/// A partition is as long as the shortest, doubled up to so many times, and up to twice that.
const DOUBLINGS: u64 = 7;
/// On each side so many people are there at least.
const SIDE_LEN_MIN: usize = 4;
/// Messages that each side writes.
const MESSAGES: usize = 8;
/// How often it is looked whether all are in one state.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A group that is not one after so long does not heal.
const HEALS_WITHIN: Duration = Duration::from_secs(60 * 60);

/// A partition, and how the group healed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healing {
    /// The seed that it follows from.
    pub seed: u64,
    /// On how many sides the nodes were.
    pub sides: usize,
    /// For how long they were parted.
    pub parted: Duration,
    /// The virtual time from the moment at which the network was whole again until all members stood on
    /// one head, with one state hash, and with nobody to let in or put out.
    pub took: Duration,
}

/// Parts `nodes` nodes into two or three sides which all talk, let somebody in and put somebody out, lets
/// the network heal, and waits until all members are in one state. There are 12 nodes at least. `watch` is
/// shown the trace, line by line.
///
/// # Errors
/// What does not hold; that they never are in one state is among it.
pub fn heal(
    seed: u64,
    nodes: usize,
    watch: Option<&mut dyn FnMut(&str)>,
) -> Result<Healing, Violation> {
    let mut chance = Chance::new(seed, "heal");
    let sides = 2 + chance.index(2);
    let parted = PARTED_MIN * (1 << chance.below(DOUBLINGS)) + chance.within(PARTED_MIN);
    // In whole seconds, as plans have whole milliseconds.
    let parted = Duration::from_secs(parted.as_secs());
    let plan = draw(seed, nodes.max(3 * SIDE_LEN_MIN), sides, parted, &mut chance);
    let mut took = Duration::ZERO;
    let builder = match watch {
        Some(watch) => World::builder(&plan).watch(watch),
        None => World::builder(&plan),
    };
    let world = World::new(builder);
    caught(seed, || {
        world.finish(|world| {
            took = world.heals()?;
            Ok(())
        })
    })?;
    Ok(Healing { seed, sides, parted, took })
}

/// A partition of `nodes`. The last of each side comes in while the network is parted.
fn draw(seed: u64, nodes: usize, sides: usize, parted: Duration, chance: &mut Chance) -> Plan {
    let sides = split(nodes, sides, chance);
    let mut entries = Vec::new();
    let mut put = |at, what| entries.push(Entry { at, what });
    let newcomers: Vec<usize> = sides.iter().filter_map(|side| side.last().copied()).collect();
    for who in (1..nodes).filter(|who| !newcomers.contains(who)) {
        put(whole_ms(chance.within(JOINS_UNTIL)), What::Do(Step::Join { who, by: 0 }));
    }
    for side in &sides {
        put(INVITES_AT, What::Do(Step::Invite { who: side[0], uses: 0 }));
    }
    for far in &sides[1..] {
        put(PARTED_AT, What::Break(Fault::Part { far: far.clone(), lasts: parted }));
    }
    for side in &sides {
        let (inviter, leaver, newcomer) = (side[0], side[1], side[side.len() - 1]);
        let mut during =
            |step| put(PARTED_AT + whole_ms(chance.within(PARTED_MIN / 2)), What::Do(step));
        during(Step::Join { who: newcomer, by: inviter });
        during(match inviter {
            0 => Step::Remove { who: 0, whom: leaver },
            _ => Step::Leave { who: leaver },
        });
        for at in 0..MESSAGES {
            during(Step::Say { who: side[at % side.len()] });
        }
    }
    entries.sort_by_key(|entry| entry.at);
    Plan { seed, profile: Profile::Calm, nodes, entries, idle: Duration::ZERO }
}

/// Everybody on sides of varied size, the founder first on the first of them.
fn split(nodes: usize, sides: usize, chance: &mut Chance) -> Vec<Vec<usize>> {
    let mut rest: Vec<usize> = (1..nodes).collect();
    let mut split = vec![Vec::new(); sides];
    split[0].push(0);
    for side in &mut split {
        while side.len() < SIDE_LEN_MIN {
            side.push(rest.swap_remove(chance.index(rest.len())));
        }
    }
    // One side is drawn as often as the others together.
    let large = chance.index(sides);
    for who in rest {
        let side = if chance.once_in(2) { large } else { chance.index(sides) };
        split[side].push(who);
    }
    split
}

fn whole_ms(duration: Duration) -> Duration {
    // Of minutes.
    Duration::from_millis(duration.as_millis() as u64)
}

impl World<'_> {
    /// Lives until the network was parted and is whole again, and says how long it takes from then on
    /// until all members are in one state.
    fn heals(&mut self) -> Result<Duration, String> {
        self.begin();
        for parted in [false, true] {
            while self.network.is_parted() == parted {
                self.happen(None)?;
            }
        }
        let whole = self.now;
        self.note(Kind::World, 0, format_args!("is whole"));
        while !self.is_one() {
            let until = self.now.saturating_add(LOOK_EVERY);
            while self.now < until {
                self.happen(Some(until))?;
            }
            if self.now.since(whole) > HEALS_WITHIN {
                return self.is_in_one_state().map(|()| self.now.since(whole));
            }
        }
        Ok(self.now.since(whole))
    }

    /// Whether all members are in one state. Asking them costs more than to see where they stand.
    fn is_one(&mut self) -> bool {
        let members = self.known.rules.members();
        let standing =
            self.nodes.iter().zip(&self.stands).filter(|(node, _)| {
                node.ids.is_some_and(|(identity, _)| members.contains(&identity))
            });
        let mut stands = standing.map(|(_, stand)| *stand);
        let first = stands.next().flatten();
        let all_there = first.is_some() && stands.all(|stand| stand == first);
        all_there && self.is_in_one_state().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_on_one_side() {
        for seed in 0..50 {
            let mut chance = Chance::new(seed, "heal");
            let sides = split(20, 2 + chance.index(2), &mut chance);
            let mut all: Vec<usize> = sides.concat();
            all.sort_unstable();
            assert_eq!(all, (0..20).collect::<Vec<_>>());
            assert!(sides[0][0] == 0 && sides.iter().all(|side| side.len() >= SIDE_LEN_MIN));
        }
    }
}
