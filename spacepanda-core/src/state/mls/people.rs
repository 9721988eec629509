//! Who acts in tests, and what they write.

use super::{
    Built, Change, CommitPayload, Encrypted, Group, KeyPackageMade, Merged, MessagePayload,
    MlsError, PackageUse, Parents, Plaintext, Settings, join, package, version::Program,
};
use crate::{
    base::{ChannelId, DeviceId, MessageId, Secret, Timestamp, Tip},
    state::{
        authority::{Authorized, CommitFacts},
        envelope::{Header, Opened, Origin, PayloadType, VERSION, Verified},
        identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
    },
};

pub(super) const SETTINGS: Settings =
    Settings { generation: 0, window_hours: 72, window_states: 16 };
pub(super) const CHANNEL: ChannelId = ChannelId::new([7; 32]);
pub(super) const NO_PARENTS: Parents<'static> = Parents { parents: &[], control: None };

pub(super) fn seed(byte: u8) -> Secret<32> {
    Secret::new([byte; 32])
}

/// Somebody with one device.
pub(super) struct Person {
    number: u8,
    /// Where they commit.
    pub(super) home: ChannelId,
    /// What their envelopes name.
    pub(super) tips: Vec<Tip>,
    pub(super) keys: KeyPair,
    pub(super) certificate: VerifiedCertificate,
}

impl Person {
    pub(super) fn new(number: u8) -> Self {
        let identity = KeyPair::from_secret(seed(100 + number));
        let keys = KeyPair::from_secret(seed(number));
        let device = DeviceId::new(*keys.public());
        let certificate = DeviceCertificate::issue(&identity, device, Timestamp::from_micros(1));
        Self { number, home: CHANNEL, tips: Vec::new(), keys, certificate }
    }

    pub(super) fn parents(&self) -> Parents<'_> {
        Parents { parents: &self.tips, control: None }
    }

    /// The secret of the device's keys.
    pub(super) fn secret(&self) -> Secret<32> {
        seed(self.number)
    }

    pub(super) fn device(&self) -> DeviceId {
        self.certificate.device()
    }

    /// A seed that nobody else draws.
    fn seed(&self, number: u8) -> Secret<32> {
        let mut bytes = [number; 32];
        bytes[0] = self.number;
        Secret::new(bytes)
    }

    pub(super) fn found(&self) -> Group {
        self.found_by(Program::THIS)
    }

    /// A group as it would be if this person ran `program`.
    pub(super) fn found_by(&self, program: Program) -> Group {
        let (keys, certificate) = (&self.keys, &self.certificate);
        Group::create_by(program, keys, certificate, b"a group", SETTINGS, &seed(1)).unwrap()
    }

    pub(super) fn package(&self, number: u8) -> KeyPackageMade {
        self.package_of(Program::THIS, number)
    }

    /// A key package as it would be if this person ran `program`.
    pub(super) fn package_of(&self, program: Program, number: u8) -> KeyPackageMade {
        let (once, seed) = (PackageUse::Once, self.seed(number));
        package::key_package_of(program, &self.keys, &self.certificate, once, &seed).unwrap()
    }

    pub(super) fn envelope(
        &self,
        payload_type: PayloadType,
        payload: Vec<u8>,
        body: Option<Vec<u8>>,
    ) -> Verified {
        let timestamp = Timestamp::from_micros(1);
        let (channel, parents) = match payload_type {
            PayloadType::Message => (CHANNEL, Vec::new()),
            _ => (self.home, self.tips.clone()),
        };
        let header = Header {
            version: VERSION,
            channel,
            sender: self.device(),
            sequence: 1,
            previous: None,
            parents,
            control: None,
            timestamp,
            order: timestamp.micros(),
            payload_type,
            payload,
            body: None,
        };
        Verified::sign(header, body.map(Into::into), &self.keys).unwrap()
    }

    /// Builds a commit and merges it, as if the gate had let it through.
    pub(super) fn commit(&self, group: &Group, change: &Change, number: u8) -> Sent {
        let built = group.build(&self.keys, change, self.parents(), &self.seed(number)).unwrap();
        let Merged { group, payload, body } = self.merge(built);
        let envelope = self.envelope(PayloadType::Commit, payload.encode(), Some(body.encode()));
        Sent { group, payload, envelope, welcome: body.welcome }
    }

    pub(super) fn merge(&self, built: Built) -> Merged {
        let facts = built.facts().clone();
        built.merge(Authorized::in_test(self.origin(), facts)).unwrap()
    }

    pub(super) fn origin(&self) -> Origin {
        Origin::of(self.envelope(PayloadType::Vote, Vec::new(), None).header())
    }

    /// A message whose body is whatever its author likes.
    pub(super) fn message(&self, group: &Group, body: &[u8]) -> Verified {
        let (id, state) = (MessageId::new([1; 16]), group.state_id());
        let payload = MessagePayload { id, state, commitment: [0; 32] };
        self.envelope(PayloadType::Message, payload.encode(), Some(body.to_vec()))
    }

    pub(super) fn write(&self, group: &mut Group, content: &[u8], number: u8) -> Verified {
        let id = MessageId::new([number; 16]);
        let Encrypted { payload, body, .. } =
            group.encrypt(&self.keys, &CHANNEL, content, id, &self.seed(number)).unwrap();
        self.envelope(PayloadType::Message, payload.encode(), Some(body.to_vec()))
    }
}

