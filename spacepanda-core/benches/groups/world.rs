//! A server of many people, and its group with a filled tree.

use spacepanda_core::{
    base::{ChannelId, DeviceId, Name, Secret, Timestamp, Tip, limits::ADDITIONS_PER_COMMIT_MAX},
    state::{
        authority::{
            Authority, GENESIS_VERSION, Genesis, IssueInvite, JoinRequest, Operation, Role,
            authorize, control_channel,
        },
        envelope::{Header, Origin, PayloadType, VERSION, Verified},
        identity::{DeviceCertificate, KeyPair, VerifiedCertificate},
        mls::{
            Change, CommitBody, CommitPayload, Group, KeyPackageMade, PackageUse, Parents,
            Settings, join, key_package,
        },
    },
};

use crate::raw::RawMember;

/// How many leaves are renewed after all were added, so that every path is short.
const RENEWALS: usize = 16;
const SETTINGS: Settings = Settings { generation: 0, window_hours: 72, window_states: 16 };

pub(crate) struct Member {
    pub(crate) keys: KeyPair,
    pub(crate) certificate: VerifiedCertificate,
}

impl Member {
    fn new(number: u32) -> Self {
        let keys = KeyPair::from_secret(seed(1, number));
        let device = DeviceId::new(*keys.public());
        let identity = KeyPair::from_secret(seed(2, number));
        let certificate = DeviceCertificate::issue(&identity, device, Timestamp::from_micros(1));
        Self { keys, certificate }
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.certificate.device()
    }

    fn package(&self, number: u32) -> KeyPackageMade {
        let (once, seed) = (PackageUse::Once, seed(3, number));
        key_package(&self.keys, &self.certificate, once, &seed).unwrap()
    }
}

fn seed(kind: u8, number: u32) -> Secret<32> {
    let mut bytes = [kind; 32];
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    Secret::new(bytes)
}

/// A server whose members may all read its control channel.
pub(crate) struct World {
    pub(crate) members: Vec<Member>,
    pub(crate) authority: Authority,
    home: ChannelId,
    tips: Vec<Tip>,
    seeds: u32,
}

impl World {
    /// Somebody founds it and lets `count` people in.
    fn of(count: u32) -> Self {
        let founder = Member::new(u32::MAX);
        let owners = vec![founder.certificate.certificate().clone()];
        let genesis = Genesis { version: GENESIS_VERSION, nonce: [1; 32], owners };
        let server = genesis.clone().server();
        let invite = KeyPair::from_secret(seed(4, 0));
        let issue = Operation::IssueInvite(IssueInvite {
            invite_public_key: *invite.public(),
            meeting_secret: [0; 32],
            role: Role::Everyone,
            max_uses: None,
            expires: Timestamp::from_micros(u64::MAX),
        });
        let members: Vec<_> = (0..count).map(Member::new).collect();
        let admissions = members.iter().map(|guest| {
            let (name, package) = (Name::new("guest").unwrap(), vec![1]);
            let Member { keys, certificate } = guest;
            JoinRequest::sign(server, name, certificate, package, [0; 16], &invite, keys).unwrap()
        });
        let admissions = admissions.map(|request| Operation::Admit(Box::new(request)));
        let operations = [Operation::Genesis(genesis), issue].into_iter().chain(admissions);
        let (mut authority, home) = (Authority::new(server), control_channel(&server));
        let mut last: Option<Tip> = None;
        for operation in operations {
            let mut header = header(home, founder.device(), PayloadType::Authority, Vec::new());
            header.sequence = last.map_or(1, |tip| tip.number + 1);
            header.previous = last.map(|tip| tip.id);
            header.timestamp = Timestamp::from_micros(header.sequence);
            header.order = header.sequence;
            header.payload = operation.encode();
            let envelope = Verified::sign(header, None, &founder.keys).unwrap();
            authority.insert(&envelope).unwrap();
            last = Some(envelope.tip());
        }
        drop(authority.settle());
        Self { members, authority, home, tips: last.into_iter().collect(), seeds: 0 }
    }

    /// A seed that was not drawn before.
    pub(crate) fn seed(&mut self) -> Secret<32> {
        self.seeds += 1;
        seed(5, self.seeds)
    }

    /// Commits `change` as `member`, judged as in the house; the envelope and the state it leads to.
    pub(crate) fn commit(
        &mut self,
        member: usize,
        group: &Group,
        change: &Change,
    ) -> (Verified, Group) {
        let seed = self.seed();
        let member = &self.members[member];
        let device = member.device();
        let mut header = header(self.home, device, PayloadType::Commit, self.tips.clone());
        let built = group.build(&member.keys, change, Parents::of(&header), &seed).unwrap();
        let authorized = authorize(&self.authority, built.open(Origin::of(&header))).unwrap();
        let merged = built.merge(authorized).unwrap();
        header.payload = merged.payload.encode();
        let body = merged.body.encode().into();
        (Verified::sign(header, Some(body), &member.keys).unwrap(), merged.group)
    }

