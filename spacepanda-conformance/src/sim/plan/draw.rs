use std::time::Duration;

use super::super::{
    Profile,
    chance::Chance,
    profile::{CLONES, COMING_BACK, LONG_ABSENCES, NEVER_RETURNING, ROLLBACKS},
};
use super::{
    Deed, Entry, Fault, Malice, NODES_MAX, NODES_MIN, Plan, Setup, Step, What, fault::CrashAt,
};

/// Over how long steps and faults are spread.
const SPREAD: Duration = Duration::from_secs(240);
/// When the last of those who come at first begins to join.
const JOINS_UNTIL: Duration = Duration::from_secs(45);
/// When somebody may be removed at the earliest.
const REMOVALS_FROM: Duration = Duration::from_secs(30);
/// How long somebody removed waits before they ask to come back, at most.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// How long a fault of the moment lasts at most.
const FAULT_MAX: Duration = Duration::from_secs(40);
/// How long a node sleeps at most where it may not be away for long.
const SLEEP_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// How long a node sleeps at most.
const LONG_SLEEP_MAX: Duration = Duration::from_secs(120 * 24 * 60 * 60);
/// One run of so many is a long one: people may be away for long, and a last newcomer comes long after.
const LONG_ONE_IN: u64 = 8;
/// How long everybody idles before that.
const IDLE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// One long run of so many has a partition that lasts as long as people may be away.
const PARTED_ONE_IN: u64 = 2;
/// How far a clock jumps at most.
const JUMP_MAX_MS: i64 = 5 * 60 * 1_000;
/// Of ten steps so many are messages.
const MESSAGES_IN_TEN: usize = 3;
/// Of ten steps so many are faults, where there are any.
const FAULTS_IN_TEN: usize = 2;

/// Of ten steps so many are deeds of hostile members, where there are any.
const DEEDS_IN_TEN: usize = 1;
/// When somebody means harm at the earliest: they have come in by then, mostly.
const DEEDS_FROM: Duration = Duration::from_secs(15);
/// Members who mean harm at most.
const HOSTILE_MAX: u64 = 2;
/// How many kinds of harm one of them does at most.
const WAYS_MAX: usize = 6;

/// Of so many pleas one is the first of a series, one a minute.
const SERIES_ONE_IN: u32 = 4;
/// Of so many commits one holds more than it says.
const SMUGGLED_ONE_IN: u32 = 5;
/// Of so many lies one is a question.
const ASKED_ONE_IN: u32 = 2;
/// How many more there are in a series.
const SERIES_LEN: u32 = 8;
/// Between two of them.
const SERIES_EVERY: Duration = Duration::from_secs(60);

/// One run of so many has a node that goes on from an old copy.
const ROLLED_BACK_ONE_IN: u64 = 6;
/// One run of so many has a node of which a copy runs beside it.
const CLONED_ONE_IN: u64 = 6;
/// One run of so many has nodes whose reads fail, or whose saves take long.
const SLOW_STORES_ONE_IN: u64 = 6;
/// How often that happens in it, at most.
const SLOW_STORES_MAX: u64 = 6;

/// Kinds of faults; each is in about half of the runs.
const KINDS: usize = 12;

/// What a hostile member does is drawn from these; asking is a way to lie, and what comes after
/// that is drawn apart.
const WAYS: &[Malice] = Malice::ALL.split_at(Malice::ALL.len() - 4).0;
/// One hostile run of so many has a member who vouches too late, lays snares, or crowds.
const APART_ONE_IN: u64 = 4;
/// How often they do, at most.
const APART_MAX: u64 = 3;

struct Draw {
    chance: Chance,
    nodes: usize,
    is_long: bool,
    entries: Vec<Entry>,
}

