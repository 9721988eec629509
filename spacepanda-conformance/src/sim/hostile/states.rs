//! Commits that nobody may make or that are not what they say, and what else belongs to the group.

use spacepanda_core::{
    base::{DeviceId, StateId},
    state::{
        authority::Operation,
        envelope::{Header, PayloadType, Verified},
        identity::{DeviceCertificate, KeyPair},
        link::Me,
        mls::{
            Addition, Change, CommitBody, CommitPayload, KeyPackagePayload, Merged, PackageUse,
            Parents, RootPayload, key_package,
        },
    },
};

use super::{
    forge::Forge,
    plot::{Plot, pushed},
    puppet::Errand,
};

/// How many commits are tried for the least child.
const TRIES: usize = 8;

impl Plot {
    /// Every state that the control channel names.
    pub(super) fn states(&self) -> Vec<StateId> {
        let roots = self.held.payloads(PayloadType::Root);
        let roots = roots.filter_map(|(_, payload)| Some(RootPayload::decode(payload).ok()?.state));
        let children = self.held.payloads(PayloadType::Commit);
        let children =
            children.filter_map(|(_, payload)| Some(CommitPayload::decode(payload).ok()?.child));
        roots.chain(children).collect()
    }

    pub(super) fn package(&mut self, of: &Me) -> Vec<u8> {
        let seed = self.seed();
        let made = key_package(&of.device, &of.certificate, PackageUse::Once, &seed);
        made.map(|made| made.package).unwrap_or_default()
    }

    /// A commit that MLS makes and that nobody but its author agrees to, on a state that is kept.
    fn commit_of(&mut self, change: &Change, forge: &Forge) -> Option<(Header, Merged)> {
        let header = self.header(self.held.control, PayloadType::Commit, Vec::new());
        let seed = self.seed();
        // Mostly where everybody stands.
        let back = if self.chance.once_in(4) { self.chance.index(3) } else { 0 };
        let at = self.held.groups.len().checked_sub(1 + back)?;
        let group = &self.held.groups[at];
        let built = group.build(&self.held.me.device, change, Parents::of(&header), &seed).ok()?;
        Some((header, forge.merge(built)?))
    }

    fn signed(&self, header: Header, payload: &CommitPayload, body: Vec<u8>) -> Option<Verified> {
        self.sign(Header { payload: payload.encode(), ..header }, Some(body))
    }

    fn forge(&self) -> Forge {
        Forge::new(&self.held.me, self.now)
    }

    /// Devices in the group that are not one's own.
    fn others(&self) -> Vec<DeviceId> {
        let devices = self.held.groups.last().map(|group| group.devices()).unwrap_or_default();
        devices.into_iter().filter(|device| *device != self.held.device()).collect()
    }

    pub(super) fn commit(&mut self) -> Vec<Errand> {
        let written = match self.chance.below(8) {
            0 => self.removal_of_others(),
            1 => self.addition_of_a_stranger(),
            2 => self.rivals(2),
            3 => self.rivals(1).into_iter().map(Verified::without_body).collect(),
            4 => self.untrue_commit(|plot, payload, _| payload.child = StateId::new(plot.bytes())),
            5 => self.untrue_commit(|plot, payload, _| {
                payload.removes = plot.others();
                payload.removes.sort_unstable();
                payload.removes.truncate(1);
            }),
            6 => self.untrue_commit(|plot, _, body| *body = plot.noise(600)),
            _ => self.borrowed_body(),
        };
        if written.len() < 2 || self.chance.once_in(2) {
            return self.tell(&written);
        }
        let honest = self.honest.clone().into_iter().enumerate();
        let one = |at: usize| written[at % written.len()].clone();
        honest.map(|(at, to)| self.errand(to, pushed(&[one(at)]))).collect()
    }

    fn removal_of_others(&mut self) -> Vec<Verified> {
        let mut removes = self.others();
        removes.truncate(1 + self.chance.index(2));
        let change = Change { removes, ..Change::default() };
        self.whole(&change, &self.forge())
    }