/// A commit merged by its author, and what the others get of it.
pub(super) struct Sent {
    pub(super) group: Group,
    pub(super) payload: CommitPayload,
    pub(super) envelope: Verified,
    pub(super) welcome: Option<Vec<u8>>,
}

pub(super) fn adding(packages: &[&KeyPackageMade]) -> Change {
    let adds = packages.iter().map(|made| made.package.clone()).collect();
    Change { adds, ..Change::default() }
}

pub(super) fn removing(people: &[&Person]) -> Change {
    Change { removes: people.iter().map(|person| person.device()).collect(), ..Change::default() }
}

/// Lets a staged commit through and merges it.
pub(super) fn follow(group: &Group, envelope: &Verified) -> Result<Group, MlsError> {
    let (opened, staged) = group.stage(envelope, &seed(50))?;
    staged.merge(allowed(opened))
}

pub(super) fn allowed(opened: Opened<CommitFacts>) -> Authorized<CommitFacts> {
    let (origin, facts) = opened.into_parts();
    Authorized::in_test(origin, facts)
}

pub(super) fn enter(sent: &Sent, made: &KeyPackageMade) -> Group {
    let welcome = sent.welcome.as_deref().unwrap();
    let tree = sent.group.tree().unwrap();
    let joined = join(welcome, &tree, &made.private, &seed(51)).unwrap();
    assert_eq!(joined.state_id(), sent.payload.child);
    joined.enter()
}

pub(super) fn read(group: &mut Group, envelope: &Verified) -> Result<Plaintext, MlsError> {
    group.decrypt(envelope, &seed(52)).map(|opened| opened.into_parts().1)
}

/// A group of as many people, each with its own view of one state.
pub(super) fn group_of(number: u8) -> (Vec<Person>, Vec<Group>) {
    let people: Vec<_> = (1..=number).map(Person::new).collect();
    let groups = group_among(&people);
    (people, groups)
}

/// A group that the first of `people` makes for all of them.
pub(super) fn group_among(people: &[Person]) -> Vec<Group> {
    let packages: Vec<_> = people[1..].iter().map(|person| person.package(9)).collect();
    let founded = people[0].found();
    let sent = people[0].commit(&founded, &adding(&packages.iter().collect::<Vec<_>>()), 2);
    let others: Vec<_> = packages.iter().map(|made| enter(&sent, made)).collect();
    std::iter::once(sent.group).chain(others).collect()
}
