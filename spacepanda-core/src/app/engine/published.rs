use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{DeviceId, EnvelopeId, IdentityId, StateId, Timestamp},
    state::{
        envelope::Verified,
        mls::{self, KeyPackagePayload, PackageFacts, PackageRef, PackageUse},
    },
};

/// Ordinary packages of one device that are remembered, the newest.
const ORDINARY_MAX: usize = 8;
/// Where something stands among a device's packages: by `order`, then by id.
type Rank = (u64, EnvelopeId);

/// Everybody's key packages, as the control channel has them: the same for the same envelopes, in
/// whatever order they came.
#[derive(Debug, Default)]
pub(super) struct Packages(BTreeMap<DeviceId, OfDevice>);

#[derive(Debug, Default)]
struct OfDevice {
    ordinary: BTreeMap<Rank, Vec<u8>>,
    last_resort: Option<(Rank, Vec<u8>)>,
    pleas: BTreeMap<Rank, Plea>,
}

/// A plea to be added again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plea {
    pub envelope: EnvelopeId,
    /// When it was made, by its author's clock.
    pub at: Timestamp,
    pub package: PackageRef,
    /// The state that its author could not reach.
    pub lost: StateId,
}

impl Packages {
    /// Takes in a `KeyPackage`. One that is void, or a plea whose package may not be added, is
    /// passed over; the packages of others are checked before they are used.
    pub(super) fn take_in(&mut self, envelope: &Verified) {
        let header = envelope.header();
        let (device, rank) = (header.sender, (header.order, envelope.id()));
        let Ok(payload) = KeyPackagePayload::decode(&header.payload) else { return };
        if payload.device != device {
            return;
        }
        let of = self.0.entry(device).or_default();
        if payload.last_resort {
            if of.last_resort.as_ref().is_none_or(|(held, _)| *held < rank) {
                of.last_resort = Some((rank, payload.package));
            }
            return;
        }
        if let Some(lost) = payload.lost {
            let Some(facts) = checked(&payload.package, &device, PackageUse::Once) else { return };
            let plea = Plea {
                envelope: envelope.id(),
                at: header.timestamp,
                package: facts.reference,
                lost,
            };
            of.pleas.insert(rank, plea);
        }
        of.ordinary.insert(rank, payload.package);
        if of.ordinary.len() > ORDINARY_MAX {
            of.ordinary.pop_first();
        }
    }

    /// The package by which a device is to be added: the newest ordinary one that is not `used`, of
    /// its own and the one of its request, which came at that `order`; else its last-resort one. An
    /// ordinary one from before `window` comes after that: its private part may be gone, if it let its
    /// device in on a path that was left.
    pub(super) fn newest(
        &self,
        device: &DeviceId,
        identity: &IdentityId,
        requested: Option<(u64, &[u8])>,
        used: &BTreeSet<PackageRef>,
        window: Timestamp,
    ) -> Option<Vec<u8>> {
        let of = self.0.get(device);
        let ordinary = of.into_iter().flat_map(|of| &of.ordinary);
        let mut ordinary: Vec<_> = ordinary
            .map(|((order, _), package)| (*order, package.as_slice()))
            .chain(requested)
            .collect();
        ordinary.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
        let fits = |package: &[u8], package_use| {
            checked(package, device, package_use)
                .filter(|facts| facts.certificate.identity() == *identity)
        };
        let unused = |package: &[u8]| {
            fits(package, PackageUse::Once).is_some_and(|facts| !used.contains(&facts.reference))
        };
        let newest = |is_recent: bool| {
            let all = ordinary.iter();
            all.filter(|(order, _)| (*order >= window.micros()) == is_recent)
                .map(|(_, package)| *package)
                .find(|package| unused(package))
        };
        let last = || {
            let (_, package) = of?.last_resort.as_ref()?;
            fits(package, PackageUse::LastResort).map(|_| package.as_slice())
        };
        newest(true).or_else(last).or_else(|| newest(false)).map(<[u8]>::to_vec)
    }

    /// The bytes of a plea's package.
    pub(super) fn of_plea(&self, device: &DeviceId, plea: &Plea) -> Option<&[u8]> {
        let packages = &self.0.get(device)?.ordinary;
        let of = packages.iter().find(|((_, envelope), _)| *envelope == plea.envelope);
        of.map(|(_, package)| package.as_slice())
    }

    /// The devices that ever pleaded.
    pub(super) fn pleaders(&self) -> impl Iterator<Item = &DeviceId> {
        self.0.iter().filter(|(_, of)| !of.pleas.is_empty()).map(|(device, _)| device)
    }

    /// The pleas of a device, whether they count or not, oldest first.
    pub(super) fn all_pleas(&self, device: &DeviceId) -> impl Iterator<Item = &Plea> {
        self.0.get(device).into_iter().flat_map(|of| of.pleas.values())
    }
}

