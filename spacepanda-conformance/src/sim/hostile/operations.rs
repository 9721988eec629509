//! Operations that nobody may write, or not so, and too much of what they may.

use std::{ops::Range, time::Duration};

use spacepanda_core::{
    base::{DeviceId, EnvelopeId, IdentityId, Name, StateId, Timestamp, Tip, cbor},
    state::{
        authority::{
            GENESIS_VERSION, Genesis, HeardLine, IssueInvite, JoinRequest, Operation, Role,
        },
        crdt::StructureOp,
        envelope::{Header, PayloadType, Verified, order_after},
        identity::{DeviceCertificate, KeyPair},
        link::Kind,
        mls::VotePayload,
    },
};

use super::{
    frames::Record,
    plot::{Plot, pushed},
    puppet::{Errand, Parcel},
};

/// The most beginnings of one log, which are more than one envelope names.
const BEGINNINGS_MAX: usize = 72;
/// The least.
const BEGINNINGS_MIN: usize = 33;
/// The most envelopes of a flood.
const FLOOD_MAX: usize = 60;
/// Address records of one frame.
const RECORDS: usize = 64;
/// How long an invite of a hostile member's is valid.
const VALID: Duration = Duration::from_secs(365 * 24 * 60 * 60);

type Payload = (PayloadType, Vec<u8>);

fn operation(operation: &Operation) -> Payload {
    (PayloadType::Authority, operation.encode())
}

impl Plot {
    fn nickname(&mut self, target: Option<IdentityId>) -> Payload {
        let text = format!("n{}", self.chance.below(1_000));
        let name = Name::new(&text).expect("a short word is a name");
        operation(&Operation::SetNickname { target, name })
    }

    /// Two envelopes or more at one place, each for somebody else; in one channel or another.
    pub(super) fn fork(&mut self) -> Vec<Errand> {
        let branches = 2 + self.chance.index(3);
        let channel = self.one_of(&self.held.channels()).filter(|_| self.chance.once_in(2));
        let mut written = Vec::new();
        for _ in 0..branches {
            let envelope = match channel {
                Some(channel) => self.said(channel, "fork"),
                None => {
                    let (payload_type, payload) = self.nickname(None);
                    self.sign(self.header(self.held.control, payload_type, payload), None)
                }
            };
            written.extend(envelope);
        }
        let first = self.chance.index(branches);
        let honest = self.honest.clone().into_iter().enumerate();
        let turn = |at: usize| written.get((first + at) % written.len().max(1));
        honest
            .filter_map(|(at, to)| Some(self.errand(to, super::plot::pushed(&[turn(at)?.clone()]))))
            .collect()
    }

    /// Envelopes that know no more than the genesis and what let their author in, and are stamped so.
    pub(super) fn backdate(&mut self) -> Vec<Errand> {
        let Some(admitted) = self.own_admission() else { return Vec::new() };
        let mut payloads = vec![self.nickname(None)];
        match self.chance.below(5) {
            0 => {
                let (invite, request) = self.invite_and_guest();
                payloads.extend([operation(&invite), operation(&request)]);
            }
            1 => payloads.push(operation(&self.kick())),
            2 => payloads.extend(self.revocations()),
            3 => payloads.push(operation(&Operation::Leave)),
            _ => payloads.extend((0..3).map(|_| vote(StateId::new([9; 32])))),
        }
        let mut written: Vec<Verified> = Vec::new();
        let mut stamp = admitted.header().timestamp.saturating_add(Duration::from_micros(1));
        for (payload_type, payload) in payloads {
            let before = written.last().map(Verified::tip);
            let header = Header {
                sequence: before.map_or(1, |tip| tip.number + 1),
                previous: before.map(|tip| tip.id),
                parents: if before.is_none() { vec![admitted.tip()] } else { Vec::new() },
                timestamp: stamp,
                ..self.header(self.held.control, payload_type, payload)
            };
            let Some(envelope) = self.sign(header, None) else { break };
            self.keep(&envelope);
            written.push(envelope);
            stamp = stamp.saturating_add(Duration::from_millis(1));
        }
        self.tell(&written)
    }

    pub(super) fn snare(&mut self) -> Vec<Errand> {
        match self.chance.once_in(2) {
            true => self.beginnings(),
            false => self.bait(),
        }
    }

    fn beginnings(&mut self) -> Vec<Errand> {
        let count = BEGINNINGS_MIN + self.chance.index(BEGINNINGS_MAX - BEGINNINGS_MIN);
        let written = self.begun(0..count);
        self.tell(&written)
    }

