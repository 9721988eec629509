use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use minicbor::{Encode, Encoder, encode};

use super::{Capability, Name, Role, Seniority, Standing, view::is_everyones};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, Timestamp, cbor},
    state::{envelope::hash, identity::DeviceCertificate},
};

const DOMAIN: &str = "spacepanda-matrix-v1";

/// Who is in, and who may do what: what a set of operations resolves to, the same for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionMatrix {
    pub(super) members: BTreeMap<IdentityId, Member>,
    pub(super) owners: Vec<IdentityId>,
    pub(super) invites: BTreeMap<EnvelopeId, Invite>,
    pub(super) channels: BTreeMap<ChannelId, ChannelPolicy>,
    pub(super) removals: BTreeMap<IdentityId, BTreeSet<EnvelopeId>>,
    pub(super) seniority: BTreeMap<IdentityId, Seniority>,
    pub(super) devices: BTreeMap<DeviceId, IdentityId>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How high they stand.
    pub standing: Standing,
    /// What they hold.
    pub roles: BTreeSet<Role>,
    /// What they are called, if that was ever set.
    pub nickname: Option<Name>,
    /// Their devices that count, each with its certificate.
    pub devices: BTreeMap<DeviceId, DeviceCertificate>,
    /// The envelopes by which they are members: admissions, or the genesis.
    pub admitted_by: BTreeSet<EnvelopeId>,
    /// How senior they are.
    pub seniority: Seniority,
}

/// An invite in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Who issued it.
    pub issuer: IdentityId,
    /// The key that signs requests by it.
    pub public_key: [u8; 32],
    /// How many people may come in by it.
    pub max_uses: Option<u32>,
    /// Who came in by it, first first.
    pub guests: Vec<IdentityId>,
    /// The last stamp of an admission by it.
    pub expires: Timestamp,
}

/// What authority knows of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelPolicy {
    /// Who made it.
    pub author: IdentityId,
    /// Whether it has a group of its own, which owners alone always view.
    pub private: bool,
}

/// Whether somebody may do something, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Whether they may.
    pub allowed: bool,
    /// Why.
    pub because: Because,
}

/// The reason of an [`Explanation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// Owners may do everything.
    Owner,
    /// Everyone has it.
    Everyone,
    /// No role of theirs has it.
    NoRole,
    /// The channel is private, and nothing lets them in.
    Private,
    /// No such channel is known.
    NoChannel,
    /// They are no member.
    NotMember,
    /// They were removed by this operation, and not admitted since.
    Removed(EnvelopeId),
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owners may do everything"),
            Self::Everyone => f.write_str("every member may do this"),
            Self::NoRole => f.write_str("no role of theirs has this capability"),
            Self::Private => f.write_str("the channel is private and nothing lets them in"),
            Self::NoChannel => f.write_str("no such channel is known"),
            Self::NotMember => f.write_str("they are not a member"),
            Self::Removed(by) => write!(f, "they were removed by {by}"),
        }
    }
}

impl PermissionMatrix {
    /// Every member.
    pub fn members(&self) -> &BTreeMap<IdentityId, Member> {
        &self.members
    }

    /// One member.
    pub fn member(&self, identity: &IdentityId) -> Option<&Member> {
        self.members.get(identity)
    }

    /// The owners, the highest first.
    pub fn owners(&self) -> &[IdentityId] {
        &self.owners
    }

    /// The invites in force, by the envelopes that issued them. One that is used up or past its last
    /// stamp is among them.
    pub fn invites(&self) -> &BTreeMap<EnvelopeId, Invite> {
        &self.invites
    }

    /// Every channel that counts, but the control channel.
    pub fn channels(&self) -> &BTreeMap<ChannelId, ChannelPolicy> {
        &self.channels
    }

    /// Per person the removals that count, also of those who came back.
    pub fn removals(&self) -> &BTreeMap<IdentityId, BTreeSet<EnvelopeId>> {
        &self.removals
    }

    /// Whose device it is, if it is one of a member's that count.
    pub fn device(&self, device: &DeviceId) -> Option<IdentityId> {
        self.devices.get(device).copied()
    }

    /// How senior somebody is, member or not.
    pub fn seniority(&self, identity: &IdentityId) -> Seniority {
        self.seniority.get(identity).copied().unwrap_or(Seniority::Stranger(*identity))
    }

    /// Whether somebody has a capability, in a channel or, without one, on the server.
    pub fn allows(
        &self,
        identity: &IdentityId,
        channel: Option<&ChannelId>,
        capability: Capability,
    ) -> bool {
        self.explain(identity, channel, capability).allowed
    }

    /// The same, with the reason. `channel` is never the control channel: that is the server itself.
    pub fn explain(
        &self,
        identity: &IdentityId,
        channel: Option<&ChannelId>,
        capability: Capability,
    ) -> Explanation {
        let because = self.because(identity, channel, capability);
        let allowed = matches!(because, Because::Owner | Because::Everyone);
        Explanation { allowed, because }
    }

    /// A hash of everything in it: BLAKE3 over its deterministic CBOR.
    pub fn hash(&self) -> [u8; 32] {
        hash(DOMAIN, &cbor::encode(self))
    }

    fn because(
        &self,
        identity: &IdentityId,
        channel: Option<&ChannelId>,
        capability: Capability,
    ) -> Because {
        let Some(member) = self.members.get(identity) else {
            let removal = self.removals.get(identity).and_then(|removals| removals.first());
            return removal.map_or(Because::NotMember, |by| Because::Removed(*by));
        };
        let policy = channel.map(|channel| self.channels.get(channel));
        if policy == Some(None) {
            return Because::NoChannel;
        }
        if member.roles.contains(&Role::Owner) {
            return Because::Owner;
        }
        if policy.flatten().is_some_and(|policy| policy.private) {
            return Because::Private;
        }
        if is_everyones(capability) { Because::Everyone } else { Because::NoRole }
    }
}

impl<C> Encode<C> for PermissionMatrix {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        c: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(5)?.encode_with(&self.owners, c)?;
        e.array(self.members.len() as u64)?;
        for (identity, member) in &self.members {
            e.encode(identity)?;
            member.encode(e, c)?;
        }
        e.array(self.invites.len() as u64)?;
        for (id, invite) in &self.invites {
            e.array(4)?.encode(id)?.encode(invite.issuer)?.encode(invite.expires)?;
            e.encode(&invite.guests)?;
        }
        e.array(self.channels.len() as u64)?;
        for (id, policy) in &self.channels {
            e.array(3)?.encode(id)?.encode(policy.author)?.bool(policy.private)?;
        }
        e.array(self.removals.len() as u64)?;
        for (identity, removals) in &self.removals {
            e.array(2)?.encode(identity)?.array(removals.len() as u64)?;
            for removal in removals {
                e.encode(removal)?;
            }
        }
        Ok(())
    }
}

impl<C> Encode<C> for Member {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(5)?.u64(self.standing.number())?;
        e.array(self.roles.len() as u64)?;
        for role in &self.roles {
            e.encode(role)?;
        }
        e.encode(&self.nickname)?.array(self.devices.len() as u64)?;
        for certificate in self.devices.values() {
            e.encode(certificate)?;
        }
        e.array(self.admitted_by.len() as u64)?;
        for id in &self.admitted_by {
            e.encode(id)?;
        }
        Ok(())
    }
}