/// The facts of a package that may be added for this device, to be used as said.
fn checked(package: &[u8], device: &DeviceId, package_use: PackageUse) -> Option<PackageFacts> {
    mls::package_facts(package)
        .ok()
        .filter(|facts| facts.certificate.device() == *device && facts.package_use == package_use)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::server::Server, *};
    use crate::{
        base::{ChannelId, Secret, ServerId, Tip},
        state::{
            envelope::{Header, PayloadType, VERSION},
            identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
            mls::KeyPackageMade,
        },
    };

    /// Bob's device, which publishes.
    struct Bob {
        keys: KeyPair,
        certificate: VerifiedCertificate,
        written: Vec<Tip>,
    }

    impl Bob {
        fn new() -> Self {
            let keys = KeyPair::from_secret(Secret::new([2; 32]));
            let device = DeviceId::new(*keys.public());
            let identity = KeyPair::from_secret(Secret::new([1; 32]));
            let certificate = DeviceCertificate::issue(&identity, device, Timestamp::ZERO);
            Self { keys, certificate, written: Vec::new() }
        }

        fn package(&self, package_use: PackageUse, seed: u8) -> KeyPackageMade {
            let seed = Secret::new([seed; 32]);
            mls::key_package(&self.keys, &self.certificate, package_use, &seed).unwrap()
        }

        fn publish(&mut self, made: &KeyPackageMade, payload: KeyPackagePayload) -> Verified {
            let payload = KeyPackagePayload { package: made.package.clone(), ..payload };
            let sequence = self.written.len() as u64 + 1;
            let timestamp = Timestamp::from_micros(sequence * 30 * 60 * 1_000_000);
            let header = Header {
                version: VERSION,
                channel: ChannelId::new([9; 32]),
                sender: self.certificate.device(),
                sequence,
                previous: self.written.last().map(|tip| tip.id),
                parents: Vec::new(),
                control: None,
                timestamp,
                order: timestamp.micros(),
                payload_type: PayloadType::KeyPackage,
                payload: payload.encode(),
                body: None,
            };
            let envelope = Verified::sign(header, None, &self.keys).unwrap();
            self.written.push(envelope.tip());
            envelope
        }

        fn payload(&self, last_resort: bool, lost: Option<StateId>) -> KeyPackagePayload {
            let device = self.certificate.device();
            KeyPackagePayload { device, last_resort, package: Vec::new(), lost }
        }
    }

    #[test]
    fn the_newest_unused_package_is_taken_and_the_last_resort_one_when_none_is_left() {
        let mut bob = Bob::new();
        let made: Vec<_> = (1..4).map(|seed| bob.package(PackageUse::Once, seed)).collect();
        let last = bob.package(PackageUse::LastResort, 4);
        let mut packages = Packages::default();
        let (once, for_ever) = (bob.payload(false, None), bob.payload(true, None));
        let mut log = vec![bob.publish(&last, for_ever)];
        log.extend(made[..2].iter().map(|made| bob.publish(made, once.clone())));
        for envelope in log.iter().rev() {
            packages.take_in(envelope);
        }
        let (device, identity) = (bob.certificate.device(), bob.certificate.identity());
        let mut used = BTreeSet::new();
        let requested = Some((1, made[2].package.as_slice()));
        let by = |requested, used: &_, window| {
            packages.newest(&device, &identity, requested, used, window)
        };
        for next in [&made[1], &made[0], &made[2], &last, &last] {
            let taken = by(requested, &used, Timestamp::ZERO);
            assert_eq!(taken.as_ref(), Some(&next.package));
            used.insert(next.reference);
        }
        let nobody = IdentityId::new([7; 32]);
        let unused = BTreeSet::new();
        assert_eq!(packages.newest(&device, &nobody, requested, &unused, Timestamp::ZERO), None);
        // One that is older than the window is not asked for while there is another.
        let after = |envelope: &Verified| Timestamp::from_micros(envelope.header().order + 1);
        assert_eq!(by(requested, &unused, after(&log[1])).as_ref(), Some(&made[1].package));
        assert_eq!(by(requested, &unused, after(&log[2])).as_ref(), Some(&last.package));
    }

    #[test]
    fn a_plea_counts_an_hour_after_the_one_before_it() {
        let mut bob = Bob::new();
        let mut server = Server::new(ServerId::new([0; 32]), 1);
        let lost = StateId::new([3; 32]);
        let made: Vec<_> = (1..6).map(|seed| bob.package(PackageUse::Once, seed)).collect();
        for made in &made {
            let payload = bob.payload(false, Some(lost));
            server.packages.take_in(&bob.publish(made, payload));
        }
        let device = bob.certificate.device();
        let counting: Vec<_> = server.pleas().of(&device).iter().map(|plea| plea.package).collect();
        assert_eq!(counting, [0, 2, 4].map(|at| made[at].reference));
        let open = server.pleas().open(&lost);
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].0, open[0].1.package), (device, made[4].reference));
        assert_eq!(server.packages.of_plea(&device, &open[0].1), Some(&made[4].package[..]));
    }

    #[test]
    fn a_package_that_is_another_use_or_device_than_it_says_is_passed_over() {
        let mut bob = Bob::new();
        let mut packages = Packages::default();
        let last = bob.package(PackageUse::LastResort, 1);
        let payload = bob.payload(false, Some(StateId::new([3; 32])));
        packages.take_in(&bob.publish(&last, payload));
        let once = bob.package(PackageUse::Once, 2);
        let payload =
            KeyPackagePayload { device: DeviceId::new([5; 32]), ..bob.payload(false, None) };
        packages.take_in(&bob.publish(&once, payload));
        let (device, identity) = (bob.certificate.device(), bob.certificate.identity());
        let unused = BTreeSet::new();
        assert_eq!(packages.newest(&device, &identity, None, &unused, Timestamp::ZERO), None);
        assert_eq!(packages.pleaders().count(), 0);
    }
}
