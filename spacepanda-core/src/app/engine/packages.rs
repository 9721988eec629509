use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    account::Account,
    machine::{Cx, Node},
    reads::Loaded,
    rows::{self, MLS, PackageRow, VIEW},
    server::Server,
};
use crate::{
    base::{DeviceId, EnvelopeId, IdentityId, StateId, Timestamp, cbor},
    state::{
        envelope::{PayloadType, Verified},
        mls::{
            self, KeyPackageMade, KeyPackagePayload, MlsError, PackageFacts, PackageRef,
            PackageUse, Rows,
        },
    },
};

/// Ordinary packages of one device that are remembered, the newest.
const ORDINARY_MAX: usize = 8;
/// Of the pleas of one device at most one in this time counts.
pub(super) const PLEA_PAUSE: Duration = Duration::from_secs(60 * 60);

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
    /// its own and the one of its request, which came at that `order`; else its last-resort one.
    pub(super) fn newest(
        &self,
        device: &DeviceId,
        identity: &IdentityId,
        requested: Option<(u64, &[u8])>,
        used: &BTreeSet<PackageRef>,
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
        let newest = ordinary.into_iter().map(|(_, package)| package).find(|one| unused(one));
        let last = || {
            let (_, package) = of?.last_resort.as_ref()?;
            fits(package, PackageUse::LastResort).map(|_| package.as_slice())
        };
        newest.or_else(last).map(<[u8]>::to_vec)
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

/// The pleas of those who cannot reach the head, as the log has them.
pub(super) struct Pleas<'a>(&'a Server);

impl Pleas<'_> {
    /// The pleas of a device that count, oldest first: at most one an hour.
    pub(super) fn of(&self, device: &DeviceId) -> Vec<Plea> {
        let mut counting: Vec<Plea> = Vec::new();
        for plea in self.0.packages.all_pleas(device) {
            let next = counting.last().map(|last| last.at.saturating_add(PLEA_PAUSE));
            if next.is_none_or(|next| plea.at >= next) {
                counting.push(*plea);
            }
        }
        counting
    }

    /// Of each device the newest plea that counts, if nothing on the path to `head` answers it.
    pub(super) fn open(&self, head: &StateId) -> Vec<(DeviceId, Plea)> {
        let newest = |device: &DeviceId| Some((*device, *self.of(device).last()?));
        let pleas = self.0.packages.pleaders().filter_map(newest);
        pleas.filter(|(device, plea)| !self.0.answers(head, device, plea)).collect()
    }

    /// The pleas that count, name just this head, and that nothing on the path to it answers.
    pub(super) fn unanswered(&self, head: &StateId) -> Vec<(DeviceId, Plea)> {
        let of = |device: &DeviceId| {
            let (device, pleas) = (*device, self.of(device));
            pleas.into_iter().map(move |plea| (device, plea))
        };
        let pleas = self.0.packages.pleaders().flat_map(of);
        pleas
            .filter(|(_, plea)| plea.lost == *head)
            .filter(|(device, plea)| !self.0.answers(head, device, plea))
            .collect()
    }
}