    fn addition_of_a_stranger(&mut self) -> Vec<Verified> {
        let guest = self.stranger();
        let package = self.package(&guest);
        let mut forge = self.forge();
        forge.admit(&guest, package.clone());
        self.whole(&Change { adds: vec![package], ..Change::default() }, &forge)
    }

    fn whole(&mut self, change: &Change, forge: &Forge) -> Vec<Verified> {
        let Some((header, merged)) = self.commit_of(change, forge) else { return Vec::new() };
        let body = merged.body.encode();
        self.signed(header, &merged.payload, body).into_iter().collect()
    }

    /// Several commits that renew one's own leaf, each at the same place of the log.
    fn rivals(&mut self, count: usize) -> Vec<Verified> {
        let forge = self.forge();
        (0..count).flat_map(|_| self.whole(&Change::default(), &forge)).collect()
    }

    /// A commit that says of itself what is not so.
    fn untrue_commit(
        &mut self,
        change: impl FnOnce(&mut Self, &mut CommitPayload, &mut Vec<u8>),
    ) -> Vec<Verified> {
        self.untrue(&Change::default(), &self.forge(), change)
    }

    fn untrue(
        &mut self,
        made: &Change,
        forge: &Forge,
        change: impl FnOnce(&mut Self, &mut CommitPayload, &mut Vec<u8>),
    ) -> Vec<Verified> {
        let Some((header, merged)) = self.commit_of(made, forge) else { return Vec::new() };
        let (mut payload, mut body) = (merged.payload, merged.body.encode());
        change(self, &mut payload, &mut body);
        self.signed(header, &payload, body).into_iter().collect()
    }

    /// A commit that adds or removes somebody, or both, of which its header names nobody, or one less.
    pub(super) fn smuggle(&mut self) -> Vec<Errand> {
        let mut forge = self.forge();
        let mut made = Change::default();
        if self.chance.once_in(2) {
            let guest = self.stranger();
            let package = self.package(&guest);
            forge.admit(&guest, package.clone());
            made.adds.push(package);
        }
        if made.adds.is_empty() || self.chance.once_in(2) {
            made.removes = self.others();
            made.removes.truncate(1);
        }
        let names_the_removal = self.chance.once_in(2);
        let written = self.untrue(&made, &forge, |_, payload, _| {
            payload.adds.clear();
            if !names_the_removal {
                payload.removes.clear();
            }
        });
        self.tell(&written)
    }

    /// The commit of somebody else, in one's own name, with a child that there is already.
    fn borrowed_body(&mut self) -> Vec<Verified> {
        let log = self.held.log(&self.held.control).iter();
        let commits = log.filter(|envelope| envelope.header().payload_type == PayloadType::Commit);
        let commits: Vec<_> = commits.cloned().collect();
        let Some(other) = self.one_of(&commits) else { return Vec::new() };
        let header = self.header(self.held.control, PayloadType::Commit, Vec::new());
        let payload = other.header().payload.clone();
        let body = other.body().map(|body| body.to_vec()).unwrap_or_default();
        let body = match CommitBody::decode(&body) {
            Ok(body) => CommitBody { welcome: Some(self.noise(300)), ..body }.encode(),
            Err(_) => body,
        };
        self.sign(Header { payload, ..header }, Some(body)).into_iter().collect()
    }

    /// The commit with the least child of many, on the state where everybody stands.
    pub(super) fn grind(&mut self) -> Vec<Errand> {
        let forge = self.forge();
        let mut tried: Vec<(Header, Merged)> = Vec::new();
        for _ in 0..TRIES {
            tried.extend(self.commit_of(&Change::default(), &forge));
        }
        let Some((header, merged)) = tried.into_iter().min_by_key(|(_, it)| it.payload.child)
        else {
            return Vec::new();
        };
        let body = merged.body.encode();
        let mut written: Vec<_> = self.signed(header, &merged.payload, body).into_iter().collect();
        written.iter().for_each(|envelope| self.keep(envelope));
        written.extend(
            self.chain(self.held.control, vec![super::operations::vote(merged.payload.child)]),
        );
        self.tell(&written)
    }