    /// Applies somebody else's commit: processed, judged, merged.
    pub(crate) fn apply(&self, group: &Group, sent: &Verified, seed: &Secret<32>) -> Group {
        let (opened, staged) = group.stage(sent, seed).unwrap();
        staged.merge(authorize(&self.authority, opened).unwrap()).unwrap()
    }
}

fn header(
    channel: ChannelId,
    sender: DeviceId,
    payload_type: PayloadType,
    parents: Vec<Tip>,
) -> Header {
    let timestamp = Timestamp::from_micros(10_000);
    Header {
        version: VERSION,
        channel,
        sender,
        sequence: 1,
        previous: None,
        parents,
        control: None,
        timestamp,
        order: timestamp.micros(),
        payload_type,
        payload: Vec::new(),
        body: None,
    }
}

/// Some of a group's members, all in one state, whose tree is filled.
pub(crate) struct Filled {
    pub(crate) world: World,
    /// Members by number, with their groups.
    pub(crate) groups: Vec<(usize, Group)>,
    /// One more member, with OpenMLS alone.
    pub(crate) raw: RawMember,
}

impl Filled {
    /// A group of `count`: all are added in bulk, then some leaves are renewed in bit-reversed order.
    pub(crate) fn of(count: u32) -> Self {
        let mut world = World::of(count);
        let first = &world.members[0];
        let group =
            Group::create(&first.keys, &first.certificate, b"a group", SETTINGS, &seed(6, 0));
        let mut groups = vec![(0, group.unwrap())];
        let mut raw = None;
        let mut rest: Vec<usize> = (1..world.members.len()).collect();
        // Leaves are filled in the order of devices within one commit: so that a member's number is its
        // leaf's, they are put in that order.
        for chunk in rest.chunks_mut(ADDITIONS_PER_COMMIT_MAX) {
            chunk.sort_by_key(|number| world.members[*number].device());
        }
        let renewing = bit_reversed(world.members.len());
        let renewing: Vec<_> = renewing.skip(1).take(RENEWALS - 1).map(|at| rest[at - 1]).collect();
        let raw_number = *rest.last().unwrap();
        for chunk in rest.chunks(ADDITIONS_PER_COMMIT_MAX) {
            add(&mut world, &mut groups, &mut raw, (chunk, &renewing, raw_number));
        }
        let mut raw = raw.unwrap();
        for at in 0..groups.len() {
            let (number, group) = &groups[at];
            let (sent, renewed) = world.commit(*number, group, &Change::default());
            follow(&mut world, &mut groups, &sent, Some((at, renewed)));
            raw.follow(&sent);
        }
        Self { world, groups, raw }
    }
}

/// Lets the first member add some, of whom those who renew and the raw one enter.
fn add(
    world: &mut World,
    groups: &mut Vec<(usize, Group)>,
    raw: &mut Option<RawMember>,
    (chunk, renewing, raw_number): (&[usize], &[usize], usize),
) {
    let mut packages: Vec<_> = chunk
        .iter()
        .map(|number| world.members[*number].package(u32::try_from(*number).unwrap()))
        .collect();
    let mut newcomer = None;
    if let Some(at) = chunk.iter().position(|number| *number == raw_number) {
        let (entering, package) = RawMember::new(&world.members[raw_number]);
        packages[at].package = package;
        newcomer = Some(entering);
    }
    let adds = packages.iter().map(|made| made.package.clone()).collect();
    let change = Change { adds, ..Change::default() };
    let (sent, child) = world.commit(0, &groups[0].1, &change);
    let welcome = CommitBody::decode(sent.body().unwrap()).unwrap().welcome.unwrap();
    let tree = child.tree().unwrap();
    follow(world, groups, &sent, Some((0, child)));
    for (number, made) in chunk.iter().zip(&packages) {
        if renewing.contains(number) && *number != raw_number {
            let joined = join(&welcome, &tree, &made.private, &world.seed()).unwrap();
            groups.push((*number, joined.enter()));
        }
    }
    if let Some(mut newcomer) = newcomer {
        newcomer.enter(&welcome, &tree);
        *raw = Some(newcomer);
    }
}

/// Lets everybody follow a commit but its author, who has its child.
pub(crate) fn follow(
    world: &mut World,
    groups: &mut [(usize, Group)],
    sent: &Verified,
    authors: Option<(usize, Group)>,
) {
    let author = authors.as_ref().map(|(at, _)| *at);
    for (_, (_, group)) in groups.iter_mut().enumerate().filter(|(at, _)| Some(*at) != author) {
        *group = world.apply(group, sent, &seed(7, 0));
    }
    if let Some((at, child)) = authors {
        groups[at].1 = child;
    }
    let child = CommitPayload::decode(&sent.header().payload).unwrap().child;
    assert!(groups.iter().all(|(_, group)| group.state_id() == child));
}

/// The numbers below `count` in the order of their bits reversed.
fn bit_reversed(count: usize) -> impl Iterator<Item = usize> {
    let bits = count.next_power_of_two().trailing_zeros();
    (0..1_usize << bits)
        .map(move |number| number.reverse_bits() >> (usize::BITS - bits))
        .filter(move |number| *number < count)
}
