use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    chance::Chance,
    rows::{self, AccountRow, FORMER_DEVICES_MAX, NODE, Numbered},
};
use crate::{
    base::{ChannelId, DeviceId, IdentityId, Name, Secret, ServerId, Timestamp, cbor},
    state::{
        authority::Operation,
        identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
        link,
    },
    store::Batch,
};

/// Whose node this is: one identity for life, and one device at a time.
#[derive(Debug)]
pub(super) struct Account {
    pub device_key: KeyPair,
    pub certificate: VerifiedCertificate,
    pub name: Name,
    /// The devices that this node was before, the last one last; at most [`FORMER_DEVICES_MAX`].
    pub former: Vec<DeviceId>,
    identity_key: KeyPair,
}

impl Account {
    /// Makes an identity with its first device.
    pub(super) fn create(name: Name, now: Timestamp, chance: &mut Chance) -> Self {
        let identity_key = KeyPair::from_secret(chance.secret());
        let device_key = KeyPair::from_secret(chance.secret());
        let device = DeviceId::new(*device_key.public());
        let certificate = DeviceCertificate::issue(&identity_key, device, now);
        Self { device_key, certificate, name, former: Vec::new(), identity_key }
    }

    /// Another device of the same identity, in the place of this one.
    pub(super) fn renew(&mut self, now: Timestamp, chance: &mut Chance) {
        self.former.push(self.device());
        let too_many = self.former.len().saturating_sub(FORMER_DEVICES_MAX);
        self.former.drain(..too_many);
        self.device_key = KeyPair::from_secret(chance.secret());
        let device = DeviceId::new(*self.device_key.public());
        self.certificate = DeviceCertificate::issue(&self.identity_key, device, now);
    }

    /// The operation that revokes a device of this identity in a server.
    pub(super) fn revocation(&self, server: &ServerId, device: DeviceId) -> Operation {
        Operation::revoke_device(&self.identity_key, server, device)
    }

    /// Takes the account from its row; `None` if the row is damaged.
    pub(super) fn read(row: &Bytes) -> Option<Self> {
        let row: AccountRow = cbor::decode(row).ok()?;
        Some(Self {
            device_key: KeyPair::from_secret(Secret::new(row.device)),
            identity_key: KeyPair::from_secret(Secret::new(row.identity)),
            certificate: VerifiedCertificate::decode(&row.certificate).ok()?,
            name: row.name,
            former: row.former,
        })
    }

    pub(super) fn put(&self, batch: &mut Batch) {
        let row = AccountRow {
            identity: *self.identity_key.secret().expose(),
            device: *self.device_key.secret().expose(),
            certificate: self.certificate.encode(),
            name: self.name.clone(),
            former: self.former.clone(),
        };
        batch.put(NODE, rows::ACCOUNT, cbor::encode(&row));
    }

    pub(super) fn identity(&self) -> IdentityId {
        self.certificate.identity()
    }

    /// What proves this device on a link.
    pub(super) fn link_self(&self) -> link::Me {
        link::Me { certificate: self.certificate.clone(), device: self.device_key.clone() }
    }

    pub(super) fn device(&self) -> DeviceId {
        self.certificate.device()
    }
}

/// Local numbers of servers, channels and devices, given when first met.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    of: BTreeMap<Numbered, u32>,
    by: BTreeMap<u32, Numbered>,
}

impl Numbers {
    pub(super) fn load(rows: &[(Bytes, Bytes)]) -> Self {
        let mut numbers = Self::default();
        for (number, what) in rows.iter().filter_map(|(key, value)| rows::read_number(key, value)) {
            numbers.of.insert(what, number);
            numbers.by.insert(number, what);
        }
        numbers
    }

    pub(super) fn server(&mut self, id: ServerId, batch: &mut Batch) -> u32 {
        self.give(Numbered::Server(id), batch)
    }

    pub(super) fn channel(&mut self, id: ChannelId, batch: &mut Batch) -> u32 {
        self.give(Numbered::Channel(id), batch)
    }

    pub(super) fn device(&mut self, id: DeviceId, batch: &mut Batch) -> u32 {
        self.give(Numbered::Device(id), batch)
    }

    pub(super) fn servers(&self) -> Vec<(ServerId, u32)> {
        let server = |(what, number): (&Numbered, &u32)| match what {
            Numbered::Server(id) => Some((*id, *number)),
            _ => None,
        };
        self.of.iter().filter_map(server).collect()
    }

    pub(super) fn known_channel(&self, id: &ChannelId) -> Option<u32> {
        self.of.get(&Numbered::Channel(*id)).copied()
    }

    pub(super) fn known_device(&self, id: &DeviceId) -> Option<u32> {
        self.of.get(&Numbered::Device(*id)).copied()
    }

    fn give(&mut self, what: Numbered, batch: &mut Batch) -> u32 {
        if let Some(number) = self.of.get(&what) {
            return *number;
        }
        let number = self.by.last_key_value().map_or(1, |(last, _)| last + 1);
        self.of.insert(what, number);
        self.by.insert(number, what);
        rows::put_number(batch, number, what);
        number
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn account() -> Account {
        let mut chance = Chance::new(Secret::new([1; 32]));
        Account::create(Name::new("Alice").unwrap(), Timestamp::ZERO, &mut chance)
    }

    fn row(account: &Account) -> Bytes {
        let mut batch = Batch::new();
        account.put(&mut batch);
        batch.changes()[0].value().unwrap().clone()
    }

    #[test]
    fn an_account_remembers_the_last_devices_that_it_was() {
        let (mut account, mut chance) = (account(), Chance::new(Secret::new([2; 32])));
        let mut devices = Vec::new();
        for _ in 0..=FORMER_DEVICES_MAX {
            devices.push(account.device());
            account.renew(Timestamp::ZERO, &mut chance);
        }
        let kept = Account::read(&row(&account)).unwrap();
        assert_eq!(kept.former, devices[1..]);
        assert_eq!((kept.device(), kept.identity()), (account.device(), account.identity()));
    }

    #[test]
    fn the_bytes_of_an_account_are_pinned() {
        let row = AccountRow {
            identity: [1; 32],
            device: [2; 32],
            certificate: vec![3],
            name: Name::new("Alice").unwrap(),
            former: vec![DeviceId::new([4; 32])],
        };
        let [identity, device, former] = ["01", "02", "04"].map(|byte| byte.repeat(32));
        let golden =
            format!("a5005820{identity}015820{device}0241030365416c69636504815820{former}");
        assert_eq!(hex::encode(cbor::encode(&row)), golden);
    }
}
