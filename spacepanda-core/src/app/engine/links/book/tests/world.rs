//! A node whose links are made up, in servers whose control channels are written here.

use super::super::*;
use crate::{
    app::engine::{account::Account, input::Effects, reads::Loaded},
    base::{EnvelopeId, IdentityId, Name, Secret, Timestamp, Tip},
    state::{
        authority::{GENESIS_VERSION, Genesis, Operation, server_of},
        envelope::{Header, PayloadType, VERSION, Verified, order_after},
        identity::{DeviceCertificate, KeyPair},
    },
    store::Change,
};

pub(super) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(super) const BOB: u8 = 1;
pub(super) const CAROL: u8 = 2;
pub(super) const DAVE: u8 = 3;

pub(super) fn key(kind: u8, person: u8, number: u8) -> KeyPair {
    let mut seed = [kind; 32];
    (seed[0], seed[1]) = (person, number);
    KeyPair::from_secret(Secret::new(seed))
}

/// One of somebody's devices; the first is number 0.
pub(super) fn device_key(person: u8, number: u8) -> KeyPair {
    key(2, person, number)
}

pub(super) fn device(person: u8, number: u8) -> DeviceId {
    DeviceId::new(*device_key(person, number).public())
}

pub(super) fn identity(person: u8) -> IdentityId {
    IdentityId::new(*key(1, person, 0).public())
}

pub(super) fn certificate(person: u8, number: u8) -> DeviceCertificate {
    let issued = DeviceCertificate::issue(&key(1, person, 0), device(person, number), NOW);
    issued.certificate().clone()
}

pub(super) fn record(person: u8, number: u8) -> AddressRecord {
    AddressRecord::sign(&device_key(person, number), 1, vec![format!("there:{person}:{number}")])
}

/// A control channel in which everybody knows everything.
#[derive(Default)]
struct Log {
    written: Vec<Verified>,
}

impl Log {
    fn write(&mut self, server: &mut Server, author: &KeyPair, operation: &Operation) {
        let sender = DeviceId::new(*author.public());
        let own = self.written.iter().rev().find(|it| it.header().sender == sender);
        let previous: Option<EnvelopeId> = own.map(Verified::id);
        let last = self.written.last();
        let parents: Vec<Tip> =
            last.map(Verified::tip).into_iter().filter(|tip| Some(tip.id) != previous).collect();
        let timestamp = Timestamp::from_micros(NOW.micros() + self.written.len() as u64);
        let header = Header {
            version: VERSION,
            channel: server.control,
            sender,
            sequence: own.map_or(1, |own| own.header().sequence + 1),
            previous,
            order: order_after(timestamp, last.map(|last| last.header().order)),
            parents,
            control: None,
            timestamp,
            payload_type: PayloadType::Authority,
            payload: operation.encode(),
            body: None,
        };
        let made = Verified::sign(header, None, author).unwrap();
        server.authority.insert(&made).unwrap();
        self.written.push(made);
    }
}

/// A node whose links are made up, in servers that others own with its person.
pub(super) struct World {
    pub(super) machine: Machine,
    logs: BTreeMap<ServerId, Log>,
    loaded: Loaded,
}

impl World {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new(None);
        let chance = &mut Chance::new(Secret::new([9; 32]));
        let account = Account::create(Name::new("Alice").unwrap(), NOW, chance);
        machine.node.account = Some(account);
        Self { machine, logs: BTreeMap::new(), loaded: Loaded::default() }
    }

    pub(super) fn server(&mut self, others: &[u8]) -> ServerId {
        let account = self.machine.node.me();
        let mine = account.certificate.certificate().clone();
        let theirs = others.iter().map(|person| certificate(*person, 0));
        let genesis = Operation::Genesis(Genesis {
            version: GENESIS_VERSION,
            nonce: [7; 32],
            owners: [mine].into_iter().chain(theirs).collect(),
        });
        let id = server_of(&genesis.encode());
        let mut server = Server::new(id, 1);
        server.loaded = true;
        let (mut log, author) = (Log::default(), account.device_key.clone());
        log.write(&mut server, &author, &genesis);
        self.logs.insert(id, log);
        self.machine.servers.insert(id, server);
        self.settle(&id);
        id
    }

    pub(super) fn write(&mut self, id: &ServerId, author: &KeyPair, operation: &Operation) {
        let server = self.machine.servers.get_mut(id).unwrap();
        self.logs.get_mut(id).unwrap().write(server, author, operation);
    }

    pub(super) fn introduce(&mut self, id: &ServerId, person: u8, number: u8) {
        let operation = Operation::AddDevice { certificate: certificate(person, number) };
        self.write(id, &device_key(person, number), &operation);
    }

    pub(super) fn revoke(&mut self, id: &ServerId, person: u8, number: u8) {
        let gone = device(person, number);
        let operation = Operation::revoke_device(&key(1, person, 0), id, gone);
        self.write(id, &device_key(person, 0), &operation);
    }

    pub(super) fn settle(&mut self, id: &ServerId) {
        let server = self.machine.servers.get_mut(id).unwrap();
        let _ = server.authority.settle();
        server.take_matrix();
    }

    pub(super) fn link(&mut self, person: u8, number: u8, vouched: bool) {
        self.machine.node.links.meet(device(person, number), identity(person), vouched);
    }

    /// What a step changes of the rows.
    pub(super) fn step(&mut self, act: impl FnOnce(&mut Machine, &mut Cx<'_>)) -> Vec<Change> {
        let chance = Chance::new(Secret::new([3; 32]));
        let fx = Effects::default();
        let mut cx = Cx { now: NOW, chance, fx, loaded: &self.loaded };
        act(&mut self.machine, &mut cx);
        cx.fx.batch.into_changes()
    }

    pub(super) fn hear(&mut self, from: DeviceId, records: Vec<AddressRecord>) -> Vec<Change> {
        self.step(|machine, cx| machine.take_records(from, records, cx))
    }

    pub(super) fn meet(&mut self) -> Vec<Change> {
        self.step(Machine::meet_strangers)
    }

    pub(super) fn announce(&mut self) {
        self.step(|machine, cx| machine.addresses(vec!["here".to_owned()], cx));
    }

    pub(super) fn is_held(&self, person: u8, number: u8) -> bool {
        self.machine.node.links.book.contains_key(&device(person, number))
    }

    pub(super) fn told(&self, peer: DeviceId, bytes_max: usize, seed: u8) -> Vec<DeviceId> {
        let chance = &mut Chance::new(Secret::new([seed; 32]));
        let records = self.machine.records_for(&peer, bytes_max, chance);
        records.iter().map(|record| record.device).collect()
    }
}