pub(super) fn draw(seed: u64, setup: Setup) -> Plan {
    let mut chance = Chance::new(seed, "plan");
    let varied = NODES_MIN + chance.index(NODES_MAX - NODES_MIN + 1);
    let nodes = setup.nodes.unwrap_or(varied).max(2);
    let is_long = chance.once_in(LONG_ONE_IN);
    let mut draw = Draw { chance, nodes, is_long, entries: Vec::new() };
    draw.joins();
    draw.removals();
    draw.invites();
    for _ in 0..setup.steps * MESSAGES_IN_TEN / 10 {
        draw.within(SPREAD, |chance| Step::Say { who: chance.index(nodes) });
    }
    if setup.profile != Profile::Calm {
        draw.faults(setup.steps * FAULTS_IN_TEN / 10);
        draw.rollbacks(Chance::new(seed, "rollbacks"));
        draw.clones(Chance::new(seed, "clones"));
        draw.long_partition(Chance::new(seed, "partitions"));
    }
    if setup.profile == Profile::Hostile {
        draw.deeds(setup.steps * DEEDS_IN_TEN / 10);
    }
    while draw.entries.len() < setup.steps {
        draw.within(SPREAD, |chance| Step::Look { who: chance.index(nodes) });
    }
    draw.stretch();
    // After all that the first chance decides.
    if setup.profile != Profile::Calm {
        draw.slow_stores(Chance::new(seed, "stores"));
    }
    if setup.profile == Profile::Hostile {
        draw.apart(Malice::Vouch, Chance::new(seed, "vouch"));
        draw.apart(Malice::Snare, Chance::new(seed, "snare"));
        draw.apart(Malice::Crowd, Chance::new(seed, "crowd"));
    }
    // Stable: what happens at one time stays in the order in which it was drawn.
    draw.entries.sort_by_key(|entry| entry.at);
    let idle = if is_long { IDLE } else { Duration::ZERO };
    Plan { seed, profile: setup.profile, nodes, entries: draw.entries, idle }
}

impl Draw {
    fn joins(&mut self) {
        for who in 1..self.nodes {
            // Whoever came before may have an invite of their own.
            let by = if self.chance.once_in(3) { self.chance.index(who) } else { 0 };
            self.within(JOINS_UNTIL, |_| Step::Join { who, by });
        }
        for _ in 0..=self.chance.below(2) {
            self.within(SPREAD, |_| Step::Channel { who: 0 });
        }
        let other = self.other();
        self.within(SPREAD, |_| Step::Channel { who: other });
    }

    fn removals(&mut self) {
        for _ in 0..self.chance.below(4) {
            let (whom, by) = (self.other(), self.chance.index(self.nodes));
            let at = REMOVALS_FROM + self.chance.within(SPREAD - REMOVALS_FROM);
            let step = match self.chance.below(4) {
                0 => Step::Leave { who: whom },
                _ => Step::Remove { who: 0, whom },
            };
            self.put(at, What::Do(step));
            if COMING_BACK && !self.chance.once_in(3) {
                let back = at + self.chance.within(BACK_WITHIN);
                self.put(back, What::Do(Step::Join { who: whom, by }));
            }
        }
        let (who, whom) = (self.other(), self.chance.index(self.nodes));
        self.within(SPREAD, |_| Step::Remove { who, whom });
    }

    fn invites(&mut self) {
        for _ in 0..self.chance.below(4) {
            let (who, uses) = (self.chance.index(self.nodes), self.chance.below(3));
            // Below 3.
            self.within(JOINS_UNTIL, |_| Step::Invite { who, uses: uses as u32 });
        }
        if self.chance.once_in(3) {
            let (who, whose) = (self.chance.index(self.nodes), self.chance.index(self.nodes));
            self.within(SPREAD, |_| Step::Revoke { who, whose });
        }
    }

    fn faults(&mut self, count: usize) {
        let mut kinds: Vec<usize> = (0..KINDS).filter(|_| self.chance.once_in(2)).collect();
        if kinds.is_empty() {
            kinds.push(self.chance.index(KINDS));
        }
        for _ in 0..count {
            let kind = kinds[self.chance.index(kinds.len())];
            let at = self.chance.within(SPREAD);
            let fault = self.fault(kind);
            self.put(at, What::Break(fault));
        }
        if NEVER_RETURNING && self.nodes > NODES_MIN && self.chance.once_in(6) {
            let who = self.other();
            let at = self.chance.within(SPREAD);
            self.put(at, What::Break(Fault::Gone { who }));
        }
    }

