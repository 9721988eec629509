//! What the gate lets through, by the past of each thing alone.

use std::collections::BTreeSet;

use super::{
    super::{
        Act, Because, Capability, CommitFacts, CommitFault, CommitHeader, Denied, LeafFacts, Need,
        ProposalFacts, Touch, authorize,
    },
    world::{ADA, At, BOB, FOUNDER, OWNER, World, person},
};
use crate::{
    base::{ChannelId, EnvelopeId, Timestamp},
    state::{
        envelope::{Opened, Origin},
        identity::VerifiedCertificate,
    },
};

struct Wants(Need);

impl Act for Wants {
    fn need(&self) -> Need {
        self.0.clone()
    }
}

struct House {
    world: World,
    open: At,
    ada: At,
    room: At,
    secret: At,
}

impl House {
    fn new() -> Self {
        let mut world = World::new(2, 5);
        let open = world.invite(FOUNDER, &[0], None);
        let ada = world.admit(FOUNDER, &[open], open, ADA);
        let room = world.make_channel(FOUNDER, &[ada], false);
        let secret = world.make_channel(FOUNDER, &[room], true);
        Self { world, open, ada, room, secret }
    }

    fn channel(&self, at: At) -> ChannelId {
        ChannelId::new(*self.world.id(at).as_bytes())
    }

    fn ask(&self, channel: ChannelId, author: usize, knows: At, need: Need) -> Result<(), Denied> {
        let origin = Origin {
            channel,
            device: self.world.people[author].device_id(),
            timestamp: Timestamp::from_micros(1),
            past: vec![self.world.id(knows)],
        };
        authorize(&self.world.authority, Opened::new(origin, Wants(need))).map(|_| ())
    }

    fn says(&self, at: At, author: usize, knows: At) -> Result<(), Denied> {
        let channel = self.channel(at);
        let need = capability(Capability::SendMessages, Some(channel), vec![]);
        self.ask(channel, author, knows, need)
    }

    fn commits(
        &self,
        author: usize,
        knows: At,
        proposals: Vec<ProposalFacts>,
    ) -> Result<(), Denied> {
        let facts = CommitFacts { proposals, ..self.facts(author) };
        self.ask(self.world.control(), author, knows, Need::Commit(facts))
    }

    fn facts(&self, author: usize) -> CommitFacts {
        let author = &self.world.people[author];
        CommitFacts {
            suite: 3,
            version: 1,
            spoken: BTreeSet::from([1]),
            sender: Some(author.device_id()),
            path: Some(leaf(&author.certificate)),
            proposals: vec![],
        }
    }

    fn add(&self, person: usize) -> ProposalFacts {
        ProposalFacts::Add(leaf(&self.world.people[person].certificate))
    }

    fn remove(&self, person: usize) -> ProposalFacts {
        ProposalFacts::Remove(self.world.people[person].device_id())
    }
}

fn capability(capability: Capability, channel: Option<ChannelId>, touches: Vec<Touch>) -> Need {
    Need::Capability { capability, channel, touches }
}

fn leaf(certificate: &VerifiedCertificate) -> LeafFacts {
    LeafFacts { certificate: Some(certificate.clone()), endless: true, capable: true }
}

#[test]
fn a_member_writes_by_their_own_past_also_after_they_were_removed() {
    let mut house = House::new();
    let secret = house.secret;
    assert_eq!(house.says(house.room, ADA, secret), Ok(()));
    assert_eq!(house.says(house.room, BOB, secret), Err(Denied::Stranger));
    assert_eq!(house.says(house.room, ADA, house.ada), Err(Denied::Channel));
    let kick = house.world.kick(FOUNDER, &[secret], ADA);
    assert_eq!(house.says(house.room, ADA, secret), Ok(()), "the line judges that, not the gate");
    assert_eq!(house.says(house.room, ADA, kick), Err(Denied::NotMember));
    let because =
        house.world.authority.explain(&house.world.who(ADA), None, Capability::ViewChannel);
    assert_eq!(because.because, Because::Removed(house.world.id(kick)));
}

#[test]
fn what_is_missing_is_named() {
    let house = House::new();
    let channel = house.channel(house.room);
    let origin = Origin {
        channel,
        device: house.world.people[ADA].device_id(),
        timestamp: Timestamp::from_micros(1),
        past: vec![EnvelopeId::new([9; 32])],
    };
    let denied = authorize(&house.world.authority, Opened::new(origin, Wants(Need::Membership)));
    let denied = denied.map(|_| ()).unwrap_err();
    assert_eq!(denied, Denied::Missing(EnvelopeId::new([9; 32])));
    assert!(denied.is_retryable());
}