    /// Other beginnings for everybody, and what follows some of them.
    pub(super) fn crowd(&mut self) -> Vec<Errand> {
        let mut errands = Vec::new();
        for (turn, to) in self.honest.clone().into_iter().enumerate() {
            let (from, count) = (turn * BEGINNINGS_MAX, BEGINNINGS_MIN + self.chance.index(10));
            let mut written = self.begun(from..from + count);
            let after = written.iter().rev().take(3).filter_map(|first| self.follows(first));
            let after: Vec<_> = after.collect();
            written.extend(after);
            errands.push(self.errand(to, pushed(&written)));
        }
        errands
    }

    fn follows(&self, first: &Verified) -> Option<Verified> {
        let header = first.header();
        let name = Name::new("after").expect("a short word is a name");
        let payload = Operation::SetNickname { target: None, name }.encode();
        let order = order_after(header.timestamp, [header.order]);
        let (sequence, previous) = (header.sequence + 1, Some(first.id()));
        let header = Header { sequence, previous, parents: Vec::new(), payload, ..header.clone() };
        Verified::sign(Header { order, ..header }, None, &self.held.me.device).ok()
    }

    /// Envelopes that all begin one's log, and know no more than what let their author in.
    fn begun(&self, numbers: Range<usize>) -> Vec<Verified> {
        let Some(admitted) = self.own_admission() else { return Vec::new() };
        let timestamp = admitted.header().timestamp.saturating_add(Duration::from_micros(1));
        let mut written = Vec::new();
        for number in numbers {
            let name = Name::new(&format!("n{number}")).expect("a short word is a name");
            let payload = Operation::SetNickname { target: None, name }.encode();
            let header = Header {
                sequence: 1,
                previous: None,
                parents: vec![admitted.tip()],
                timestamp,
                ..self.header(self.held.control, PayloadType::Authority, payload)
            };
            written.extend(self.sign(header, None));
        }
        written
    }

    fn own_admission(&self) -> Option<Verified> {
        let device = self.held.device();
        let admits = |envelope: &&Verified| {
            matches!(
                Operation::decode(&envelope.header().payload),
                Ok(Operation::Admit(request)) if request.certificate.device == device
            )
        };
        self.held.log(&self.held.control).iter().find(admits).cloned()
    }

    pub(super) fn flood(&mut self) -> Vec<Errand> {
        let count = 1 + self.chance.index(FLOOD_MAX);
        let channel = self.one_of(&self.held.channels()).filter(|_| self.chance.once_in(3));
        let written = match channel {
            Some(channel) => {
                let mut written = Vec::new();
                for _ in 0..count {
                    let Some(envelope) = self.unopenable(channel) else { break };
                    self.keep(&envelope);
                    written.push(envelope);
                }
                written
            }
            None => {
                let payloads = (0..count).map(|turn| match turn % 3 {
                    0 => vote(StateId::new(self.bytes())),
                    _ => self.nickname(None),
                });
                let payloads = payloads.collect();
                self.chain(self.held.control, payloads)
            }
        };
        self.tell(&written)
    }

    pub(super) fn addresses(&mut self) -> Vec<Errand> {
        let me = self.held.me.device.clone();
        let own = super::super::network::Network::address(self.puppet);
        let mut parcels = Vec::new();
        for turn in 0..6_u64 {
            let mut records = Vec::new();
            for _ in 0..RECORDS {
                let other = KeyPair::from_secret(self.seed());
                let device = DeviceId::new(*other.public());
                records.push(Record::sign(&other, device, turn, vec![own.clone(); 3]));
            }
            let device = DeviceId::new(*me.public());
            records[0] =
                Record::sign(&me, device, u64::MAX - turn, vec![own.clone(), "nowhere".into()]);
            // Of somebody else's device, signed by the wrong key; and one that is too long.
            if let Some(other) = self.one_of(&self.people()) {
                records[1] = Record::sign(&me, other.device, u64::MAX, vec![own.clone()]);
            }
            records[2] = Record::sign(&me, device, u64::MAX, vec!["x".repeat(600); 20]);
            let from = if turn == 0 { 0 } else { 2 };
            parcels.push(Record::frame(records.split_off(from)));
        }
        let to = self.some();
        to.into_iter()
            .map(|to| {
                let messages = parcels.iter().cloned();
                let messages = messages.map(|frame| Parcel::Message(Kind::AddressRecords, frame));
                self.errand(to, messages.collect())
            })
            .collect()
    }

    /// Everybody's certificate who was let in, the founder's first.
    pub(super) fn people(&self) -> Vec<DeviceCertificate> {
        let certificates = self.held.operations().into_iter().filter_map(|(_, made)| match made {
            Operation::Genesis(genesis) => genesis.owners.first().cloned(),
            Operation::Admit(request) => Some(request.certificate),
            _ => None,
        });
        certificates.collect()
    }

