use std::collections::BTreeMap;

use spacepanda_core::{
    base::{DeviceId, EnvelopeId, IdentityId, ServerId, cbor, limits::DEVICES_PER_IDENTITY_MAX},
    state::{
        authority::{Operation, control_channel, server_of},
        envelope::Header,
        identity::{DeviceCertificate, verify},
    },
};

use super::set::Set;

/// Whose devices there are, and which of them count: all of it follows from a past alone.
#[derive(Debug, Default)]
pub(super) struct Devices {
    server: Option<ServerId>,
    people: BTreeMap<DeviceId, IdentityId>,
    /// What certifies whom, the least (`order`, id) first.
    certified: BTreeMap<IdentityId, Vec<(Rank, usize, DeviceId)>>,
    revoked: Vec<(usize, DeviceId)>,
}

type Rank = (u64, EnvelopeId);

impl Devices {
    /// Notes what an operation says of devices.
    pub(super) fn note(
        &mut self,
        at: usize,
        rank: Rank,
        header: &Header,
        past: &Set,
        operation: &Operation,
    ) {
        match operation {
            Operation::Genesis(genesis) => {
                let server = server_of(&header.payload);
                if control_channel(&server) == header.channel {
                    self.server = Some(server);
                }
                genesis.owners.iter().for_each(|owner| self.certify(at, rank, owner));
            }
            Operation::Admit(request) => self.certify(at, rank, &request.certificate),
            Operation::AddDevice { certificate } if self.introduces(header, past, certificate) => {
                self.certify(at, rank, certificate);
            }
            Operation::RevokeDevice { device, signature }
                if self.revokes(header, past, device, signature) =>
            {
                self.revoked.push((at, *device));
            }
            _ => {}
        }
    }

    fn certify(&mut self, at: usize, rank: Rank, certificate: &DeviceCertificate) {
        let (device, identity) = (certificate.device, certificate.identity);
        self.people.entry(device).or_insert(identity);
        let certified = self.certified.entry(identity).or_default();
        certified.push((rank, at, device));
        certified.sort_unstable();
    }

    /// Whether a device speaks for itself, and for somebody who was let in before.
    fn introduces(&self, header: &Header, past: &Set, certificate: &DeviceCertificate) -> bool {
        let before = self.certified.get(&certificate.identity).into_iter().flatten();
        certificate.device == header.sender
            && certificate.clone().verify().is_ok()
            && self.person(&header.sender).is_none_or(|person| person == certificate.identity)
            && before.into_iter().any(|(_, at, _)| past.has(*at))
            && !self.is_revoked(&header.sender, past)
    }

    fn revokes(
        &self,
        header: &Header,
        past: &Set,
        device: &DeviceId,
        signature: &[u8; 64],
    ) -> bool {
        let (Some(server), Some(person)) = (self.server, self.person(device)) else {
            return false;
        };
        let signed = [&[0xa2, 0x00][..], &cbor::encode(&server), &[0x01], &cbor::encode(device)];
        self.person(&header.sender) == Some(person)
            && self.is_certified(&header.sender, past)
            && self.is_certified(device, past)
            && !self.is_revoked(&header.sender, past)
            && verify(person.as_bytes(), "spacepanda-revocation-v1", &signed.concat(), signature)
                .is_ok()
    }

    fn is_certified(&self, device: &DeviceId, past: &Set) -> bool {
        let all = self.certified.values().flatten();
        all.into_iter().any(|(_, at, certified)| certified == device && past.has(*at))
    }

    fn is_revoked(&self, device: &DeviceId, past: &Set) -> bool {
        self.revoked.iter().any(|(at, revoked)| revoked == device && past.has(*at))
    }

    /// Whose a device is.
    pub(super) fn person(&self, device: &DeviceId) -> Option<IdentityId> {
        self.people.get(device).copied()
    }

    /// Everybody who ever was let in.
    pub(super) fn people(&self) -> impl Iterator<Item = IdentityId> + '_ {
        self.people.values().copied()
    }

    /// Whose word it is that a device gives who knows `past`: nobody's if the device is not one of the
    /// first eight of theirs there.
    pub(super) fn author(&self, device: &DeviceId, past: &Set) -> Option<IdentityId> {
        let person = self.person(device)?;
        let mut counting: Vec<DeviceId> = Vec::new();
        for (_, at, certified) in self.certified.get(&person)? {
            let new = !counting.contains(certified) && !self.is_revoked(certified, past);
            if past.has(*at) && new && counting.len() < DEVICES_PER_IDENTITY_MAX {
                counting.push(*certified);
            }
        }
        counting.contains(device).then_some(person)
    }
}
