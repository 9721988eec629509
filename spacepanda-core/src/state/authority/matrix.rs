use std::collections::{BTreeMap, BTreeSet};

use minicbor::Encode;

use super::Capability;
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, Secret, cbor},
    state::envelope::hash,
};

/// What everyone may do, by the defaults of genesis version 1.
const EVERYONE: [Capability; 4] = [
    Capability::ViewChannel,
    Capability::SendMessages,
    Capability::CreateInvite,
    Capability::ChangeNickname,
];

/// Who may do what, as one set of operations resolves.
#[derive(Debug, Clone, Default)]
pub struct PermissionMatrix {
    pub(super) members: BTreeMap<IdentityId, Membership>,
    pub(super) devices: BTreeMap<DeviceId, IdentityId>,
    pub(super) names: BTreeMap<IdentityId, String>,
    pub(super) invites: Vec<Invite>,
}

/// One person's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    /// Owners stand by their place in the genesis, the founder highest; everyone at 0.
    pub standing: u64,
    /// Their place by seniority, from 0.
    pub seniority: u64,
}

/// An invite that is in force.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The operation that made it.
    pub operation: EnvelopeId,
    /// Its public key.
    pub key: [u8; 32],
    /// What its holders prove on a link.
    pub meeting_secret: Secret<32>,
    /// How often it may still be used; `None` for any number.
    pub uses_left: Option<u32>,
    /// Until which stamp.
    pub expires: crate::base::Timestamp,
}

/// Whether somebody may do something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether they may.
    pub allowed: bool,
    /// Why, for people.
    pub because: String,
}

impl PermissionMatrix {
    /// Everybody who is a member, the most senior first.
    pub fn members(&self) -> impl Iterator<Item = IdentityId> + '_ {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_unstable_by_key(|(_, membership)| membership.seniority);
        members.into_iter().map(|(identity, _)| *identity)
    }

    /// How many members there are.
    pub fn members_len(&self) -> usize {
        self.members.len()
    }

    /// Whether somebody is a member.
    pub fn is_member(&self, identity: &IdentityId) -> bool {
        self.members.contains_key(identity)
    }

    /// The devices of members.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.devices.iter().filter(|(_, owner)| self.is_member(owner)).map(|(device, _)| *device)
    }

    /// Whose device it is, if some `Admit` or the genesis certifies it.
    pub fn identity_of(&self, device: &DeviceId) -> Option<IdentityId> {
        self.devices.get(device).copied()
    }

    /// Where somebody stands: 0 for everyone, more for owners.
    pub fn standing(&self, identity: &IdentityId) -> u64 {
        self.members.get(identity).map_or(0, |membership| membership.standing)
    }

    /// Somebody's place by seniority, from 0; `u64::MAX` for whoever is no member.
    pub fn seniority(&self, identity: &IdentityId) -> u64 {
        self.members.get(identity).map_or(u64::MAX, |membership| membership.seniority)
    }

    /// What somebody is called; the beginning of their id if nothing else is known.
    pub fn name_of(&self, identity: &IdentityId) -> String {
        let known = self.names.get(identity).cloned();
        known.unwrap_or_else(|| identity.to_string()[..8].to_owned())
    }

    /// Somebody's roles, highest first.
    pub fn roles_of(&self, identity: &IdentityId) -> Vec<String> {
        let Some(membership) = self.members.get(identity) else { return Vec::new() };
        let owner = (membership.standing > 0).then(|| "owner".to_owned());
        owner.into_iter().chain(["everyone".to_owned()]).collect()
    }

    /// The invites by which somebody could come in, but for their time.
    pub fn open_invites(&self) -> impl Iterator<Item = &Invite> {
        self.invites.iter().filter(|invite| invite.uses_left != Some(0))
    }

    /// Whether somebody may do something.
    pub fn allows(&self, identity: &IdentityId, capability: Capability) -> bool {
        self.members
            .get(identity)
            .is_some_and(|membership| membership.standing > 0 || EVERYONE.contains(&capability))
    }

    /// Whether somebody may do something in a channel (`None`: in the server), and why.
    pub fn explain(
        &self,
        identity: &IdentityId,
        _channel: Option<&ChannelId>,
        capability: Capability,
    ) -> Explanation {
        let allowed = self.allows(identity, capability);
        let because = match self.members.get(identity) {
            None => "this person is no member of the server".to_owned(),
            Some(membership) if membership.standing > 0 => {
                "this person is an owner, and owners may do everything".to_owned()
            }
            Some(_) if allowed => format!("everyone has {}", capability.name()),
            Some(_) => format!("no role of this person has {}", capability.name()),
        };
        Explanation { allowed, because }
    }

    /// A hash that is the same wherever the same set resolves.
    pub fn hash(&self) -> [u8; 32] {
        let members = self
            .members
            .iter()
            .map(|(id, member)| (*id, member.standing, member.seniority))
            .collect();
        let current: BTreeSet<_> = self.devices().collect();
        let canonical = Canonical {
            members,
            devices: current.into_iter().collect(),
            names: self
                .names
                .iter()
                .filter(|(id, _)| self.is_member(id))
                .map(|(id, name)| (*id, name.clone()))
                .collect(),
            invites: self
                .invites
                .iter()
                .map(|invite| (invite.operation, invite.uses_left))
                .collect(),
        };
        hash("spacepanda-matrix-v1", &cbor::encode(&canonical))
    }
}

#[derive(Encode)]
#[cbor(array)]
struct Canonical {
    #[n(0)]
    members: Vec<(IdentityId, u64, u64)>,
    #[n(1)]
    devices: Vec<DeviceId>,
    #[n(2)]
    names: Vec<(IdentityId, String)>,
    #[n(3)]
    invites: Vec<(EnvelopeId, Option<u32>)>,
}
