//! The devices of people: they belong to the identity, whoever let it in, and a revocation ends them
//! for good. All of it follows from a past alone, so that no verdict on it ever changes.

use std::collections::BTreeSet;

use minicbor::Encode;

use super::{
    Authority, Operation,
    log::{Log, Op, of},
};
use crate::{
    base::{DeviceId, Frontier, IdentityId, ServerId, cbor, limits::DEVICES_PER_IDENTITY_MAX},
    state::{
        envelope::{Header, Index, Past},
        identity::{DeviceCertificate, KeyPair, SIGNATURE_LEN, SignatureError, verify},
    },
};

const DOMAIN: &str = "spacepanda-revocation-v1";

/// What an identity signs to revoke a device: of one server, so that nobody carries it into another.
#[derive(Encode)]
#[cbor(map)]
struct Signed<'a> {
    #[n(0)]
    server: &'a ServerId,
    #[n(1)]
    device: &'a DeviceId,
}

impl Operation {
    /// The operation that ends a device of `identity`'s for good.
    pub fn revoke_device(identity: &KeyPair, server: &ServerId, device: DeviceId) -> Self {
        let signed = cbor::encode(&Signed { server, device: &device });
        Self::RevokeDevice { device, signature: identity.sign(DOMAIN, &signed) }
    }
}

fn verify_revocation(
    identity: &IdentityId,
    server: &ServerId,
    device: &DeviceId,
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), SignatureError> {
    let signed = cbor::encode(&Signed { server, device });
    verify(identity.as_bytes(), DOMAIN, &signed, signature)
}

/// Whether an `AddDevice` is one by its bytes alone: vouched for by its identity, and written by the
/// very device, which so proves that it holds its key. Else anybody could claim another's device.
pub(super) fn introduces_itself(header: &Header, certificate: &DeviceCertificate) -> bool {
    certificate.device == header.sender && certificate.clone().verify().is_ok()
}

impl Log {
    /// Whose device it is, by a genesis, an admission or its own introduction in `past`, counting or
    /// not. Of several the least (`order`, id) says.
    pub(super) fn certifies(&self, past: &Past, device: &DeviceId) -> Option<IdentityId> {
        of(&self.certificates, device)
            .filter(|index| self.dag.holds(past, *index))
            .map(|index| self.op(index))
            .min_by_key(|op| op.rank())
            .and_then(|op| op.certificates().iter().find(|made| made.device == *device))
            .map(|certificate| certificate.identity)
    }

    /// The devices of a person that count in a past: the first by (`order`, id) of those that are
    /// certified there and not revoked.
    pub(super) fn devices_in(&self, past: &Past, who: &IdentityId) -> Vec<&DeviceCertificate> {
        let mut found: Vec<&DeviceCertificate> = Vec::new();
        let certified = self.vouched.get(who).into_iter().flatten();
        for index in certified.map(|(_, index)| *index).filter(|at| self.dag.holds(past, *at)) {
            if found.len() == DEVICES_PER_IDENTITY_MAX {
                break;
            }
            let theirs = self.op(index).certificates().iter().find(|made| made.identity == *who);
            let Some(made) = theirs else { continue };
            if found.iter().all(|before| before.device != made.device)
                && !self.is_revoked(past, &made.device)
                && self.is_of_one(past, &made.device, who)
            {
                found.push(made);
            }
        }
        found
    }

    /// Whether all that certifies a device in a past names this person: one that two are vouched for is nobody's.
    /// Only whoever holds its key can have it vouched for, so that nobody else can take it from them.
    fn is_of_one(&self, past: &Past, device: &DeviceId, who: &IdentityId) -> bool {
        let certificates = of(&self.certificates, device)
            .filter(|index| self.dag.holds(past, *index))
            .flat_map(|index| self.op(index).certificates());
        certificates.filter(|made| made.device == *device).all(|made| made.identity == *who)
    }

    /// Whether a past holds a revocation of a device that counts.
    pub(super) fn is_revoked(&self, past: &Past, device: &DeviceId) -> bool {
        of(&self.revocations, device).any(|index| self.dag.holds(past, index))
    }

    /// Whether what a device of `who` writes, knowing `past`, may count at all.
    pub(super) fn is_device_in(&self, past: &Past, who: &IdentityId, device: &DeviceId) -> bool {
        self.devices_in(past, who).iter().any(|made| made.device == *device)
    }

    /// Whether an operation of a device may have the ways that its author has. A device introduces
    /// itself, and carries its identity's revocations, also while it is one too many.
    pub(super) fn lets_write(
        &self,
        past: &Past,
        author: &IdentityId,
        device: &DeviceId,
        operation: &Operation,
    ) -> bool {
        match operation {
            Operation::AddDevice { .. } | Operation::RevokeDevice { .. } => {
                !self.is_revoked(past, device)
            }
            _ => self.is_device_in(past, author, device),
        }
    }

    /// Whether a revocation is of a device of its author's and signed by their identity.
    pub(super) fn may_revoke(
        &self,
        past: &Past,
        author: &IdentityId,
        device: &DeviceId,
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        self.certifies(past, device) == Some(*author)
            && verify_revocation(author, &self.server, device, signature).is_ok()
    }

    /// Files an operation under the devices that it certifies or revokes. Who is another's by its past
    /// introduces itself for nobody else.
    pub(super) fn file_devices(&mut self, index: Index, op: &Op) {
        let introduces = matches!(op.operation(), Some(Operation::AddDevice { .. }));
        for certificate in op.certificates() {
            let (device, who) = (certificate.device, certificate.identity);
            if !introduces || who == op.author {
                self.certificates.entry(device).or_default().push(index);
                self.vouched.entry(who).or_default().insert((op.rank(), index));
            }
        }
        if let Some(Operation::RevokeDevice { device, .. }) = op.operation()
            && op.standing.is_some()
        {
            self.revocations.entry(*device).or_default().push(index);
        }
    }
}

impl Authority {
    /// Whether a device was revoked by anything held.
    pub fn is_revoked(&self, device: &DeviceId) -> bool {
        self.log.revocations.contains_key(device)
    }

    /// The frontier of the control channel up to what revoked a device: all that it gets.
    pub fn revoked_at(&self, device: &DeviceId) -> Frontier {
        let revoked_by: Vec<_> =
            of(&self.log.revocations, device).map(|index| self.log.op(index).id).collect();
        let past = self.log.dag.closure(&revoked_by).unwrap_or_default();
        self.log.dag.frontier(&past)
    }

    /// Every device that was ever certified for somebody, counting or not: whose logs a removal's
    /// lines must name.
    pub fn devices_of(&self, identity: &IdentityId) -> BTreeSet<DeviceId> {
        let vouched = self.log.vouched.get(identity).into_iter().flatten();
        vouched
            .flat_map(|(_, index)| self.log.op(*index).certificates())
            .filter(|certificate| certificate.identity == *identity)
            .map(|certificate| certificate.device)
            .collect()
    }
}
