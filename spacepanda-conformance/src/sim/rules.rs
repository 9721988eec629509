//! Who may do what, once more: the rules of authority for the operations that there are, straight from
//! their definition, slow, and sharing nothing with the resolver but the operations' types.
//!
//! Which devices are whose is written down in `devices`. It knows one owner, the founder, whom nobody
//! removes; everybody else has the standing of everyone.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use spacepanda_core::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, Timestamp, Tip},
    state::{
        authority::{HeardLine, JoinRequest, Operation, control_channel},
        envelope::{Header, PayloadType},
        mls::CommitPayload,
    },
};

use super::{devices::Devices, set::Set};

/// The control channel's envelopes, in an order in which each comes after its past.
#[derive(Debug, Default)]
pub(super) struct Rules {
    places: BTreeMap<EnvelopeId, usize>,
    all: Vec<Placed>,
    devices: Devices,
    founder: Option<IdentityId>,
    /// What went for ever with whoever alone held it.
    lost: Set,
    counting: RefCell<BTreeMap<Set, Rc<Set>>>,
}

#[derive(Debug)]
struct Placed {
    id: EnvelopeId,
    author: Option<IdentityId>,
    order: u64,
    timestamp: Timestamp,
    operation: Option<Operation>,
    past: Set,
    /// Of an admission: the invite by which its past entitles it, if one does.
    invite: Option<usize>,
}

/// Something said in a channel.
pub(super) struct Said<'a> {
    pub(super) device: DeviceId,
    pub(super) channel: ChannelId,
    pub(super) timestamp: Timestamp,
    /// What its author knew of the control channel.
    pub(super) past: &'a Set,
    /// Whether it is, or comes before, a tip of its log.
    pub(super) is_up_to: &'a dyn Fn(&Tip) -> bool,
}

impl Rules {
    /// Takes the next envelope of the control channel in; `None` if its past is not here.
    pub(super) fn add(&mut self, id: EnvelopeId, header: &Header) -> Option<()> {
        let named: Vec<_> = header.named().collect();
        let past = self.closure(&named)?;
        let operation = match header.payload_type {
            PayloadType::Authority => {
                Operation::decode(&header.payload).ok().filter(|made| self.is_sound(made, header))
            }
            _ => None,
        };
        if let Some(Operation::Genesis(genesis)) = &operation {
            self.founder = Some(genesis.owners.first()?.identity);
        }
        let (at, rank) = (self.all.len(), (header.order, id));
        if let Some(operation) = &operation {
            self.devices.note(at, rank, header, &past, operation);
        }
        let mut known = past.clone();
        known.insert(at);
        let author = self.devices.author(&header.sender, &known);
        self.places.insert(id, at);
        self.all.push(Placed {
            id,
            author,
            order: header.order,
            timestamp: header.timestamp,
            operation,
            past,
            invite: None,
        });
        self.all[at].invite = self.entitling_invite(at);
        Some(())
    }

    /// Whether an operation is signed as it must be, and where it may stand.
    fn is_sound(&self, operation: &Operation, header: &Header) -> bool {
        match operation {
            Operation::Genesis(_) => self.all.is_empty() && header.sequence == 1,
            Operation::Admit(request) => {
                header.channel == control_channel(&request.server) && request.verify().is_ok()
            }
            _ => true,
        }
    }

    /// Whose a device is.
    pub(super) fn person(&self, device: &DeviceId) -> Option<IdentityId> {
        self.devices.person(device)
    }

    pub(super) fn is_founder(&self, who: &IdentityId) -> bool {
        self.founder.as_ref() == Some(who)
    }

    /// The envelopes named and all their past; `None` if one is not here.
    pub(super) fn closure(&self, named: &[EnvelopeId]) -> Option<Set> {
        let mut set = Set::default();
        for id in named {
            let at = *self.places.get(id)?;
            set.insert(at);
            set.add(&self.all[at].past);
        }
        Some(set)
    }

    /// All that there is still.
    fn everything(&self) -> Set {
        let mut all = Set::default();
        (0..self.all.len()).filter(|at| !self.lost.has(*at)).for_each(|at| all.insert(at));
        all
    }