#[test]
fn only_owners_view_a_private_channel() {
    let house = House::new();
    let denied = house.says(house.secret, ADA, house.secret).unwrap_err();
    assert_eq!(denied.code(), "permission.denied");
    assert_eq!(house.says(house.secret, OWNER, house.secret), Ok(()));
    let now = house.world.authority.now();
    let channel = house.channel(house.secret);
    let why = now.explain(&house.world.who(ADA), Some(&channel), Capability::ViewChannel);
    assert_eq!((why.allowed, why.because), (false, Because::Private));
}

#[test]
fn an_act_on_somebody_needs_to_stand_above_them() {
    let house = House::new();
    let channel = house.channel(house.room);
    let erase = |author, target| {
        let touches = vec![Touch::Identity(house.world.who(target))];
        let need = capability(Capability::ManageMessages, Some(channel), touches);
        house.ask(channel, author, house.secret, need)
    };
    assert_eq!(erase(OWNER, ADA), Ok(()));
    assert_eq!(erase(OWNER, OWNER), Ok(()));
    assert_eq!(erase(OWNER, FOUNDER), Err(Denied::Rank));
    assert_eq!(erase(ADA, ADA), Err(Denied::Capability(Capability::ManageMessages)));
}

#[test]
fn a_commit_adds_whom_its_past_admits_and_removes_whom_it_does_not() {
    let mut house = House::new();
    let (open, secret) = (house.open, house.secret);
    assert_eq!(house.commits(ADA, secret, vec![house.add(ADA)]), Ok(()));
    assert_eq!(house.commits(ADA, secret, vec![house.add(BOB)]), fault(CommitFault::Addition));
    assert_eq!(house.commits(ADA, secret, vec![house.remove(OWNER)]), fault(CommitFault::Removal));
    let plea = vec![house.remove(OWNER), house.add(OWNER)];
    assert_eq!(house.commits(ADA, secret, plea), Ok(()));
    assert_eq!(house.commits(ADA, secret, vec![house.remove(BOB)]), Ok(()), "certified by nobody");
    let bob = house.world.admit(ADA, &[secret], open, BOB);
    let kick = house.world.kick(FOUNDER, &[bob], ADA);
    assert_eq!(house.commits(BOB, kick, vec![house.remove(ADA)]), Ok(()));
    assert_eq!(house.commits(BOB, kick, vec![house.add(ADA)]), fault(CommitFault::Addition));
    assert_eq!(house.commits(BOB, bob, vec![house.remove(ADA)]), fault(CommitFault::Removal));
    assert_eq!(house.commits(ADA, kick, vec![]), Err(Denied::NotMember));
}

#[test]
fn a_commit_of_another_form_is_refused() {
    let house = House::new();
    let twice = vec![house.add(ADA), house.add(ADA)];
    assert_eq!(house.commits(ADA, house.secret, twice), fault(CommitFault::Count));
    let other = vec![ProposalFacts::Other];
    assert_eq!(house.commits(ADA, house.secret, other), fault(CommitFault::Proposal));
    let good = house.facts(ADA);
    let certificate = &house.world.people[ADA].certificate;
    let lasting = LeafFacts { endless: false, ..leaf(certificate) };
    let added = vec![ProposalFacts::Add(lasting)];
    assert_eq!(house.commits(ADA, house.secret, added), fault(CommitFault::Addition));
    let of_owner = leaf(&house.world.people[OWNER].certificate);
    let incapable = LeafFacts { capable: false, ..leaf(certificate) };
    for (facts, why) in [
        (CommitFacts { suite: 1, ..good.clone() }, CommitFault::Suite),
        (CommitFacts { sender: None, ..good.clone() }, CommitFault::Sender),
        (CommitFacts { path: Some(of_owner), ..good.clone() }, CommitFault::Path),
        (CommitFacts { path: Some(incapable), ..good.clone() }, CommitFault::Path),
    ] {
        let control = house.world.control();
        assert_eq!(house.ask(control, ADA, house.secret, Need::Commit(facts)), fault(why));
    }
}

#[test]
fn a_second_device_counts_by_its_own_admission() {
    let mut house = House::new();
    let (open, secret) = (house.open, house.secret);
    let second = person(u8::try_from(ADA).unwrap(), 1);
    let device = second.device_id();
    house.world.people.push(second);
    let added = house.world.people.len() - 1;
    assert_eq!(
        house.commits(FOUNDER, secret, vec![house.add(added)]),
        fault(CommitFault::Addition)
    );
    let admitted = house.world.admit(FOUNDER, &[secret], open, added);
    assert_eq!(house.commits(FOUNDER, admitted, vec![house.add(added)]), Ok(()));
    let now = house.world.authority.now();
    assert_eq!(now.device(&device), Some(house.world.who(ADA)));
    assert_eq!(house.world.authority.devices_of(&house.world.who(ADA)).len(), 2);
    let admissions = house.world.authority.admissions_of(&house.world.who(ADA));
    assert_eq!(admissions.len(), 2);
    let past = [house.world.id(admitted)];
    assert_eq!(house.world.authority.admissions_in(&past, &device), past);
    assert!(house.world.authority.holds(&past, &house.world.id(open)));
}

