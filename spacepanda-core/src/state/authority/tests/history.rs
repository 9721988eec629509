//! Random histories of a control channel.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::{
    super::{HeardLine, Name, Operation},
    world::{At, World, invite},
};
use crate::state::envelope::PayloadType;

pub(super) const PEOPLE: u8 = 7;

/// Sides that write in parallel, meet now and then, and lie about what they know.
pub(super) struct History {
    rng: ChaCha8Rng,
    pub(super) world: World,
    /// What each side knows.
    sides: Vec<BTreeSet<At>>,
    hostile_percent: u32,
    keys: Vec<u8>,
}

impl History {
    /// `len` envelopes that follow from a seed.
    pub(super) fn random(seed: u64, len: usize) -> World {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let owners = 1 + rng.next_u32() as usize % 3;
        let sides = 2 + rng.next_u32() as usize % 4;
        let hostile_percent = rng.next_u32() % 31;
        let sides = vec![BTreeSet::from([0]); sides];
        let world = World::new(owners, PEOPLE);
        let mut history = Self { rng, world, sides, hostile_percent, keys: Vec::new() };
        while history.world.envelopes.len() < len {
            history.step();
        }
        history.world
    }

    /// A server where whoever writes knows everything and is who they say.
    pub(super) fn honest(seed: u64, owners: usize) -> Self {
        let world = World::new(owners, PEOPLE);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { rng, world, sides: vec![], hostile_percent: 0, keys: vec![] }
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.rng.next_u32() as usize % limit
    }

    fn step(&mut self) {
        let (side, other) = (self.below(self.sides.len()), self.below(self.sides.len()));
        if self.below(100) < 15 {
            let theirs = self.sides[other].clone();
            self.sides[side].extend(theirs);
            return;
        }
        let hostile = self.below(100) < self.hostile_percent as usize;
        let knows = if hostile { self.any() } else { self.world.latest(&self.sides[side]) };
        let known = self.world.closure(&knows);
        let Some(author) = self.author(&known) else { return };
        let at = self.act(author, &knows, &known);
        self.sides[side].extend(known);
        self.sides[side].insert(at);
    }

    /// Some envelopes that happen to be there, the genesis among their past.
    fn any(&mut self) -> Vec<At> {
        let count = 1 + self.below(2);
        let picked: BTreeSet<_> =
            (0..count).map(|_| self.below(self.world.envelopes.len())).collect();
        self.world.latest(&self.world.closure(&picked.into_iter().collect::<Vec<_>>()))
    }

    /// Somebody whom the past certifies, whether they may act or not.
    fn author(&mut self, known: &BTreeSet<At>) -> Option<usize> {
        let person = self.below(self.world.people.len());
        let ids: Vec<_> = known.iter().map(|at| self.world.id(*at)).collect();
        let device = self.world.people[person].device_id();
        self.world.authority.certifies(&ids, &device).map(|_| person)
    }

    pub(super) fn act(&mut self, author: usize, knows: &[At], known: &BTreeSet<At>) -> At {
        match self.below(20) {
            0 | 1 => return self.introduce(author, knows),
            2 => return self.revoke(author, knows),
            _ => {}
        }
        let target = self.below(PEOPLE.into());
        let operation = match self.below(20) {
            0..=3 => self.issue(),
            4..=9 if !self.keys.is_empty() => {
                let key = self.below(self.keys.len());
                self.world.admission(self.keys[key], target)
            }
            10 => match self.earlier(known, |op| matches!(op, Operation::IssueInvite(_))) {
                Some(at) => Operation::RevokeInvite { invite: self.world.id(at) },
                None => Operation::Leave,
            },
            11..=13 => {
                let heard = self.lines(target, known);
                self.world.removal(target, heard)
            }
            14 => match self.earlier(known, |op| matches!(op, Operation::Kick { .. })) {
                Some(at) => {
                    let channel = self.world.control();
                    let mut heard = self.lines(target, known);
                    if heard.is_empty() {
                        heard.push(HeardLine { channel, tips: vec![] });
                    }
                    Operation::Heard { removal: self.world.id(at), heard }
                }
                None => return self.vote(author, knows),
            },
            15 if self.below(2) == 0 => Operation::Leave,
            16 | 17 => {
                let name = Name::new(&format!("name {}", self.below(9))).unwrap();
                let target = (self.below(2) == 0).then(|| self.world.who(target));
                Operation::SetNickname { target, name }
            }
            _ => return self.vote(author, knows),
        };
        self.world.write(author, knows, operation)
    }

    /// A further device of the author's, its first envelope; of few people, so that some have many.
    fn introduce(&mut self, author: usize, knows: &[At]) -> At {
        let certificate = self.world.people[author].certificate.identity();
        let owner = (0..PEOPLE.into()).find(|n| self.world.who(*n) == certificate).unwrap();
        let device = match self.below(4) {
            0 => author,
            _ => {
                let number = u8::try_from(self.world.people.len()).unwrap();
                self.world.device(owner, number)
            }
        };
        // What speaks for another device than its own is kept, and introduces nobody.
        let writer = if self.below(6) == 0 { author } else { device };
        let operation = self.world.introduction(device);
        self.world.write(writer, knows, operation)
    }

    /// A revocation of any device, mostly of the author's, by any signature, mostly the right one.
    fn revoke(&mut self, author: usize, knows: &[At]) -> At {
        let who = self.world.who(author);
        let people = self.world.people.iter();
        let theirs: Vec<_> = people.filter(|p| p.id() == who).map(|p| p.device_id()).collect();
        let any = self.below(self.world.people.len());
        let device = match self.below(6) {
            0 => self.world.people[any].device_id(),
            _ => theirs[self.below(theirs.len())],
        };
        let signer = if self.below(6) == 0 { any } else { author };
        let operation = self.world.revocation(signer, device);
        self.world.write(author, knows, operation)
    }

    /// No line, or one that says what of somebody's log was known, or something of it.
    fn lines(&mut self, target: usize, known: &BTreeSet<At>) -> Vec<HeardLine> {
        let device = self.world.people[target].device_id();
        let theirs = known.iter().map(|at| self.world.envelopes[*at].tip());
        let mut tips: Vec<_> = theirs.filter(|tip| tip.device == device).collect();
        tips.sort_unstable();
        let keep = self.below(tips.len() + 1);
        let channel = self.world.control();
        match self.below(3) {
            0 => vec![],
            1 => vec![HeardLine { channel, tips }],
            _ => vec![HeardLine { channel, tips: tips.split_off(keep) }],
        }
    }

    /// A new invite, or another one of a key that somebody else's has.
    fn issue(&mut self) -> Operation {
        let copied = !self.keys.is_empty() && self.below(5) == 0;
        let key = if copied {
            let key = self.below(self.keys.len());
            self.keys[key]
        } else {
            u8::try_from(self.keys.len()).unwrap()
        };
        self.keys.push(key);
        let uses = [None, Some(1), Some(2)];
        let uses = uses[self.below(3)];
        invite(key, uses)
    }

    fn earlier(&mut self, known: &BTreeSet<At>, is: impl Fn(&Operation) -> bool) -> Option<At> {
        let payload = |at: &At| &self.world.envelopes[*at].header().payload;
        let found: Vec<_> = known
            .iter()
            .copied()
            .filter(|at| Operation::decode(payload(at)).is_ok_and(|op| is(&op)))
            .collect();
        (!found.is_empty()).then(|| found[self.below(found.len())])
    }

    fn vote(&mut self, author: usize, knows: &[At]) -> At {
        let made = self.world.sign(author, knows, PayloadType::Vote, vec![1]);
        self.world.arrive(made)
    }
}