    fn kick(&mut self) -> Operation {
        let target = self.one_of(&self.people());
        let target = target.map_or(self.held.me.certificate.identity(), |other| other.identity);
        let tips = self.held.logs.get(&self.held.control).into_iter();
        let mut tips: Vec<Tip> = tips.flat_map(|log| log.frontier.tips()).take(3).collect();
        tips.sort_unstable();
        Operation::Kick { target, heard: vec![HeardLine { channel: self.held.control, tips }] }
    }

    fn revocations(&self) -> Vec<Payload> {
        let issued = self.held.operations().into_iter();
        let issued = issued.filter(|(_, made)| matches!(made, Operation::IssueInvite(_)));
        issued.map(|(invite, _)| operation(&Operation::RevokeInvite { invite })).collect()
    }

    /// Everything that only others may write.
    pub(super) fn usurp(&mut self) -> Vec<Errand> {
        let mut payloads = vec![operation(&self.kick()), operation(&self.kick())];
        payloads.extend(self.revocations());
        let other = self.one_of(&self.people());
        payloads.push(self.nickname(other.as_ref().map(|other| other.identity)));
        if let Some(other) = other {
            let device = other.device;
            payloads.push(operation(&Operation::AddDevice { certificate: other }));
            let signature = [5; 64];
            payloads.push(operation(&Operation::RevokeDevice { device, signature }));
        }
        let owners = vec![self.held.me.certificate.certificate().clone()];
        let genesis = Genesis { version: GENESIS_VERSION, nonce: self.bytes(), owners };
        payloads.push(operation(&Operation::Genesis(genesis)));
        if let Some(removal) = self.removal() {
            let heard = vec![HeardLine { channel: self.held.control, tips: Vec::new() }];
            payloads.push(operation(&Operation::Heard { removal, heard }));
        }
        let name = Name::new("mine").expect("a short word is a name");
        payloads.push((
            PayloadType::Structure,
            StructureOp::SetServerName { name: name.clone() }.encode(),
        ));
        payloads.push((PayloadType::Structure, StructureOp::CreateChannel { name }.encode()));
        payloads.push((PayloadType::Authority, self.noise(300)));
        let from = self.chance.index(payloads.len());
        payloads.rotate_left(from);
        payloads.truncate(1 + self.chance.index(8));
        let written = self.chain(self.held.control, payloads);
        self.tell(&written)
    }

    fn removal(&self) -> Option<EnvelopeId> {
        let mut made = self.held.operations().into_iter();
        made.find(|(_, made)| matches!(made, Operation::Kick { .. })).map(|(id, _)| id)
    }

    /// Admits people by the requests by which they came in, or by ones that are theirs no more.
    pub(super) fn readmit(&mut self) -> Vec<Errand> {
        let requests = self.requests();
        let mut payloads = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let Some(mut request) = self.one_of(&requests) else { break };
            if self.chance.once_in(4) {
                request.nonce = self.bytes();
            }
            payloads.push(operation(&Operation::Admit(Box::new(request))));
        }
        let written = self.chain(self.held.control, payloads);
        self.tell(&written)
    }

    pub(super) fn requests(&self) -> Vec<JoinRequest> {
        let admitted = self.held.operations().into_iter().filter_map(|(_, made)| match made {
            Operation::Admit(request) => Some(*request),
            _ => None,
        });
        admitted.collect()
    }

    /// An invite, and somebody admitted by it whom nobody knows.
    pub(super) fn invite_and_guest(&mut self) -> (Operation, Operation) {
        let key = KeyPair::from_secret(self.seed());
        let max_uses = self.chance.once_in(2).then_some(1);
        let invite = Operation::IssueInvite(IssueInvite {
            invite_public_key: *key.public(),
            meeting_secret: self.bytes(),
            role: Role::Everyone,
            max_uses,
            expires: self.now.saturating_add(VALID),
        });
        let guest = self.stranger();
        let package = self.package(&guest);
        let name = Name::new("guest").expect("a short word is a name");
        let (server, nonce) = (self.held.server, self.bytes());
        let certificate = &guest.certificate;
        let request =
            JoinRequest::sign(server, name, certificate, package, nonce, &key, &guest.device);
        let request = request.expect("a request is within its limits");
        (invite, Operation::Admit(Box::new(request)))
    }

    pub(super) fn vote(&mut self) -> Vec<Errand> {
        let mut states = self.states();
        states.push(StateId::new(self.bytes()));
        let mut payloads = Vec::new();
        for _ in 0..=self.chance.below(6) {
            payloads.extend(self.one_of(&states).map(vote));
        }
        let written = self.chain(self.held.control, payloads);
        self.tell(&written)
    }
}

pub(super) fn vote(state: StateId) -> Payload {
    (PayloadType::Vote, cbor::encode(&VotePayload { state }))
}

/// The last moment that an envelope may be stamped with.
pub(super) const LATEST: Timestamp = Timestamp::from_micros(4_102_444_799_999_999);
