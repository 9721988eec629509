use std::collections::BTreeMap;

use super::{
    Capability, Denied, Operation, Standing,
    facts::{Entitlement, Facts, Reach, Thing, Way},
    log::{Log, Refused, of},
};
use crate::{
    base::{Bug, IdentityId},
    state::envelope::{Index, Past},
};

/// What everyone may do by the first version's defaults.
const EVERYONE: [Capability; 4] = [
    Capability::ViewChannel,
    Capability::SendMessages,
    Capability::CreateInvite,
    Capability::ChangeNickname,
];

/// What the counting operations of a past, from one standing up, resolve to. It is asked, never
/// built: each answer looks only at what concerns it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) log: &'a Log,
    pub(super) past: &'a Past,
    /// What does not count; what was not judged yet stands below `level`.
    pub(super) refused: &'a Refused,
    pub(super) level: Standing,
    pub(super) beside: Option<Beside<'a>>,
}

/// What is concurrent with the operation being judged, and stands above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'a> {
    /// The operation being judged.
    pub(super) subject: Index,
    /// The whole set.
    pub(super) set: &'a Past,
}

/// On whose behalf a view is asked: what is beside only takes from an actor, and only lifts those
/// it acts on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lens {
    Actor,
    Touched,
}

impl<'a> View<'a> {
    /// What a whole closed set resolves to.
    pub(super) fn whole(log: &'a Log, past: &'a Past, refused: &'a Refused) -> Self {
        Self { log, past, refused, level: Standing::EVERYONE, beside: None }
    }

    /// The standing that an operation has in this way.
    pub(super) fn standing(&self, way: &Way) -> Result<Standing, Denied> {
        if way.expired {
            return Err(Denied::Expired);
        }
        let mut standing = self.entitled(&way.actor, way.need)?;
        for thing in &way.there {
            let lent = self.holds(thing, Lens::Actor).ok_or(Denied::Revoked)?;
            standing = standing.min(lent);
        }
        let people = way.people.iter().filter_map(|person| self.rank(person, Lens::Touched));
        let operations = way.operations.iter().filter_map(|index| self.log.op(*index).standing);
        if people.chain(operations).any(|touched| touched >= standing) || standing < way.least {
            return Err(Denied::Rank);
        }
        if way.uses.is_some_and(|(invite, guest)| !self.has_use(invite, guest)) {
            return Err(Denied::UsedUp);
        }
        Ok(standing)
    }

    /// A person's own standing; `None` for whoever is no member.
    pub(super) fn person(&self, person: &IdentityId) -> Option<Standing> {
        self.rank(person, Lens::Actor)
    }

    /// Whether a person is an owner.
    pub(super) fn is_owner(&self, person: &IdentityId) -> bool {
        self.holds(&Thing::Ownership(*person), Lens::Actor).is_some()
    }

    /// Whether an invite is in force.
    pub(super) fn is_open(&self, invite: Index) -> bool {
        self.holds(&Thing::Invite(self.log.op(invite).id), Lens::Actor).is_some()
    }

    /// The admissions and geneses by which a person is a member.
    pub(super) fn memberships(&self, person: &IdentityId) -> impl Iterator<Item = Index> {
        let thing = Thing::Membership(*person);
        of(&self.log.gives, &thing)
            .filter(move |grant| self.sees(*grant) && self.stands(&thing, *grant, Lens::Actor))
    }

    /// Whether an operation is in the past and counts.
    pub(super) fn sees(&self, index: Index) -> bool {
        let subject = self.beside.map(|beside| beside.subject);
        subject != Some(index)
            && self.log.dag.holds(self.past, index)
            && self.counts_from(index, self.level)
    }

    /// The first admission by an invite of each guest, least (`order`, id) first.
    pub(super) fn guests(&self, invite: Index) -> Vec<IdentityId> {
        let mut first = BTreeMap::new();
        for op in of(&self.log.guests, &invite)
            .filter(|index| self.sees(*index))
            .map(|index| self.log.op(index))
        {
            let Some(Operation::Admit(request)) = op.operation() else { continue };
            let rank = first.entry(request.certificate.identity).or_insert(op.rank());
            *rank = op.rank().min(*rank);
        }
        let mut guests: Vec<_> = first.into_iter().map(|(guest, rank)| (rank, guest)).collect();
        guests.sort_unstable();
        guests.into_iter().map(|(_, guest)| guest).collect()
    }

    /// Whether an admission is one beyond what its invite allows.
    pub(super) fn is_surplus(&self, admission: Index) -> bool {
        let op = self.log.op(admission);
        let (Some(invite), Some(Operation::Admit(request))) = (op.invite(), op.operation()) else {
            return false;
        };
        if Bug::OverusesInvites.is_planted() {
            return false;
        }
        let Some(limit) = self.limit(invite) else { return false };
        // With no more admissions than uses there is none too many, whichever count.
        if of(&self.log.guests, &invite).nth(limit).is_none() {
            return false;
        }
        self.guests(invite).iter().skip(limit).any(|guest| *guest == request.certificate.identity)
    }

