//! What counts of a set of operations (AUTHORITY 1): judged from the founder downwards, in one pass.
//!
//! An operation describes itself to the machinery in four ways, and the machinery knows no other: whose
//! entitlement it needs, which grant it is, what it takes, and what it names.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    JoinRequest, Operation,
    matrix::{Invite, Membership, PermissionMatrix},
};
use crate::{
    base::{EnvelopeId, IdentityId, Secret, Timestamp},
    state::envelope::{Dag, Index, Past},
};

/// An operation in the log, with what its own past alone says of it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: EnvelopeId,
    pub index: Index,
    pub author: IdentityId,
    pub order: u64,
    pub timestamp: Timestamp,
    pub operation: Operation,
    /// The standing at which its past entitles its author; `None` if it does not.
    pub entitled: Option<u64>,
}

impl Entry {
    /// The person whose entitlement it stands on: its author, or of an admission the invite's issuer.
    fn principal(&self, log: &Log) -> Option<IdentityId> {
        match &self.operation {
            Operation::Admit { request } => {
                log.invite_in_past(self.index, request.invite()).map(|invite| invite.author)
            }
            _ => Some(self.author),
        }
    }

    /// Whom it gives membership.
    pub(super) fn admits(&self) -> Vec<IdentityId> {
        match &self.operation {
            Operation::Genesis(genesis) => {
                genesis.owners().iter().map(|owner| owner.identity).collect()
            }
            Operation::Admit { request } => vec![request.certificate().identity],
            _ => Vec::new(),
        }
    }

    /// Whom it takes membership, ownership and every role from.
    pub(super) fn removes(&self) -> Option<IdentityId> {
        match &self.operation {
            Operation::Kick { target, .. } => Some(*target),
            Operation::Leave => Some(self.author),
            _ => None,
        }
    }
}

/// The operations of a server, parents first.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub dag: Dag,
    pub entries: BTreeMap<Index, Entry>,
}

/// Which operations of a set count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counting(pub BTreeSet<Index>);

impl Log {
    /// The invite of this key that an envelope has in its past; of several the first by (`order`, id).
    pub(super) fn invite_in_past(&self, of: Index, key: &[u8; 32]) -> Option<&Entry> {
        let named = self.entries.values().filter(|entry| {
            matches!(&entry.operation, Operation::IssueInvite { invite, .. } if invite == key)
                && self.dag.is_before(entry.index, of)
        });
        named.min_by_key(|entry| (entry.order, entry.id))
    }

    /// Judges every operation of a set, those of higher standing first (rule 3).
    pub(super) fn judge(&self, set: &Past) -> Counting {
        let mut in_set: Vec<&Entry> =
            self.entries.values().filter(|entry| self.dag.holds(set, entry.index)).collect();
        in_set.sort_by_key(|entry| (std::cmp::Reverse(entry.entitled), entry.index));
        let mut counting = Counting::default();
        for entry in in_set {
            if self.counts(entry, &counting) {
                counting.0.insert(entry.index);
            }
        }
        counting
    }

    /// Whether an operation counts beside those of higher standing, and of its own standing before it.
    fn counts(&self, entry: &Entry, counting: &Counting) -> bool {
        let Some(standing) = entry.entitled else { return false };
        let Some(principal) = entry.principal(self) else { return false };
        match &entry.operation {
            Operation::Genesis(_) | Operation::Leave => return true,
            Operation::Admit { request } => {
                let invite = self.invite_in_past(entry.index, request.invite());
                let in_force = invite.is_some_and(|invite| {
                    counting.0.contains(&invite.index) && !self.is_revoked(invite, entry, counting)
                });
                if !in_force {
                    return false;
                }
            }
            Operation::RevokeInvite { invite: named } | Operation::Heard { removal: named, .. } => {
                let named = self.dag.index(named).filter(|named| counting.0.contains(named));
                if named.is_none() {
                    return false;
                }
            }
            _ => {}
        }
        self.still_has_membership(&principal, standing, entry.index, counting)
    }

    /// Whether what counts of the past still makes `identity` a member there, even if all that higher
    /// standings take concurrently were gone; at a standing above 0, by the genesis.
    fn still_has_membership(
        &self,
        identity: &IdentityId,
        standing: u64,
        at: Index,
        counting: &Counting,
    ) -> bool {
        let reaches = |removal: &Entry| {
            self.dag.is_before(removal.index, at)
                || (self.dag.are_concurrent(removal.index, at)
                    && removal.entitled > Some(standing)
                    && matches!(removal.operation, Operation::Kick { .. }))
        };
        let removals: Vec<_> = self
            .counting(counting)
            .filter(|entry| entry.removes() == Some(*identity) && reaches(entry))
            .collect();
        self.counting(counting)
            .filter(|grant| {
                grant.admits().contains(identity) && self.dag.is_before(grant.index, at)
            })
            .filter(|grant| standing == 0 || matches!(grant.operation, Operation::Genesis(_)))
            .any(|grant| {
                removals.iter().all(|removal| self.dag.is_before(removal.index, grant.index))
            })
    }