impl Server {
    /// The pleas in the control channel.
    pub(super) fn pleas(&self) -> Pleas<'_> {
        Pleas(self)
    }

    /// Whether a commit on the path to `head` adds the device by the plea's package, or knowing of it.
    fn answers(&self, head: &StateId, device: &DeviceId, plea: &Plea) -> bool {
        let dag = self.authority.dag();
        let knows = |commit: &EnvelopeId| {
            let pair = dag.index(&plea.envelope).zip(dag.index(commit));
            pair.is_some_and(|(plea, commit)| dag.is_before(plea, commit))
        };
        let path = self.tree.path_to(&self.view(), head).unwrap_or_default();
        path.iter().any(|commit| {
            let mut adds = commit.adds.iter().filter(|added| added.device == *device);
            adds.any(|added| added.package == plea.package || knows(&commit.envelope))
        })
    }

    /// Makes a package of one's own and writes it in the control channel; its private part is in the
    /// same batch.
    pub(super) fn publish_package(
        &mut self,
        node: &mut Node,
        package_use: PackageUse,
        lost: Option<StateId>,
        cx: &mut Cx<'_>,
    ) -> Option<()> {
        let made = make(node.me(), package_use, cx).ok()?;
        let payload = KeyPackagePayload {
            device: node.device(),
            last_resort: package_use == PackageUse::LastResort,
            package: made.package.clone(),
            lost,
        };
        self.write_control(node, PayloadType::KeyPackage, payload.encode(), cx)?;
        self.keep_package(&made, package_use, lost, cx);
        Some(())
    }

    /// Keeps the private part of a package of one's own. A new last-resort one retires those before it.
    pub(super) fn keep_package(
        &mut self,
        made: &KeyPackageMade,
        package_use: PackageUse,
        lost: Option<StateId>,
        cx: &mut Cx<'_>,
    ) {
        let last_resort = package_use == PackageUse::LastResort;
        if last_resort {
            self.retire_packages(|row| row.last_resort, cx);
        }
        let number = self.own_packages.last_key_value().map_or(1, |(last, _)| last + 1);
        let prefix = rows::package_prefix(self.number, number);
        for (key, value) in made.private.iter() {
            cx.fx.batch.put(MLS, [&prefix[..], key].concat(), value.clone());
        }
        let row = PackageRow { reference: made.reference, last_resort, lost, retired: None };
        cx.fx.batch.put(VIEW, rows::package_key(self.number, number), cbor::encode(&row));
        self.own_packages.insert(number, row);
    }

    /// Notes of some packages that newer ones are used in their place: the window is theirs too.
    pub(super) fn retire_packages(&mut self, which: impl Fn(&PackageRow) -> bool, cx: &mut Cx<'_>) {
        for (number, row) in &mut self.own_packages {
            if row.retired.is_none() && which(row) {
                row.retired = Some(cx.now);
                let key = rows::package_key(self.number, *number);
                cx.fx.batch.put(VIEW, key, cbor::encode(row));
            }
        }
    }

    /// Retires the packages for one use that are older than this one, by which a state was entered.
    pub(super) fn retire_before(&mut self, number: u32, cx: &mut Cx<'_>) {
        let older: Vec<_> =
            self.own_packages.range(..number).map(|(_, row)| row.reference).collect();
        self.retire_packages(|row| !row.last_resort && older.contains(&row.reference), cx);
    }

    /// The number of the package of one's own with this reference, if its private part is here.
    pub(super) fn own_package(&self, reference: &PackageRef) -> Option<u32> {
        let mut own = self.own_packages.iter();
        own.find(|(_, row)| row.reference == *reference).map(|(number, _)| *number)
    }

    /// Whether there is a last-resort package of one's own to be added by.
    pub(super) fn has_last_resort(&self) -> bool {
        self.own_packages.values().any(|row| row.last_resort && row.retired.is_none())
    }

    /// The loaded private part of a package.
    pub(super) fn private_part(&self, number: u32, loaded: &Loaded) -> Rows {
        let prefix = rows::package_prefix(self.number, number);
        let rows = loaded.prefix(&MLS, &prefix).iter();
        rows.map(|(key, value)| (key[prefix.len()..].to_vec(), value.clone())).collect()
    }

    pub(super) fn forget_package(&mut self, number: u32, cx: &mut Cx<'_>) {
        for (key, _) in cx.loaded.prefix(&MLS, &rows::package_prefix(self.number, number)) {
            cx.fx.batch.delete(MLS, key.clone());
        }
        cx.fx.batch.delete(VIEW, rows::package_key(self.number, number));
        self.own_packages.remove(&number);
    }

    /// The packages of one's own whose private parts end with a state: those for one use by which it
    /// was entered, and no other state that is kept.
    pub(super) fn packages_of(&self, state: &StateId) -> Vec<u32> {
        let used = |number: &u32, row: &PackageRow| {
            let mut opened = self
                .commits
                .values()
                .filter(|at| at.payload.adds.iter().any(|added| added.package == row.reference));
            let only_this = |other: &StateId| other == state || !self.kept.contains_key(other);
            let here = self.commits.values().any(|at| {
                at.payload.child == *state
                    && at.payload.adds.iter().any(|added| added.package == row.reference)
            });
            (here && !row.last_resort && opened.all(|at| only_this(&at.payload.child)))
                .then_some(*number)
        };
        self.own_packages.iter().filter_map(|(number, row)| used(number, row)).collect()
    }

    /// The packages that were retired longer ago than the window, with a peer met since.
    pub(super) fn outlived_packages(&self, window: Duration, now: Timestamp) -> Vec<u32> {
        let outlived = |row: &&PackageRow| {
            row.retired.is_some_and(|at| {
                now.since(at) >= window && self.caught_up_at.is_some_and(|met| met >= at)
            })
        };
        let own = self.own_packages.iter().filter(|(_, row)| outlived(row));
        own.map(|(number, _)| *number).collect()
    }

    /// Publishes a last-resort package if there is none, once this device is in.
    pub(super) fn publish_last_resort(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let in_and_settled = self.stand.is_some()
            && self.stand == self.head
            && self.stand_group().is_some_and(mls::Group::is_active)
            && self.is_member(&node.me().identity());
        if in_and_settled && !self.has_last_resort() {
            self.publish_package(node, PackageUse::LastResort, None, cx);
        }
    }

    /// Takes the records of one's own packages from their rows.
    pub(super) fn load_packages(&mut self, loaded: &Loaded) {
        for (key, value) in loaded.prefix(&VIEW, &rows::packages_prefix(self.number)) {
            if let (Some(number), Ok(row)) = (rows::read_package_key(key), cbor::decode(value)) {
                self.own_packages.insert(number, row);
            }
        }
    }
}

/// Makes a package of one's own.
pub(super) fn make(
    account: &Account,
    package_use: PackageUse,
    cx: &mut Cx<'_>,
) -> Result<KeyPackageMade, MlsError> {
    let seed = cx.chance.secret();
    mls::key_package(&account.device_key, &account.certificate, package_use, &seed)
}
