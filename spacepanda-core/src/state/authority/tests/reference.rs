//! What counts, from its definition: slow, memoised, sharing nothing with the resolver but the
//! operations' types. Sets of envelopes are bit masks.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::Operation,
    world::{At, World},
};
use crate::{
    base::{DeviceId, IdentityId},
    state::identity::DeviceCertificate,
};

type Set = u64;

/// What a set resolves to, in plain values.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    pub(super) counting: Set,
    pub(super) members: BTreeMap<IdentityId, u64>,
    pub(super) nicknames: BTreeMap<IdentityId, String>,
    pub(super) open: Vec<At>,
    pub(super) devices: BTreeMap<DeviceId, IdentityId>,
}

pub(super) struct Reference<'a> {
    world: &'a World,
    past: Vec<Set>,
    ops: Vec<Option<Operation>>,
    owners: Vec<IdentityId>,
    /// The revocations that count, which follow from their pasts alone.
    revocations: Vec<At>,
    counts: HashMap<(At, Set), bool>,
    standing: HashMap<At, Option<(u64, Option<At>)>>,
}

const GENESIS: u64 = 1_000_000;

fn bits(set: Set) -> impl Iterator<Item = At> {
    (0..64).filter(move |at| set >> at & 1 == 1)
}

impl<'a> Reference<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let mut past: Vec<Set> = Vec::new();
        for at in 0..world.envelopes.len() {
            let named = world.named(at);
            past.push(named.into_iter().fold(0, |set, parent| set | past[parent] | 1 << parent));
        }
        let payloads = world.envelopes.iter().map(|envelope| &envelope.header().payload);
        let ops: Vec<_> = payloads.map(|payload| Operation::decode(payload).ok()).collect();
        let owners = match &ops[0] {
            Some(Operation::Genesis(genesis)) => {
                genesis.owners.iter().map(|o| o.identity).collect()
            }
            _ => panic!("a history begins with its genesis"),
        };
        let (counts, standing) = (HashMap::new(), HashMap::new());
        let mut made = Self { world, past, ops, owners, revocations: vec![], counts, standing };
        for at in 0..world.envelopes.len() {
            if made.finds_revocation(at) {
                made.revocations.push(at);
            }
        }
        made
    }

    pub(super) fn closure(&self, tips: &[At]) -> Set {
        tips.iter().fold(0, |set, at| set | self.past[*at] | 1 << at)
    }

    pub(super) fn outcome(&mut self, set: Set) -> Outcome {
        let counting = self.counting(set);
        let mut outcome = Outcome { counting, ..Outcome::default() };
        let people: Vec<_> = self.world.people.iter().map(|person| person.id()).collect();
        for who in people {
            if let Some(level) = self.level(&who, counting, 0) {
                outcome.members.insert(who, level);
            }
        }
        let mut named: BTreeMap<IdentityId, ((u64, _), String)> = BTreeMap::new();
        for at in bits(counting) {
            if let Some(Operation::SetNickname { target, name }) = &self.ops[at] {
                let entry = (self.rank(at), name.to_string());
                let target = target.unwrap_or(self.author(at));
                let last = named.entry(target).or_insert_with(|| entry.clone());
                *last = entry.max(last.clone());
            }
            if matches!(self.ops[at], Some(Operation::IssueInvite(_)))
                && self.in_force(at, counting, 0)
            {
                outcome.open.push(at);
            }
        }
        outcome.nicknames = named.into_iter().map(|(who, (_, name))| (who, name)).collect();
        for who in outcome.members.keys() {
            outcome.devices.extend(self.devices(who, set).into_iter().map(|device| (device, *who)));
        }
        outcome
    }

    /// The devices of a person in a set: the first eight, of those that came and were not revoked.
    fn devices(&self, who: &IdentityId, set: Set) -> Vec<DeviceId> {
        let mut came: Vec<_> = bits(set)
            .flat_map(|at| self.certified(at).into_iter().map(move |made| (at, made)))
            .filter(|(_, (theirs, device))| theirs == who && !self.is_revoked(device, set))
            .map(|(at, (_, device))| (self.rank(at), device))
            .collect();
        came.sort();
        let mut devices = Vec::new();
        for (_, device) in came {
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        devices.truncate(8);
        devices
    }

    /// Whom an envelope certifies, with which device.
    fn certified(&self, at: At) -> Vec<(IdentityId, DeviceId)> {
        let pair = |made: &DeviceCertificate| (made.identity, made.device);
        match &self.ops[at] {
            Some(Operation::Genesis(genesis)) => genesis.owners.iter().map(pair).collect(),
            Some(Operation::Admit(request)) => vec![pair(&request.certificate)],
            Some(Operation::AddDevice { certificate }) if self.introduces(at, certificate) => {
                vec![pair(certificate)]
            }
            _ => vec![],
        }
    }

    fn introduces(&self, at: At, certificate: &DeviceCertificate) -> bool {
        certificate.device == self.world.envelopes[at].header().sender
            && certificate.clone().verify().is_ok()
            && bits(self.past[at]).any(|other| self.brings(other, &certificate.identity))
    }

    fn is_revoked(&self, device: &DeviceId, set: Set) -> bool {
        self.revocations.iter().filter(|at| set >> **at & 1 == 1).any(|at| {
            matches!(&self.ops[*at], Some(Operation::RevokeDevice { device: revoked, .. })
                if revoked == device)
        })
    }

    /// Whether a revocation is one: of a device of its author's that it knew, signed by the identity,
    /// and written by a device that was not revoked itself.
    fn finds_revocation(&self, at: At) -> bool {
        let Some(Operation::RevokeDevice { device, .. }) = &self.ops[at] else { return false };
        let author = self.author(at);
        let theirs =
            bits(self.past[at]).any(|other| self.certified(other).contains(&(author, *device)));
        let owner = self.world.people.iter().position(|person| person.id() == author).unwrap();
        let signed = self.world.revocation(owner, *device);
        theirs && self.ops[at] == Some(signed) && !self.is_revoked(&self.device(at), self.past[at])
    }

    fn device(&self, at: At) -> DeviceId {
        self.world.envelopes[at].header().sender
    }

    /// Whether the device that wrote it counts where it was written.
    fn is_written_well(&self, at: At) -> bool {
        let (device, past) = (self.device(at), self.past[at]);
        match &self.ops[at] {
            Some(Operation::AddDevice { certificate }) => {
                self.introduces(at, certificate) && !self.is_revoked(&device, past)
            }
            Some(Operation::RevokeDevice { .. }) => self.revocations.contains(&at),
            _ => self.devices(&self.author(at), past).contains(&device),
        }
    }

    pub(super) fn author(&self, at: At) -> IdentityId {
        let device = self.world.envelopes[at].header().sender;
        self.world
            .people
            .iter()
            .find(|person| person.device_id() == device)
            .map(|person| person.id())
            .unwrap()
    }

    /// Rule 7 in the control channel, from its definition.
    pub(super) fn is_cut(&mut self, at: At) -> bool {
        let (who, said) = (self.author(at), self.world.envelopes[at].tip());
        let counting = self.counting(u64::MAX >> (64 - self.ops.len()));
        bits(counting).any(|kick| {
            let Some(Operation::Kick { target, heard }) = &self.ops[kick] else { return false };
            let again = bits(counting & self.past[at])
                .any(|grant| self.past[grant] >> kick & 1 == 1 && self.brings(grant, &who));
            if *target != who || again {
                return false;
            }
            let id = self.world.id(kick);
            let mut lines = heard.clone();
            for more in bits(counting) {
                match &self.ops[more] {
                    Some(Operation::Heard { removal, heard }) if *removal == id => {
                        lines.extend(heard.clone());
                    }
                    _ => {}
                }
            }
            if lines.is_empty() {
                let stamp = |at: At| self.world.envelopes[at].header().timestamp;
                return stamp(at) > stamp(kick);
            }
            let tips: Vec<_> = lines.into_iter().flat_map(|line| line.tips).collect();
            !tips.iter().filter(|tip| tip.device == said.device).any(|tip| {
                let heard = (0..self.ops.len()).find(|other| self.world.id(*other) == tip.id);
                heard.is_some_and(|heard| heard == at || self.past[heard] >> at & 1 == 1)
            })
        })
    }

    fn counting(&mut self, set: Set) -> Set {
        bits(set).filter(|at| self.counts(*at, set)).fold(0, |mask, at| mask | 1 << at)
    }

    fn counts(&mut self, at: At, set: Set) -> bool {
        if let Some(known) = self.counts.get(&(at, set)) {
            return *known;
        }
        let judged = self.judge(at, set);
        self.counts.insert((at, set), judged);
        judged
    }

    fn judge(&mut self, at: At, set: Set) -> bool {
        match self.ops[at] {
            None => return false,
            Some(Operation::Genesis(_)) => return at == 0,
            _ => {}
        }
        let Some((level, invite)) = self.standing(at) else { return false };
        let is_final = |op: &Operation| {
            matches!(
                op,
                Operation::Leave | Operation::AddDevice { .. } | Operation::RevokeDevice { .. }
            )
        };
        if self.ops[at].as_ref().is_some_and(is_final) {
            return true;
        }
        let (mut below, mut beside) = (0, 0);
        for other in bits(set & !(1 << at)) {
            let Some((height, _)) = self.standing(other) else { continue };
            let earlier = self.past[at] >> other & 1 == 1;
            let later = self.past[other] >> at & 1 == 1;
            if earlier && height >= level && self.counts(other, set) {
                below |= 1 << other;
            }
            if !earlier && !later && height > level && self.counts(other, set) {
                beside |= 1 << other;
            }
        }
        self.entitled(at, below, beside, invite).is_some_and(|(found, _)| found >= level)
    }

    /// 3 (a): by the past alone.
    fn standing(&mut self, at: At) -> Option<(u64, Option<At>)> {
        if let Some(known) = self.standing.get(&at) {
            return *known;
        }
        let found = match &self.ops[at] {
            None => None,
            Some(Operation::AddDevice { .. } | Operation::RevokeDevice { .. }) => {
                self.is_written_well(at).then_some((0, None))
            }
            Some(_) if at > 0 && !self.is_written_well(at) => None,
            Some(Operation::Genesis(_)) => (at == 0).then_some((GENESIS, None)),
            Some(Operation::Admit(_)) => {
                let known = self.counting(self.past[at]);
                let writer = self.author(at);
                let writer = self.level(&writer, known, 0).filter(|_| !self.is_spent(at, known));
                writer.and_then(|_| self.entitled(at, known, 0, None))
            }
            Some(_) => {
                let known = self.counting(self.past[at]);
                self.entitled(at, known, 0, None)
            }
        };
        self.standing.insert(at, found);
        found
    }

    /// Whether somebody came in by the request of an admission, and something that counts in its past
    /// ended that, knowing of it.
    fn is_spent(&self, at: At, known: Set) -> bool {
        let Some(Operation::Admit(request)) = &self.ops[at] else { return false };
        let guest = request.certificate.identity;
        let same = |other: At| {
            matches!(&self.ops[other], Some(Operation::Admit(before))
                if before.nonce == request.nonce
                    && before.certificate == request.certificate
                    && before.invite == request.invite
                    && before.name == request.name
                    && before.key_package == request.key_package)
        };
        bits(known).any(|end| {
            let ends = match &self.ops[end] {
                Some(Operation::Kick { target, .. }) => *target == guest,
                Some(Operation::Leave) => self.author(end) == guest,
                _ => false,
            };
            ends && bits(self.past[end]).any(same)
        })
    }

    /// The standing that an operation has where exactly `known` counts, and `beside` takes from whoever
    /// it is judged for.
    fn entitled(
        &mut self,
        at: At,
        known: Set,
        beside: Set,
        fixed: Option<At>,
    ) -> Option<(u64, Option<At>)> {
        let author = self.author(at);
        let own = self.level(&author, known, beside);
        match self.ops[at].clone()? {
            Operation::Genesis(_)
            | Operation::AddDevice { .. }
            | Operation::RevokeDevice { .. } => None,
            Operation::IssueInvite(_) | Operation::Leave => own.map(|own| (own, None)),
            Operation::RevokeInvite { invite } => {
                let issued = self.issued(at, |other, world| world.id(other) == invite)?;
                let mine = self.author(issued) == author;
                let (height, _) = self.standing(issued).unwrap_or((0, None));
                own.filter(|own| mine || (*own > 0 && *own > height)).map(|own| (own, None))
            }
            Operation::Admit(request) => {
                let guest = request.certificate.identity;
                let mut best: Option<(u64, Option<At>)> = None;
                let mut doors: Vec<_> = bits(self.past[at])
                    .filter(|door| fixed.is_none_or(|fixed| fixed == *door))
                    .collect();
                doors.sort_by_key(|door| self.rank(*door));
                for door in doors {
                    let Some(Operation::IssueInvite(invite)) = self.ops[door].clone() else {
                        continue;
                    };
                    if invite.invite_public_key != request.invite
                        || self.world.envelopes[at].header().timestamp > invite.expires
                        || !self.in_force(door, known, beside)
                    {
                        continue;
                    }
                    let used = self.guests(door, known);
                    let others = used.iter().filter(|other| **other != guest).count();
                    if invite.max_uses.is_some_and(|max| others >= max as usize) {
                        continue;
                    }
                    let issuer = self.author(door);
                    let Some(lent) = self.level(&issuer, known, beside) else { continue };
                    let Some((height, _)) = self.standing(door) else { continue };
                    let level = lent.min(height);
                    if best.is_none_or(|(before, _)| level > before) {
                        best = Some((level, Some(door)));
                    }
                }
                best
            }
            Operation::Kick { target, .. } => self.above(at, own, &target, known),
            Operation::Heard { removal, .. } => {
                let kick = bits(self.past[at]).find(|kick| self.world.id(*kick) == removal)?;
                let Some(Operation::Kick { target, .. }) = self.ops[kick] else { return None };
                let (least, _) = self.standing(kick)?;
                self.above(at, own, &target, known).filter(|(own, _)| *own >= least)
            }
            Operation::SetNickname { target: None, .. } => own.map(|own| (own, None)),
            Operation::SetNickname { target: Some(target), .. } if target == author => {
                own.map(|own| (own, None))
            }
            Operation::SetNickname { target: Some(target), .. } => {
                self.above(at, own, &target, known)
            }
        }
    }

    /// An owner above `target`, whom the past has heard of.
    fn above(
        &mut self,
        at: At,
        own: Option<u64>,
        target: &IdentityId,
        known: Set,
    ) -> Option<(u64, Option<At>)> {
        let met = bits(self.past[at]).any(|other| self.brings(other, target));
        let theirs = self.level(target, known, 0);
        own.filter(|own| met && *own > 0 && theirs.is_none_or(|theirs| theirs < *own))
            .map(|own| (own, None))
    }

    fn issued(&self, at: At, is: impl Fn(At, &World) -> bool) -> Option<At> {
        bits(self.past[at]).find(|other| {
            is(*other, self.world) && matches!(self.ops[*other], Some(Operation::IssueInvite(_)))
        })
    }

    fn brings(&self, at: At, who: &IdentityId) -> bool {
        match &self.ops[at] {
            Some(Operation::Genesis(_)) => self.owners.contains(who),
            Some(Operation::Admit(request)) => request.certificate.identity == *who,
            _ => false,
        }
    }

    fn level(&mut self, who: &IdentityId, known: Set, beside: Set) -> Option<u64> {
        let place = self.owners.iter().position(|owner| owner == who);
        if let Some(place) = place
            && bits(known).any(|at| at == 0)
            && self.keeps(0, who, known, beside)
        {
            return Some(1_000 - place as u64);
        }
        let grants: Vec<_> = bits(known).filter(|at| self.brings(*at, who)).collect();
        let held = grants.into_iter().any(|grant| {
            self.keeps(grant, who, known, beside) && !self.is_too_many(grant, who, known)
        });
        held.then_some(0)
    }

    /// Whether no removal takes a grant to `who` away.
    fn keeps(&self, grant: At, who: &IdentityId, known: Set, beside: Set) -> bool {
        bits(known | beside).all(|removal| match &self.ops[removal] {
            Some(Operation::Kick { target, .. }) if target == who => {
                self.past[grant] >> removal & 1 == 1
            }
            Some(Operation::Leave) if known >> removal & 1 == 1 && self.author(removal) == *who => {
                self.past[removal] >> grant & 1 == 0
            }
            _ => true,
        })
    }

    fn is_too_many(&mut self, grant: At, who: &IdentityId, known: Set) -> bool {
        let Some((_, Some(door))) = self.standing(grant) else { return false };
        let Some(Operation::IssueInvite(invite)) = &self.ops[door] else { return false };
        let Some(max) = invite.max_uses else { return false };
        !self.guests(door, known).iter().take(max as usize).any(|guest| guest == who)
    }

    /// Each guest of an invite once, in the order of their first admission.
    fn guests(&mut self, door: At, known: Set) -> Vec<IdentityId> {
        let mut used: Vec<_> = bits(known)
            .filter(|at| matches!(self.standing(*at), Some((_, Some(by))) if by == door))
            .collect();
        used.sort_by_key(|at| self.rank(*at));
        let mut guests = Vec::new();
        for at in used {
            if let Some(Operation::Admit(request)) = &self.ops[at]
                && !guests.contains(&request.certificate.identity)
            {
                guests.push(request.certificate.identity);
            }
        }
        guests
    }

    fn in_force(&self, door: At, known: Set, beside: Set) -> bool {
        let id = self.world.id(door);
        known >> door & 1 == 1
            && !bits(known | beside).any(|at| {
                matches!(&self.ops[at], Some(Operation::RevokeInvite { invite }) if *invite == id)
                    && self.past[door] >> at & 1 == 0
            })
    }

    fn rank(&self, at: At) -> (u64, crate::base::EnvelopeId) {
        (self.world.envelopes[at].header().order, self.world.id(at))
    }
}