    fn is_revoked(&self, invite: &Entry, admission: &Entry, counting: &Counting) -> bool {
        self.counting(counting).any(|entry| {
            let revokes = matches!(&entry.operation, Operation::RevokeInvite { invite: named } if *named == invite.id);
            let reaches = self.dag.is_before(entry.index, admission.index)
                || (self.dag.are_concurrent(entry.index, admission.index)
                    && entry.entitled > invite.entitled);
            revokes && reaches
        })
    }

    pub(super) fn counting<'a>(
        &'a self,
        counting: &'a Counting,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        counting.0.iter().filter_map(|index| self.entries.get(index))
    }

    /// Applies what counts (rule 4): a grant holds if it has every counting removal in its past.
    pub(super) fn apply(&self, counting: &Counting) -> PermissionMatrix {
        let mut matrix = PermissionMatrix::default();
        let mut joined: BTreeMap<IdentityId, (u64, u64, EnvelopeId)> = BTreeMap::new();
        let surplus = self.surplus(counting);
        for grant in self.counting(counting) {
            for (place, identity) in grant.admits().into_iter().enumerate() {
                let founded = matches!(grant.operation, Operation::Genesis(_));
                let since = if founded {
                    (place as u64, 0, grant.id)
                } else {
                    (u64::MAX, grant.order, grant.id)
                };
                joined
                    .entry(identity)
                    .and_modify(|first| *first = since.min(*first))
                    .or_insert(since);
                let holds = !surplus.contains(&grant.index)
                    && self
                        .removals_of(&identity, counting)
                        .all(|removal| self.dag.is_before(removal.index, grant.index));
                if holds {
                    let standing = if founded { owner_standing(place) } else { 0 };
                    let membership = matrix
                        .members
                        .entry(identity)
                        .or_insert(Membership { standing: 0, seniority: 0 });
                    membership.standing = membership.standing.max(standing);
                }
            }
        }
        let mut by_seniority: Vec<_> = joined.into_iter().map(|(id, since)| (since, id)).collect();
        by_seniority.sort_unstable();
        let members = by_seniority.into_iter().filter(|(_, id)| matrix.members.contains_key(id));
        let members: Vec<_> = members.map(|(_, id)| id).collect();
        for (place, identity) in members.iter().enumerate() {
            if let Some(membership) = matrix.members.get_mut(identity) {
                membership.seniority = place as u64;
            }
        }
        self.apply_names(counting, &mut matrix);
        self.apply_invites(counting, &mut matrix);
        matrix
    }

    pub(super) fn removals_of<'a>(
        &'a self,
        identity: &'a IdentityId,
        counting: &'a Counting,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        self.counting(counting).filter(move |entry| entry.removes() == Some(*identity))
    }

    /// Each person's name: that of their first counting admission, then the greatest (`order`, id).
    fn apply_names(&self, counting: &Counting, matrix: &mut PermissionMatrix) {
        let mut latest: BTreeMap<IdentityId, (u64, EnvelopeId)> = BTreeMap::new();
        for entry in self.counting(counting) {
            let (target, name) = match &entry.operation {
                Operation::Admit { request } => {
                    (request.certificate().identity, request.name().to_owned())
                }
                Operation::SetNickname { target, name } => (*target, name.clone()),
                _ => continue,
            };
            let stamp = (entry.order, entry.id);
            if latest.get(&target).is_none_or(|latest| *latest < stamp) {
                latest.insert(target, stamp);
                matrix.names.insert(target, name);
            }
        }
    }

    fn apply_invites(&self, counting: &Counting, matrix: &mut PermissionMatrix) {
        for entry in self.counting(counting) {
            let Operation::IssueInvite { invite, meeting_secret, max_uses, expires } =
                &entry.operation
            else {
                continue;
            };
            let revoked = self.counting(counting).any(|other| {
                matches!(&other.operation, Operation::RevokeInvite { invite } if *invite == entry.id)
            });
            let issuer_in = matrix.is_member(&entry.author);
            if revoked || !issuer_in {
                continue;
            }
            let used = u32::try_from(self.guests(invite, counting).len()).unwrap_or(u32::MAX);
            matrix.invites.push(Invite {
                operation: entry.id,
                key: *invite,
                meeting_secret: Secret::new(*meeting_secret),
                uses_left: max_uses.map(|max| max.saturating_sub(used)),
                expires: *expires,
            });
        }
        matrix.invites.sort_unstable_by_key(|invite| invite.operation);
    }

    /// Whom an invite let in, by their first counting admission, in the order (`order`, id).
    fn guests(&self, invite: &[u8; 32], counting: &Counting) -> Vec<(u64, EnvelopeId, IdentityId)> {
        let mut admissions: Vec<_> = self
            .counting(counting)
            .filter_map(|entry| match &entry.operation {
                Operation::Admit { request } if request.invite() == invite => {
                    Some((entry.order, entry.id, request.certificate().identity))
                }
                _ => None,
            })
            .collect();
        admissions.sort_unstable();
        let mut seen = BTreeSet::new();
        admissions.retain(|(_, _, identity)| seen.insert(*identity));
        admissions
    }

    /// The admissions of guests beyond an invite's uses: their membership by it ends (rule 6).
    fn surplus(&self, counting: &Counting) -> BTreeSet<Index> {
        let mut surplus = BTreeSet::new();
        for entry in self.counting(counting) {
            let Operation::IssueInvite { invite, max_uses: Some(max), .. } = &entry.operation
            else {
                continue;
            };
            let guests = self.guests(invite, counting);
            let beyond: BTreeSet<_> =
                guests.iter().skip(*max as usize).map(|(_, _, identity)| *identity).collect();
            surplus.extend(self.counting(counting).filter_map(|other| match &other.operation {
                Operation::Admit { request }
                    if request.invite() == invite
                        && beyond.contains(&request.certificate().identity) =>
                {
                    Some(other.index)
                }
                _ => None,
            }));
        }
        surplus
    }

    /// The standing at which what counts of an operation's past entitles its author, read once.
    pub(super) fn entitlement(
        &self,
        entry: &Entry,
        before: &PermissionMatrix,
        counting: &Counting,
    ) -> Option<u64> {
        let author = &entry.author;
        let standing = before.standing(author);
        let member = before.is_member(author);
        match &entry.operation {
            Operation::Genesis(_) => None,
            Operation::Leave => member.then_some(standing),
            Operation::IssueInvite { .. } => member.then_some(standing),
            Operation::SetNickname { target, .. } => {
                let may = target == author || before.standing(target) < standing;
                (member && may && before.is_member(target)).then_some(standing)
            }
            Operation::Kick { target, .. } => {
                let known = self.counting(counting).any(|grant| grant.admits().contains(target));
                (standing > 0 && known && before.standing(target) < standing && target != author)
                    .then_some(standing)
            }
            Operation::Heard { removal, .. } => {
                let removal = self.dag.index(removal).and_then(|index| self.entries.get(&index))?;
                let target = removal.removes()?;
                let may = matches!(removal.operation, Operation::Kick { .. })
                    && self.dag.is_before(removal.index, entry.index)
                    && removal.entitled <= Some(standing)
                    && before.standing(&target) < standing;
                (member && may).then_some(standing)
            }
            Operation::RevokeInvite { invite } => {
                let index = self.dag.index(invite)?;
                let named = self.entries.get(&index)?;
                let issued = matches!(named.operation, Operation::IssueInvite { .. })
                    && self.dag.is_before(index, entry.index);
                let above = named.author == *author || named.entitled < Some(standing);
                (member && issued && above).then_some(standing)
            }
            Operation::Admit { request } => self.admission(entry, request, before, member),
        }
    }

    fn admission(
        &self,
        entry: &Entry,
        request: &JoinRequest,
        before: &PermissionMatrix,
        writer_in: bool,
    ) -> Option<u64> {
        let invite = self.invite_in_past(entry.index, request.invite())?;
        let open = before.invites.iter().find(|open| open.operation == invite.id)?;
        let identity = request.certificate().identity;
        let guest_already = self.guests_in_past(entry, request.invite()).contains(&identity);
        let in_time = entry.timestamp <= open.expires;
        let use_left = open.uses_left != Some(0) || guest_already;
        let standing = invite.entitled?.min(before.standing(&invite.author));
        (writer_in && in_time && use_left && request.is_sound()).then_some(standing)
    }

    fn guests_in_past(&self, of: &Entry, invite: &[u8; 32]) -> BTreeSet<IdentityId> {
        self.entries
            .values()
            .filter(|entry| self.dag.is_before(entry.index, of.index))
            .filter_map(|entry| match &entry.operation {
                Operation::Admit { request } if request.invite() == invite => {
                    Some(request.certificate().identity)
                }
                _ => None,
            })
            .collect()
    }
}

/// The standing of the owner at a place of the genesis: the founder's is the highest.
pub(super) fn owner_standing(place: usize) -> u64 {
    u64::MAX - place as u64
}
