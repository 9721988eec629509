//! People who write envelopes of a control channel, each knowing what the test says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Authority, GENESIS_VERSION, Genesis, HeardLine, IssueInvite, JoinRequest, Name, Operation,
    Recount, Role, control_channel,
};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, Secret, ServerId, Timestamp, Tip},
    state::{
        envelope::{Header, PayloadType, VERSION, Verified, order_after},
        identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
    },
};

/// An envelope, by its place among all that were written.
pub(super) type At = usize;

/// The people of most tests: the first two are owners.
pub(super) const FOUNDER: usize = 0;
pub(super) const OWNER: usize = 1;
pub(super) const ADA: usize = 2;
pub(super) const BOB: usize = 3;
pub(super) const EVE: usize = 4;

pub(super) struct Person {
    pub(super) device: KeyPair,
    pub(super) certificate: VerifiedCertificate,
}

impl Person {
    pub(super) fn id(&self) -> IdentityId {
        self.certificate.identity()
    }

    pub(super) fn device_id(&self) -> DeviceId {
        self.certificate.device()
    }
}

pub(super) struct World {
    pub(super) people: Vec<Person>,
    pub(super) server: ServerId,
    pub(super) envelopes: Vec<Verified>,
    pub(super) authority: Authority,
    pub(super) last: Recount,
    places: BTreeMap<EnvelopeId, At>,
    clock: u64,
}

pub(super) fn key(kind: u8, n: u8) -> KeyPair {
    let mut seed = [n; 32];
    seed[0] = kind;
    KeyPair::from_secret(Secret::new(seed))
}

/// A person's device: the first is number 0.
pub(super) fn person(n: u8, device: u8) -> Person {
    let keys = key(10 + device, n);
    let id = DeviceId::new(*keys.public());
    let certificate = DeviceCertificate::issue(&key(1, n), id, Timestamp::from_micros(1));
    Person { device: keys, certificate }
}

impl World {
    /// `count` people, of whom the first `owners` are owners; the genesis is written by 0, at 0.
    pub(super) fn new(owners: usize, count: u8) -> Self {
        let people: Vec<_> = (0..count).map(|n| person(n, 0)).collect();
        let owners =
            people[..owners].iter().map(|owner| owner.certificate.certificate().clone()).collect();
        let genesis = Genesis { version: GENESIS_VERSION, nonce: [7; 32], owners };
        let server = genesis.clone().server();
        let mut world = Self {
            people,
            server,
            envelopes: Vec::new(),
            authority: Authority::new(server),
            last: Recount::default(),
            places: BTreeMap::new(),
            clock: 1_000,
        };
        world.write(0, &[], Operation::Genesis(genesis));
        world
    }

    /// The time of the next envelope.
    pub(super) fn stamp(&self) -> Timestamp {
        Timestamp::from_micros(self.clock + 1)
    }

    pub(super) fn control(&self) -> ChannelId {
        control_channel(&self.server)
    }

    pub(super) fn id(&self, at: At) -> EnvelopeId {
        self.envelopes[at].id()
    }

    pub(super) fn who(&self, person: usize) -> IdentityId {
        self.people[person].id()
    }

    pub(super) fn named(&self, at: At) -> Vec<At> {
        self.envelopes[at].header().named().map(|id| self.places[&id]).collect()
    }

