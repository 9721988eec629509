//! What the control channel tells those who keep, serve and let in, beside what it resolves to.

use std::collections::BTreeMap;

use super::{
    Authority, Denied, Need, Operation, PermissionMatrix,
    cut::{Said, is_up_to},
    gate,
    log::{Op, of},
};
use crate::{
    base::{DeviceId, EnvelopeId, Frontier, IdentityId, Secret, Timestamp, Tip},
    state::{
        authority::{JoinRequest, Role},
        envelope::{Dag, Origin},
    },
};

/// Why somebody who asks cannot be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The invite is not known here.
    #[error("the invite is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the invite has expired")]
    Expired,
    /// It is no longer in force.
    #[error("the invite is no longer in force")]
    Revoked,
    /// It was used as often as it may be.
    #[error("the invite is used up")]
    UsedUp,
    /// The request does not check out, or nobody here may grant it.
    #[error("the request cannot be granted")]
    Invalid,
}

/// An invite by which somebody could still come in, but for its time.
#[derive(Debug, Clone)]
pub struct OpenInvite {
    /// The envelope that issued it.
    pub issued_by: EnvelopeId,
    /// The key that signs requests by it.
    pub public_key: [u8; 32],
    /// The last stamp of an admission by it.
    pub expires: Timestamp,
}

impl Authority {
    /// The causality of the control channel.
    pub fn dag(&self) -> &Dag {
        &self.log.dag
    }

    /// Whose device it is by anything held, counting or not; of several the least (`order`, id) says. That may
    /// change: of what was written ask [`author_of`](Self::author_of) or [`certifies`](Self::certifies).
    pub fn certified(&self, device: &DeviceId) -> Option<IdentityId> {
        of(&self.log.certificates, device)
            .map(|index| self.log.op(index))
            .min_by_key(|op| op.rank())
            .and_then(|op| op.certificates().iter().find(|made| made.device == *device))
            .map(|certificate| certificate.identity)
    }

    /// The invites by which somebody could come in.
    pub fn open_invites(&self) -> Vec<OpenInvite> {
        let matrix = self.now();
        let open = matrix.invites().iter().filter(|(_, invite)| {
            invite.max_uses.is_none_or(|uses| (invite.guests.len() as u64) < u64::from(uses))
        });
        open.map(|(id, invite)| OpenInvite {
            issued_by: *id,
            public_key: invite.public_key,
            expires: invite.expires,
        })
        .collect()
    }