    /// Whether an admission is by a request that is over: somebody came in by it, and was put out or
    /// went with that in the past.
    pub(super) fn is_spent(&self, facts: &Facts) -> bool {
        let removals = facts.gives.iter().flat_map(|thing| of(&self.log.takes, thing));
        removals.filter(|removal| self.sees(*removal)).any(|removal| {
            facts.granted.iter().any(|granted| self.log.dag.is_before(*granted, removal))
        })
    }

    fn has_use(&self, invite: Index, guest: IdentityId) -> bool {
        self.limit(invite).is_none_or(|limit| {
            self.guests(invite).iter().filter(|other| **other != guest).count() < limit
        })
    }

    fn limit(&self, invite: Index) -> Option<usize> {
        match self.log.op(invite).operation() {
            Some(Operation::IssueInvite(invite)) => invite.max_uses.map(|uses| uses as usize),
            _ => None,
        }
    }

    /// By which standing somebody has what is needed: of several ways the best.
    fn entitled(&self, person: &IdentityId, need: Entitlement) -> Result<Standing, Denied> {
        if need == Entitlement::Signature {
            return Ok(Standing::EVERYONE);
        }
        let owner = self.owner_standing(person, Lens::Actor);
        let member = self.member_standing(person, Lens::Actor);
        let by_role = match need {
            Entitlement::Membership => member,
            Entitlement::Capability(capability) => {
                member.filter(|_| EVERYONE.contains(&capability))
            }
            Entitlement::Signature => None,
        };
        owner.max(by_role).ok_or(match (need, member) {
            (Entitlement::Capability(capability), Some(_)) => Denied::Capability(capability),
            _ => Denied::NotMember,
        })
    }

    fn rank(&self, person: &IdentityId, lens: Lens) -> Option<Standing> {
        self.owner_standing(person, lens).max(self.member_standing(person, lens))
    }

    fn owner_standing(&self, person: &IdentityId, lens: Lens) -> Option<Standing> {
        let lent = self.holds(&Thing::Ownership(*person), lens)?;
        let own = self.log.place(person).map(Standing::owner)?;
        Some(lent.min(own))
    }

    fn member_standing(&self, person: &IdentityId, lens: Lens) -> Option<Standing> {
        let lent = self.holds(&Thing::Membership(*person), lens)?;
        Some(lent.min(Standing::EVERYONE))
    }

    /// The standing of the highest grant of a thing that holds.
    fn holds(&self, thing: &Thing, lens: Lens) -> Option<Standing> {
        of(&self.log.gives, thing)
            .filter(|grant| self.sees(*grant) || (lens == Lens::Touched && self.is_beside(*grant)))
            .filter(|grant| self.stands(thing, *grant, lens))
            .filter_map(|grant| self.log.op(grant).standing)
            .max()
    }

    /// Whether nothing that counts takes a grant away again.
    fn stands(&self, thing: &Thing, grant: Index, lens: Lens) -> bool {
        let taken = of(&self.log.takes, thing)
            .filter(|removal| {
                let aside = lens == Lens::Actor
                    && self.reach(*removal) == Reach::Concurrent
                    && self.is_beside(*removal);
                aside || self.sees(*removal)
            })
            .any(|removal| self.takes_away(removal, grant));
        let is_membership = matches!(thing, Thing::Membership(_));
        !(taken || is_membership && self.is_surplus(grant))
    }

    fn takes_away(&self, removal: Index, grant: Index) -> bool {
        match self.reach(removal) {
            Reach::Concurrent => !self.log.dag.is_before(removal, grant),
            Reach::Past => self.log.dag.is_before(grant, removal),
        }
    }

    fn reach(&self, removal: Index) -> Reach {
        self.log.op(removal).facts.reach
    }

    /// Whether an operation counts, is concurrent with the one being judged, and stands above it.
    fn is_beside(&self, index: Index) -> bool {
        self.beside.filter(|_| !Bug::RemovalsTakeNothing.is_planted()).is_some_and(
            |Beside { subject, set }| {
                self.log.dag.holds(set, index)
                    && self.log.op(index).standing.is_some_and(|standing| standing > self.level)
                    && !self.refused.contains(&index)
                    && self.log.dag.are_concurrent(subject, index)
            },
        )
    }

    fn counts_from(&self, index: Index, level: Standing) -> bool {
        self.log.op(index).standing.is_some_and(|standing| standing >= level)
            && !self.refused.contains(&index)
    }
}

/// Whether every member has a capability, by the defaults.
pub(super) fn is_everyones(capability: Capability) -> bool {
    EVERYONE.contains(&capability)
}