    /// Of six runs one has a node that goes on from an old copy of what it keeps.
    fn rollbacks(&mut self, mut chance: Chance) {
        if ROLLBACKS && chance.once_in(ROLLED_BACK_ONE_IN) {
            let who = chance.index(self.nodes);
            let (copied, restored) = (chance.within(SPREAD), chance.within(SPREAD));
            self.put(copied.min(restored), What::Break(Fault::Copy { who }));
            self.put(copied.max(restored), What::Break(Fault::Restore { who }));
        }
    }

    /// Of six runs one has a node of which a copy runs beside it, whose person says something there.
    fn clones(&mut self, mut chance: Chance) {
        if CLONES && chance.once_in(CLONED_ONE_IN) {
            let who = chance.index(self.nodes);
            let at = JOINS_UNTIL + chance.within(SPREAD - JOINS_UNTIL);
            let lasts = whole_ms(chance.within(FAULT_MAX));
            self.put(at, What::Break(Fault::Clone { who, lasts }));
        }
    }

    /// Of six runs one has nodes whose reads fail, or whose saves take long.
    fn slow_stores(&mut self, mut chance: Chance) {
        if !chance.once_in(SLOW_STORES_ONE_IN) {
            return;
        }
        for _ in 0..=chance.below(SLOW_STORES_MAX) {
            let (who, at) = (chance.index(self.nodes), chance.within(SPREAD));
            let fault = match chance.once_in(2) {
                true => Fault::FailLoad { who },
                false => Fault::Stall { who, lasts: whole_ms(chance.within(FAULT_MAX)) },
            };
            self.put(at, What::Break(fault));
        }
    }

    /// In half of the long runs the group is parted for long, and each side goes on by itself.
    fn long_partition(&mut self, mut chance: Chance) {
        if self.is_long && chance.once_in(PARTED_ONE_IN) {
            let at = JOINS_UNTIL + chance.within(SPREAD - JOINS_UNTIL);
            let lasts = for_long(&mut chance, LONG_SLEEP_MAX);
            let far = (0..self.nodes).filter(|_| chance.once_in(2)).collect();
            self.put(at, What::Break(Fault::Part { far, lasts }));
        }
    }

    /// One or two members mean harm, each in several ways.
    fn deeds(&mut self, count: usize) {
        let mut hostile: Vec<(usize, Vec<Malice>)> = Vec::new();
        for _ in 0..=self.chance.below(HOSTILE_MAX) {
            let who = self.other();
            let ways = (0..3 + self.chance.index(WAYS_MAX - 2))
                .map(|_| WAYS[self.chance.index(WAYS.len())]);
            hostile.push((who, ways.collect()));
        }
        for _ in 0..count.max(1) {
            let (who, ways) = &hostile[self.chance.index(hostile.len())];
            let (who, malice) = (*who, ways[self.chance.index(ways.len())]);
            let at = DEEDS_FROM + self.chance.within(SPREAD - DEEDS_FROM);
            // Below 2^32.
            let number = self.chance.below(1 << 32) as u32;
            let malice = match malice {
                Malice::Commit if number.is_multiple_of(SMUGGLED_ONE_IN) => Malice::Smuggle,
                Malice::Lie if number.is_multiple_of(ASKED_ONE_IN) => Malice::Ask,
                _ => malice,
            };
            self.put(at, What::Harm(Deed { who, malice, number }));
            if malice == Malice::Plead && number.is_multiple_of(SERIES_ONE_IN) {
                for turn in 1..=SERIES_LEN {
                    let number = number.wrapping_add(turn);
                    let at = at + SERIES_EVERY * turn;
                    self.put(at, What::Harm(Deed { who, malice, number }));
                }
            }
        }
    }

