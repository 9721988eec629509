use std::time::Duration;

use super::{
    account::Account,
    machine::{Cx, Node},
    reads::{Loaded, Reads},
    rows::{self, MLS, PackageRow, VIEW},
    server::Server,
};
use crate::{
    base::{StateId, Timestamp, cbor},
    state::{
        envelope::PayloadType,
        mls::{self, KeyPackageMade, KeyPackagePayload, MlsError, PackageRef, PackageUse, Rows},
    },
};

impl Server {
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

    /// What [`Self::forget_package`] must know.
    pub(super) fn package_reads(&self, number: u32) -> Reads {
        let prefixes = vec![(MLS, rows::package_prefix(self.number, number))];
        Reads { prefixes, ..Reads::default() }
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
                now.since(at) >= window && self.heard_until(now).is_some_and(|met| met >= at)
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