#[test]
fn the_leaf_of_a_revoked_device_is_removed_and_never_added_and_it_commits_nothing_more() {
    let mut house = House::new();
    let (new, old) = (house.world.device(ADA, 1), ADA);
    let added = house.world.introduce(new, &[house.secret]);
    let remove = || vec![ProposalFacts::Remove(house.world.people[old].device_id())];
    assert_eq!(house.commits(FOUNDER, added, vec![house.add(new)]), Ok(()));
    assert_eq!(house.commits(FOUNDER, added, remove()), fault(CommitFault::Removal));
    assert_eq!(house.commits(old, added, vec![]), Ok(()));
    let remove = remove();
    let revoked = house.world.revoke(new, &[added], old);
    assert_eq!(house.commits(FOUNDER, revoked, remove), Ok(()));
    assert_eq!(house.commits(FOUNDER, revoked, vec![house.add(old)]), fault(CommitFault::Addition));
    assert_eq!(house.commits(old, revoked, vec![]), Err(Denied::Device));
    assert_eq!(house.says(house.room, old, revoked), Err(Denied::Device));
    assert_eq!(house.commits(old, added, vec![]), Ok(()), "its past stays what it was");
    assert_eq!(house.says(house.room, new, revoked), Ok(()));
}

#[test]
fn a_group_moves_up_to_what_all_can_speak_and_never_down() {
    let house = House::new();
    let commits = |version, spoken: &[u16], proposals| {
        let spoken = spoken.iter().copied().collect();
        let facts = CommitFacts { version, spoken, proposals, ..house.facts(ADA) };
        house.ask(house.world.control(), ADA, house.secret, Need::Commit(facts))
    };
    let to = |version| vec![ProposalFacts::Version(version)];
    let all = &[1, 2, 3];
    assert_eq!(commits(1, all, to(2)), Ok(()));
    assert_eq!(commits(1, all, to(3)), Ok(()));
    assert_eq!(commits(1, all, vec![house.add(ADA), ProposalFacts::Version(2)]), Ok(()));
    for version in [1, 2] {
        assert_eq!(commits(2, all, to(version)), fault(CommitFault::Version), "not a greater one");
    }
    assert_eq!(commits(1, all, to(4)), fault(CommitFault::Version), "not all can speak it");
    let twice = vec![ProposalFacts::Version(2), ProposalFacts::Version(3)];
    assert_eq!(commits(1, all, twice), fault(CommitFault::Count));
    assert_eq!(commits(2, &[1], vec![house.add(ADA)]), fault(CommitFault::Version));
    assert_eq!(commits(2, &[1], vec![]), fault(CommitFault::Version), "also by a path");
}

fn fault(why: CommitFault) -> Result<(), Denied> {
    Err(Denied::Commit(why))
}

#[test]
fn a_commit_is_forbidden_by_its_header_as_by_its_proposals() {
    let mut house = House::new();
    let (founder, ada, bob) = (FOUNDER, ADA, BOB);
    let forbids = |house: &House, knows: At, by: usize, adds: &[usize], removes: &[usize]| {
        let device = |person: &usize| house.world.people[*person].device_id();
        let adds: Vec<_> = adds.iter().map(device).collect();
        let removes: Vec<_> = removes.iter().map(device).collect();
        let header = CommitHeader { device: device(&by), adds: &adds, removes: &removes };
        house.world.authority.forbids(&house.world.id(knows), &header)
    };
    let secret = house.secret;
    assert!(!forbids(&house, secret, ada, &[], &[]));
    assert!(forbids(&house, secret, bob, &[], &[]), "a stranger commits");
    assert!(!forbids(&house, house.ada, founder, &[ada], &[]));
    assert!(forbids(&house, house.open, founder, &[ada], &[]), "she was not let in yet");
    assert!(forbids(&house, secret, ada, &[], &[founder]));
    assert!(!forbids(&house, secret, ada, &[founder], &[founder]), "he may have pleaded");
    let kick = house.world.kick(FOUNDER, &[secret], ADA);
    assert!(!forbids(&house, kick, founder, &[], &[ada]));
    assert!(forbids(&house, secret, founder, &[], &[ada]), "by its past she is in");
    assert!(forbids(&house, kick, ada, &[], &[]));
}