    /// In a quarter of the hostile runs somebody does this as well.
    fn apart(&mut self, malice: Malice, mut chance: Chance) {
        let mut deeds = self.entries.iter().filter_map(|entry| match entry.what {
            What::Harm(deed) => Some(deed.who),
            _ => None,
        });
        let Some(who) = deeds.next().filter(|_| chance.once_in(APART_ONE_IN)) else { return };
        for _ in 0..=chance.below(APART_MAX) {
            let at = DEEDS_FROM + chance.within(SPREAD - DEEDS_FROM);
            // Below 2^32.
            let number = chance.below(1 << 32) as u32;
            self.put(at, What::Harm(Deed { who, malice, number }));
        }
    }

    fn fault(&mut self, kind: usize) -> Fault {
        let (who, lasts) = (self.chance.index(self.nodes), self.chance.within(FAULT_MAX));
        let lasts = whole_ms(lasts);
        let other = (who + 1 + self.chance.index(self.nodes - 1)) % self.nodes;
        match kind {
            0 => Fault::Cut { one: who, other },
            1 => Fault::Mute { from: who, to: other },
            2 => Fault::Alter { to: who },
            3 => Fault::Double { to: who },
            4 => Fault::Slow { who, late: lasts / 10, lasts },
            5 => {
                let chance = &mut self.chance;
                let far = (0..self.nodes).filter(|_| chance.once_in(2)).collect();
                Fault::Part { far, lasts }
            }
            6 => Fault::Shut { who, lasts },
            7 => Fault::Sleep { who, lasts: self.sleep() },
            8 => {
                let reach = 2 * JUMP_MAX_MS as u64;
                Fault::Clock { who, by_ms: self.chance.below(reach) as i64 - JUMP_MAX_MS }
            }
            9 => {
                let when = CrashAt::nth(self.chance.index(3));
                Fault::Crash { who, when, down: lasts / 2 }
            }
            10 => Fault::FailSave { who },
            _ => Fault::Full { who, lasts },
        }
    }

    fn sleep(&mut self) -> Duration {
        let most = if LONG_ABSENCES && self.is_long { LONG_SLEEP_MAX } else { SLEEP_MAX };
        for_long(&mut self.chance, most)
    }

    /// Where somebody sleeps, or the group is parted, longer than the rest lasts, people go on meanwhile,
    /// and after it.
    fn stretch(&mut self) {
        let longest = self.entries.iter().filter_map(|entry| match &entry.what {
            What::Break(Fault::Sleep { lasts, .. } | Fault::Part { lasts, .. }) => {
                (*lasts > SPREAD).then_some((*lasts, entry.at))
            }
            _ => None,
        });
        let Some((lasts, from)) = longest.max() else { return };
        for entry in &mut self.entries {
            if entry.at > from {
                let part = u32::try_from(self.chance.below(3)).unwrap_or(0);
                entry.at += whole_ms(lasts * part / 2);
            }
        }
    }

    /// Somebody but the founder.
    fn other(&mut self) -> usize {
        1 + self.chance.index(self.nodes - 1)
    }

    fn within(&mut self, most: Duration, step: impl FnOnce(&mut Chance) -> Step) {
        let at = self.chance.within(most);
        let step = step(&mut self.chance);
        self.put(at, What::Do(step));
    }

    fn put(&mut self, at: Duration, what: What) {
        self.entries.push(Entry { at: whole_ms(at), what });
    }
}

/// From seconds up: each length is as likely as one ten times as long.
fn for_long(chance: &mut Chance, most: Duration) -> Duration {
    let mut within = most;
    while within > FAULT_MAX && chance.once_in(2) {
        within /= 10;
    }
    whole_ms(chance.within(within))
}

fn whole_ms(duration: Duration) -> Duration {
    // Of at most a year.
    Duration::from_millis(duration.as_millis() as u64)
}