    /// What some envelopes have in their past, themselves included.
    pub(super) fn closure(&self, knows: &[At]) -> BTreeSet<At> {
        let mut found = BTreeSet::new();
        let mut open = knows.to_vec();
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(self.named(at));
            }
        }
        found
    }

    /// The latest of some envelopes: those in no other's past.
    pub(super) fn latest(&self, known: &BTreeSet<At>) -> Vec<At> {
        let inner: BTreeSet<_> = known.iter().flat_map(|at| self.named(*at)).collect();
        known.difference(&inner).copied().collect()
    }

    /// Signs an operation knowing exactly `knows`, and lets it arrive.
    pub(super) fn write(&mut self, author: usize, knows: &[At], operation: Operation) -> At {
        let payload = operation.encode();
        let made = self.sign(author, knows, PayloadType::Authority, payload);
        self.arrive(made)
    }

    /// The same, at a time of its own.
    pub(super) fn write_at(
        &mut self,
        author: usize,
        knows: &[At],
        operation: Operation,
        time: u64,
    ) -> At {
        let clock = std::mem::replace(&mut self.clock, time - 1);
        let at = self.write(author, knows, operation);
        self.clock = clock;
        at
    }

    pub(super) fn arrive(&mut self, made: Verified) -> At {
        self.authority.insert(&made).unwrap();
        self.last = self.authority.settle();
        self.push(made)
    }

    pub(super) fn make_channel(&mut self, author: usize, knows: &[At], private: bool) -> At {
        let made = self.sign(author, knows, PayloadType::Structure, vec![0]);
        self.authority.insert_channel(&made, private).unwrap();
        self.last = self.authority.settle();
        self.push(made)
    }

    fn push(&mut self, made: Verified) -> At {
        self.places.insert(made.id(), self.envelopes.len());
        self.envelopes.push(made);
        self.envelopes.len() - 1
    }

    /// Signs an envelope that continues its author's log from the last of it that is known, so that
    /// whoever claims an old past forks.
    pub(super) fn sign(
        &mut self,
        author: usize,
        knows: &[At],
        payload_type: PayloadType,
        payload: Vec<u8>,
    ) -> Verified {
        self.clock += 1;
        let known = self.closure(knows);
        let device = self.people[author].device_id();
        let own = known.iter().map(|at| &self.envelopes[*at]);
        let previous = own
            .filter(|envelope| envelope.header().sender == device)
            .max_by_key(|envelope| (envelope.header().sequence, envelope.id()));
        let sequence = previous.map_or(1, |previous| previous.header().sequence + 1);
        let previous = previous.map(Verified::id);
        let mut parents: Vec<Tip> = knows.iter().map(|at| self.envelopes[*at].tip()).collect();
        parents.retain(|tip| Some(tip.id) != previous);
        parents.sort_unstable();
        parents.dedup();
        let timestamp = Timestamp::from_micros(self.clock);
        let ids = previous.into_iter().chain(parents.iter().map(|tip| tip.id));
        let orders = ids.map(|id| self.envelopes[self.places[&id]].header().order);
        let header = Header {
            version: VERSION,
            channel: self.control(),
            sender: device,
            sequence,
            previous,
            order: order_after(timestamp, orders),
            parents,
            control: None,
            timestamp,
            payload_type,
            payload,
            body: None,
        };
        Verified::sign(header, None, &self.people[author].device).unwrap()
    }

    pub(super) fn invite(&mut self, author: usize, knows: &[At], uses: Option<u32>) -> At {
        self.write(author, knows, invite(u8::try_from(self.envelopes.len()).unwrap(), uses))
    }

    /// Admits `guest` by the invite that stands at `by`.
    pub(super) fn admit(&mut self, author: usize, knows: &[At], by: At, guest: usize) -> At {
        let nonce = u8::try_from(self.envelopes.len()).unwrap();
        let operation = self.request(u8::try_from(by).unwrap(), guest, nonce);
        self.write(author, knows, operation)
    }

    /// An admission by one of the two requests that a guest has for an invite.
    pub(super) fn admission(&self, invite: u8, guest: usize) -> Operation {
        self.request(invite, guest, u8::from(self.envelopes.len().is_multiple_of(3)))
    }

    /// An admission by a request of its own for each nonce.
    pub(super) fn request(&self, invite: u8, guest: usize, nonce: u8) -> Operation {
        let guest = &self.people[guest];
        let request = JoinRequest::sign(
            self.server,
            Name::new("guest").unwrap(),
            &guest.certificate,
            vec![1],
            [nonce; 16],
            &key(2, invite),
            &guest.device,
        );
        Operation::Admit(Box::new(request.unwrap()))
    }

    pub(super) fn kick(&mut self, author: usize, knows: &[At], target: usize) -> At {
        let operation = self.removal(target, vec![]);
        self.write(author, knows, operation)
    }

    pub(super) fn removal(&self, target: usize, heard: Vec<HeardLine>) -> Operation {
        Operation::Kick { target: self.who(target), heard }
    }

    /// Whose device it is in truth.
    pub(super) fn certified(&self, device: &DeviceId) -> IdentityId {
        self.people.iter().find(|person| person.device_id() == *device).unwrap().id()
    }

    /// Another device of a person's, as somebody to write as.
    pub(super) fn device(&mut self, n: usize, device: u8) -> usize {
        self.people.push(person(u8::try_from(n).unwrap(), device));
        self.people.len() - 1
    }

    pub(super) fn introduction(&self, device: usize) -> Operation {
        Operation::AddDevice { certificate: self.people[device].certificate.certificate().clone() }
    }

    /// A revocation signed by whoever this person is, of their device or another's.
    pub(super) fn revocation(&self, person: usize, device: DeviceId) -> Operation {
        let identity = (0..u8::MAX).map(|n| key(1, n));
        let who = self.who(person);
        let identity = identity.into_iter().find(|key| key.public() == who.as_bytes()).unwrap();
        Operation::revoke_device(&identity, &self.server, device)
    }

    pub(super) fn revoke(&mut self, author: usize, knows: &[At], device: usize) -> At {
        let operation = self.revocation(author, self.people[device].device_id());
        self.write(author, knows, operation)
    }

    pub(super) fn introduce(&mut self, device: usize, knows: &[At]) -> At {
        let operation = self.introduction(device);
        self.write(device, knows, operation)
    }

    pub(super) fn counts(&self, at: At) -> bool {
        self.authority.counts(&self.id(at)).unwrap()
    }

    pub(super) fn is_in(&self, person: usize) -> bool {
        self.authority.now().member(&self.who(person)).is_some()
    }
}

/// An invite whose key is the one of this number.
pub(super) fn invite(n: u8, max_uses: Option<u32>) -> Operation {
    Operation::IssueInvite(IssueInvite {
        invite_public_key: *key(2, n).public(),
        meeting_secret: [0; 32],
        role: Role::Everyone,
        max_uses,
        expires: Timestamp::from_micros(5_000),
    })
}