    /// Notes which envelopes nobody holds any more.
    pub(super) fn note_lost(&mut self, is_lost: impl Fn(&EnvelopeId, Option<&IdentityId>) -> bool) {
        self.lost = Set::default();
        let lost = self.all.iter().enumerate();
        let lost = lost.filter(|(_, placed)| is_lost(&placed.id, placed.author.as_ref()));
        lost.for_each(|(at, _)| self.lost.insert(at));
    }

    /// Every admission of a device's person, counting or not.
    pub(super) fn admissions(&self, device: &DeviceId) -> Vec<usize> {
        let person = self.person(device);
        let of = |placed: &Placed| matches!(&placed.operation, Some(Operation::Admit(request)) if Some(request.certificate.identity) == person);
        (0..self.all.len()).filter(|at| of(&self.all[*at])).collect()
    }

    /// Whether somebody was a member once and is not by `set`.
    pub(super) fn was_removed(&self, who: &IdentityId, set: &Set) -> bool {
        let counting = self.counting(set);
        let ended = set.iter().any(|at| self.takes(at, who) && counting.has(at));
        ended && !self.is_member(who, &counting)
    }

    pub(super) fn members(&self) -> Vec<IdentityId> {
        let counting = self.counting(&self.everything());
        let mut all: Vec<_> = self.devices.people().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|who| self.is_member(who, &counting));
        all
    }

    /// How senior a device's person is, least first: the founder, then by the first admission that counts.
    pub(super) fn seniority(&self, device: &DeviceId) -> impl Ord + use<> {
        let Some(who) = self.person(device) else { return (3, 0, None, None) };
        if self.is_founder(&who) {
            return (0, 0, None, None);
        }
        let counting = self.counting(&self.everything());
        let first =
            counting.iter().filter(|at| self.admits(*at, &who)).map(|at| self.rank(at)).min();
        match first {
            Some((order, id)) => (1, order, Some(id), Some(who)),
            None => (2, 0, None, Some(who)),
        }
    }

    /// Whether what an envelope says of where its author stands counts: each removal of them knew it, or
    /// it knew that they had been let in again.
    pub(super) fn weighs(&self, id: &EnvelopeId) -> bool {
        let Some(at) = self.places.get(id).copied() else { return false };
        let Some(who) = self.all[at].author else { return false };
        let counting = self.counting(&self.everything());
        let mut kicks = counting.iter().filter(|kick| self.kicks(*kick, &who));
        kicks.all(|kick| {
            let again = |other: usize| {
                self.admits(other, &who)
                    && self.all[other].past.has(kick)
                    && self.all[at].past.has(other)
            };
            self.all[kick].past.has(at) || counting.iter().any(again)
        })
    }

    /// Whether a commit does nothing but what its past calls for: its author may read, whoever comes in may,
    /// and whoever goes may not or comes in again at once.
    pub(super) fn calls_for(
        &self,
        id: &EnvelopeId,
        author: &DeviceId,
        commit: &CommitPayload,
    ) -> bool {
        let Some(at) = self.places.get(id).copied() else { return false };
        let past = &self.all[at].past;
        let counting = self.counting(past);
        let reads = |device: &DeviceId| {
            let person = self.devices.author(device, past);
            person.is_some_and(|person| self.is_member(&person, &counting))
        };
        let added: Vec<DeviceId> = commit.adds.iter().map(|added| added.device).collect();
        let mut stay = commit.removes.iter().filter(|device| !added.contains(device));
        reads(author) && added.iter().all(reads) && !stay.any(reads)
    }

    /// Whether anybody ever put somebody out, or they went.
    pub(super) fn was_ever_taken(&self, who: &IdentityId) -> bool {
        (0..self.all.len()).any(|at| self.takes(at, who))
    }

    /// Whether something said counts: its author was entitled by what they knew, and no removal cuts it
    /// off.
    pub(super) fn counts(&self, said: &Said<'_>) -> bool {
        let Some(who) = self.devices.author(&said.device, said.past) else { return false };
        let entitled = self.is_member(&who, &self.counting(said.past));
        entitled && (self.is_founder(&who) || !self.is_cut(&who, said))
    }

    fn is_cut(&self, who: &IdentityId, said: &Said<'_>) -> bool {
        let counting = self.counting(&self.everything());
        counting.iter().any(|kick| {
            let Some(Operation::Kick { target, heard }) = &self.all[kick].operation else {
                return false;
            };
            let later = |at: usize| self.admits(at, who) && self.all[at].past.has(kick);
            if target != who || counting.common(said.past).iter().any(later) {
                return false;
            }
            let more = counting.iter().filter_map(|at| match &self.all[at].operation {
                Some(Operation::Heard { removal, heard }) if *removal == self.all[kick].id => {
                    Some(heard)
                }
                _ => None,
            });
            let lines: Vec<&HeardLine> = std::iter::once(heard)
                .chain(more)
                .flatten()
                .filter(|line| line.channel == said.channel)
                .collect();
            let is_heard = |line: &&HeardLine| {
                let mut tips = line.tips.iter();
                tips.any(|tip| tip.device == said.device && (said.is_up_to)(tip))
            };
            match lines.is_empty() {
                true => said.timestamp > self.all[kick].timestamp,
                false => !lines.iter().any(is_heard),
            }
        })
    }

    /// What counts of a set that holds the past of all that is in it.
    fn counting(&self, set: &Set) -> Rc<Set> {
        if let Some(known) = self.counting.borrow().get(set) {
            return Rc::clone(known);
        }
        let mut ascending: Vec<usize> = set.iter().collect();
        ascending.sort_unstable_by_key(|at| self.rank(*at));
        let mut counting = Set::default();
        // From the founder downwards, and among equals upwards in causality.
        for at in ascending.iter().copied().filter(|at| self.is_founders(*at)) {
            counting.insert(at);
        }
        for at in ascending {
            if self.holds(at, &counting) {
                counting.insert(at);
            }
        }
        let counting = Rc::new(counting);
        self.counting.borrow_mut().insert(set.clone(), Rc::clone(&counting));
        counting
    }

    fn rank(&self, at: usize) -> (u64, EnvelopeId) {
        (self.all[at].order, self.all[at].id)
    }

    /// Whether the founder says it in their own right: that counts in any case.
    fn is_founders(&self, at: usize) -> bool {
        let admits = matches!(self.all[at].operation, Some(Operation::Admit(_)));
        !admits && self.all[at].author.is_some_and(|author| self.is_founder(&author))
    }

    /// Whether somebody else's operation counts, beside what counts of the past and of the founder's.
    fn holds(&self, at: usize, counting: &Set) -> bool {
        let placed = &self.all[at];
        let Some(author) = placed.author else { return false };
        match &placed.operation {
            Some(Operation::IssueInvite(_)) => self.is_able(&author, at, counting),
            Some(Operation::RevokeInvite { invite }) => {
                let issuer = self.places.get(invite).filter(|issued| placed.past.has(**issued));
                issuer.is_some_and(|issued| self.all[*issued].author == Some(author))
                    && self.is_able(&author, at, counting)
            }
            Some(Operation::Admit(request)) => {
                let known = self.counting(&placed.past);
                self.is_member(&author, &known)
                    && !self.is_spent(request, &known)
                    && placed.invite.is_some_and(|issued| self.admits_by(at, issued, counting))
            }
            // Once entitled by its past it counts.
            Some(Operation::Leave) => self.is_member(&author, &self.counting(&placed.past)),
            Some(Operation::Kick { .. } | Operation::Heard { .. }) => false,
            _ => true,
        }
    }

    /// Whether somebody came in by a request and was put out, or went, with that in the past.
    fn is_spent(&self, request: &JoinRequest, known: &Set) -> bool {
        let guest = &request.certificate.identity;
        let grants = |at: usize| {
            matches!(&self.all[at].operation,
                Some(Operation::Admit(granted)) if granted.asks_as(request))
        };
        known.iter().any(|end| self.takes(end, guest) && self.all[end].past.iter().any(grants))
    }

    /// The invite by which an admission's past entitles it. A hostile member may issue one of a key that
    /// somebody else's has: the best counts, the founder's, then the first.
    fn entitling_invite(&self, at: usize) -> Option<usize> {
        let placed = &self.all[at];
        let Some(Operation::Admit(request)) = &placed.operation else { return None };
        let known = self.counting(&placed.past);
        let entitles = |issued: &usize| {
            self.issues(*issued, &request.invite) && self.admits_by(at, *issued, &known)
        };
        placed.past.iter().filter(entitles).min_by_key(|issued| {
            let author = self.all[*issued].author;
            (!author.is_some_and(|author| self.is_founder(&author)), self.rank(*issued))
        })
    }

    /// Whether an invite lets in whom an admission names.
    fn admits_by(&self, at: usize, issued: usize, counting: &Set) -> bool {
        let placed = &self.all[at];
        let past = counting.common(&placed.past);
        let Some(Operation::IssueInvite(invite)) = &self.all[issued].operation else {
            return false;
        };
        let Some(issuer) = self.all[issued].author else { return false };
        let revokes = |revoked: usize| {
            let of = matches!(&self.all[revoked].operation,
                Some(Operation::RevokeInvite { invite }) if *invite == self.all[issued].id);
            let above = !self.is_founder(&issuer) && self.is_founders(revoked);
            of && (past.has(revoked) || above && self.are_concurrent(at, revoked))
        };
        let Some(Operation::Admit(request)) = &placed.operation else { return false };
        let guest = request.certificate.identity;
        let used = self.guests(issued, &past).iter().filter(|other| **other != guest).count();
        past.has(issued)
            && placed.timestamp <= invite.expires
            && !counting.iter().any(revokes)
            && invite.max_uses.is_none_or(|uses| used < uses as usize)
            && self.is_able(&issuer, at, counting)
    }

    /// Whether somebody may do what members may: by the past, and beside the founder's removals.
    fn is_able(&self, who: &IdentityId, at: usize, counting: &Set) -> bool {
        let taken = |kick: usize| self.kicks(kick, who) && self.are_concurrent(at, kick);
        self.is_founder(who)
            || self.is_member(who, &counting.common(&self.all[at].past))
                && !counting.iter().any(taken)
    }

    fn is_member(&self, who: &IdentityId, counting: &Set) -> bool {
        let stays = |grant: usize| {
            let taken = |at: usize| match self.kicks(at, who) {
                true => !self.all[grant].past.has(at),
                false => self.takes(at, who) && self.all[at].past.has(grant),
            };
            self.admits(grant, who)
                && !self.is_surplus(grant, counting)
                && !counting.iter().any(taken)
        };
        self.is_founder(who) && counting.iter().next().is_some() || counting.iter().any(stays)
    }

    fn is_surplus(&self, grant: usize, counting: &Set) -> bool {
        let Placed { operation: Some(Operation::Admit(request)), invite: Some(issued), .. } =
            &self.all[grant]
        else {
            return false;
        };
        let Some(Operation::IssueInvite(invite)) = &self.all[*issued].operation else {
            return false;
        };
        let guests = self.guests(*issued, counting);
        invite.max_uses.is_some_and(|uses| {
            guests.iter().skip(uses as usize).any(|guest| *guest == request.certificate.identity)
        })
    }

    /// Who came by an invite, in the order in which they came.
    fn guests(&self, issued: usize, counting: &Set) -> Vec<IdentityId> {
        let mut admitted: Vec<_> = counting
            .iter()
            .filter_map(|at| match &self.all[at] {
                Placed { operation: Some(Operation::Admit(request)), invite, .. }
                    if *invite == Some(issued) =>
                {
                    Some((self.rank(at), request.certificate.identity))
                }
                _ => None,
            })
            .collect();
        admitted.sort_unstable();
        let mut guests = Vec::new();
        for (_, guest) in admitted {
            if !guests.contains(&guest) {
                guests.push(guest);
            }
        }
        guests
    }

    fn issues(&self, at: usize, key: &[u8; 32]) -> bool {
        let operation = &self.all[at].operation;
        matches!(operation, Some(Operation::IssueInvite(invite)) if invite.invite_public_key == *key)
    }

    fn admits(&self, at: usize, who: &IdentityId) -> bool {
        let operation = &self.all[at].operation;
        matches!(operation, Some(Operation::Admit(request)) if request.certificate.identity == *who)
    }

    fn kicks(&self, at: usize, who: &IdentityId) -> bool {
        matches!(&self.all[at].operation, Some(Operation::Kick { target, .. }) if target == who)
    }

    /// Whether an operation puts somebody out, or they go by it.
    fn takes(&self, at: usize, who: &IdentityId) -> bool {
        let leaves = matches!(self.all[at].operation, Some(Operation::Leave))
            && self.all[at].author.as_ref() == Some(who);
        leaves || self.kicks(at, who)
    }

    fn are_concurrent(&self, one: usize, other: usize) -> bool {
        !self.all[one].past.has(other) && !self.all[other].past.has(one)
    }
}