    /// The meeting secrets of every invite ever issued, in force or not.
    pub fn meeting_secrets(&self) -> impl Iterator<Item = Secret<32>> + '_ {
        self.log.ops.values().filter_map(|op| match op.operation() {
            Some(Operation::IssueInvite(issued)) => Some(Secret::new(issued.meeting_secret)),
            _ => None,
        })
    }

    /// The admissions by which somebody is a member now; none of whoever the genesis made one.
    pub fn admits_of(&self, identity: &IdentityId) -> Vec<EnvelopeId> {
        let matrix = self.now();
        let Some(member) = matrix.member(identity) else { return Vec::new() };
        if member.roles.contains(&Role::Owner) {
            return Vec::new();
        }
        member.admitted_by.iter().copied().collect()
    }

    /// The request of the newest admission by which somebody is a member: by its key package their
    /// device is added to the group.
    pub fn request_of(&self, identity: &IdentityId) -> Option<&JoinRequest> {
        let admissions = self.admits_of(identity);
        let newest = admissions.iter().filter_map(|id| self.op(id)).max_by_key(|op| op.rank())?;
        match newest.operation() {
            Some(Operation::Admit(request)) => Some(request),
            _ => None,
        }
    }

    /// The `order` of the newest admission by which somebody is a member; 0 for whoever the genesis made one.
    pub fn admitted_at(&self, identity: &IdentityId) -> u64 {
        let admissions = self.admits_of(identity);
        let orders = admissions.iter().filter_map(|id| Some(self.op(id)?.order));
        orders.max().unwrap_or(0)
    }

    /// The admissions by just this request, counting or not.
    pub fn grants_of(&self, request: &JoinRequest) -> Vec<EnvelopeId> {
        let theirs = of(&self.log.admissions, &request.certificate.identity);
        let ops = theirs.map(|index| self.log.op(index)).filter(
            |op| matches!(op.operation(), Some(Operation::Admit(granted)) if **granted == *request),
        );
        ops.map(|op| op.id).collect()
    }

    /// Whether somebody is a member by just this request.
    pub fn is_admitted_by(&self, request: &JoinRequest) -> bool {
        let admissions = self.admits_of(&request.certificate.identity);
        admissions.iter().any(|id| {
            let operation = self.op(id).and_then(Op::operation);
            matches!(operation, Some(Operation::Admit(granted)) if **granted == *request)
        })
    }

    /// Whether `device` may grant a request by writing an admission at `now`, knowing everything here.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_admit(
        &self,
        device: &DeviceId,
        request: &JoinRequest,
        now: Timestamp,
    ) -> Result<(), AdmitError> {
        if request.server != self.server() || request.verify().is_err() {
            return Err(AdmitError::Invalid);
        }
        let tips: Vec<_> = self.tips().iter().map(|tip| tip.id).collect();
        let operation = Operation::Admit(Box::new(request.clone()));
        self.check(device, now, &tips, &operation).map(|_| ()).map_err(|denied| match denied {
            Denied::Unnamed => AdmitError::Unknown,
            Denied::Revoked => AdmitError::Revoked,
            Denied::Expired => AdmitError::Expired,
            Denied::UsedUp => AdmitError::UsedUp,
            _ => AdmitError::Invalid,
        })
    }

    /// The frontier of the control channel up to what ended somebody's membership; of whoever was let in
    /// and never was a member, because others had used the invite before, up to that admission.
    pub fn ended(&self, identity: &IdentityId) -> Frontier {
        let mut ended_by = self.ended_by(identity);
        if ended_by.is_empty() {
            let admissions = of(&self.log.admissions, identity);
            ended_by.extend(admissions.map(|index| self.log.op(index).id));
        }
        let past = self.log.dag.closure(&ended_by).unwrap_or_default();
        self.log.dag.frontier(&past)
    }

    /// Whether an envelope of the control channel supports a state of the group: not, if its
    /// device does not count in its past, or a counting removal of its author outran it.
    pub fn supports(&self, envelope: &EnvelopeId) -> bool {
        let dag = &self.log.dag;
        let Some(index) = dag.index(envelope) else { return false };
        let device = dag.device(index);
        self.author_of(envelope).is_some_and(|author| {
            self.log.is_device_in(dag.past_of(index), &author, &device)
                && !self.is_outrun(&author, envelope)
        })
    }

    /// Whether content counts as known now: entitled by its own past, and cut off by no removal.
    pub fn counts_as_said(&self, origin: &Origin, tip: Tip, need: &Need) -> bool {
        gate::judge(self, origin, need).is_ok() && !self.is_cut_off(origin, tip)
    }

    /// Whether a removal cuts off what was said at `tip`, as known now.
    pub fn is_cut_off(&self, origin: &Origin, tip: Tip) -> bool {
        let Some(identity) = self.certifies(&origin.past, &origin.device) else { return true };
        let said = Said {
            identity,
            channel: origin.channel,
            tip,
            timestamp: origin.timestamp,
            past: &origin.past,
        };
        if origin.channel == self.control() {
            self.is_cut_here(&said)
        } else {
            self.is_cut(&said, is_up_to)
        }
    }

    /// What somebody is called; of whoever is no member, what they asked to be called last; the
    /// beginning of their id if nothing else is known.
    pub fn name_of(&self, identity: &IdentityId) -> String {
        let matrix = self.now();
        let nickname = matrix.member(identity).and_then(|member| member.nickname.clone());
        let asked = || {
            let admissions = of(&self.log.admissions, identity).map(|index| self.log.op(index));
            let newest = admissions.max_by_key(|op| op.rank())?;
            match newest.operation() {
                Some(Operation::Admit(request)) => Some(request.name.clone()),
                _ => None,
            }
        };
        let name = nickname.or_else(asked);
        name.map_or_else(|| identity.to_string()[..8].to_owned(), |name| name.to_string())
    }

    fn op(&self, id: &EnvelopeId) -> Option<&Op> {
        self.log.ops.get(&self.log.dag.index(id)?)
    }
}

impl PermissionMatrix {
    /// Whether somebody is a member.
    pub fn is_member(&self, identity: &IdentityId) -> bool {
        self.members.contains_key(identity)
    }

    /// Every member, the most senior first.
    pub fn by_seniority(&self) -> Vec<IdentityId> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_unstable_by_key(|(_, member)| member.seniority);
        members.into_iter().map(|(identity, _)| *identity).collect()
    }

    /// Everybody who ever was let in, by their place among them: 0 is the most senior.
    pub fn places(&self) -> BTreeMap<IdentityId, u64> {
        let mut people: Vec<_> = self.seniority.iter().collect();
        people.sort_unstable_by_key(|(_, seniority)| **seniority);
        people.into_iter().zip(0..).map(|((identity, _), place)| (*identity, place)).collect()
    }
}