    /// A commit that adds a device of one's own for which nobody vouches yet, one as it ought to be on the same
    /// state, and the device's own word. Whoever hears that first must come to the same as whoever hears it
    /// last.
    pub(super) fn vouch(&mut self) -> Vec<Errand> {
        let device = KeyPair::from_secret(self.seed());
        let Some(word) = self.introduction(&device) else { return Vec::new() };
        let mut written = self.untrue_commit(|plot, payload, _| {
            let (device, package) = (DeviceId::new(*device.public()), plot.bytes());
            payload.adds.push(Addition { device, package });
            payload.child = StateId::new(plot.bytes());
        });
        written.iter().for_each(|envelope| self.keep(envelope));
        written.extend(self.rivals(1));
        let first = [std::slice::from_ref(&word), &written].concat();
        let last = [&written, std::slice::from_ref(&word)].concat();
        let honest = self.honest.clone().into_iter();
        honest
            .map(|to| match self.chance.once_in(2) {
                true => self.errand(to, pushed(&first)),
                false => self.errand(to, pushed(&last)),
            })
            .collect()
    }

    /// A commit that everybody refuses, and a message that waits for what it makes.
    pub(super) fn bait(&mut self) -> Vec<Errand> {
        let mut written = self.untrue_commit(|plot, payload, body| {
            payload.child = StateId::new(plot.bytes());
            *body = plot.noise(600);
        });
        let made = written.first().map(|commit| CommitPayload::decode(&commit.header().payload));
        let (Some(Ok(made)), Some(channel)) = (made, self.one_of(&self.held.channels())) else {
            return Vec::new();
        };
        written.iter().for_each(|envelope| self.keep(envelope));
        written.extend(self.unopenable_in(channel, made.child));
        self.tell(&written)
    }

    /// What a device of one's own says first.
    fn introduction(&self, device: &KeyPair) -> Option<Verified> {
        let sender = DeviceId::new(*device.public());
        let issued = DeviceCertificate::issue(&self.held.identity, sender, self.now);
        let certificate = issued.certificate().clone();
        let payload = Operation::AddDevice { certificate }.encode();
        let next = self.header(self.held.control, PayloadType::Authority, payload);
        let parents = next.parents.iter().copied().chain(self.own_tip(self.held.control));
        let mut parents: Vec<_> = parents.collect();
        parents.sort_unstable();
        self.sign_as(Header { sender, sequence: 1, previous: None, parents, ..next }, None, device)
    }

    pub(super) fn plead(&mut self) -> Vec<Errand> {
        let mut payloads = Vec::new();
        let mut states = self.states();
        states.push(StateId::new(self.bytes()));
        for _ in 0..=self.chance.below(4) {
            let me = self.held.me.clone();
            let mut package = self.package(&me);
            let mut device = self.held.device();
            match self.chance.below(6) {
                0 => package = self.noise(300),
                1 => device = self.one_of(&self.others()).unwrap_or(device),
                _ => {}
            }
            let lost = self.one_of(&states).filter(|_| !self.chance.once_in(4));
            let last_resort = self.chance.once_in(3);
            let payload = KeyPackagePayload { device, last_resort, package, lost };
            payloads.push((PayloadType::KeyPackage, payload.encode()));
        }
        let written = self.chain(self.held.control, payloads);
        self.tell(&written)
    }

    /// The first state of a generation, which only somebody senior may write, and that later.
    pub(super) fn root(&mut self) -> Vec<Errand> {
        let mut states = self.states();
        states.push(StateId::new(self.bytes()));
        let state = self.one_of(&states).unwrap_or_else(|| StateId::new([6; 32]));
        let generation = match self.chance.below(4) {
            0 => u32::MAX,
            1 => 1,
            2 => 2,
            // As if it were the group's first.
            _ => 0,
        };
        let root = RootPayload { generation, state };
        let written = self.chain(self.held.control, vec![(PayloadType::Root, root.encode())]);
        self.tell(&written)
    }
}
