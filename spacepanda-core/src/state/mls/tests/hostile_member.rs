//! A member who makes whatever MLS lets a member make. All others refuse it alike: who followed all
//! along, and who comes back with an old state and replays. And they go on undisturbed.

use openmls::prelude::{
    Capabilities, CredentialType, Extension, ExtensionType, Extensions, ExternalSender,
    LeafNodeIndex, LeafNodeParameters, ProtocolVersion, tls_codec::Serialize,
};

use super::{
    super::{crypto::LeafSigner, overlay::Step, version::Program, *},
    people::*,
    raw::*,
};
use crate::{
    base::{ChannelId, MessageId, StateId},
    state::{
        authority::{
            Authority, CommitFault, Denied, GENESIS_VERSION, Genesis, Operation, authorize,
            control_channel,
        },
        envelope::{PayloadType, Verified},
    },
};

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
const MALLORY: usize = 3;

/// Why a commit was refused.
#[derive(Debug, Clone, PartialEq)]
enum Refused {
    /// By its group.
    Mls(MlsError),
    /// By the policy.
    Policy(CommitFault),
}

use Refused::{Mls, Policy};

/// Four members, of whom one is hostile. The honest ones have seen different things: Alice wrote the
/// last commit, Bob followed it and opened a message in it, Carol comes back with the rows of two
/// states before.
struct Scene {
    people: Vec<Person>,
    /// Somebody who may read and is in no group.
    frank: Person,
    authority: Authority,
    alice: Group,
    bob: Group,
    carol: Rows,
    missed: [Verified; 2],
    mallory: Group,
}

impl Scene {
    fn set() -> Self {
        let mut people: Vec<_> = (1..=5).map(Person::new).collect();
        let authority = found_server(&mut people);
        let frank = people.pop().unwrap();
        let groups = group_among(&people);
        let [alice, bob, mut carol, mallory] = <[Group; 4]>::try_from(groups).unwrap();
        let first = people[BOB].commit(&bob, &Change::default(), 30);
        let alice = follow(&alice, &first.envelope).unwrap();
        let second = people[ALICE].commit(&alice, &Change::default(), 31);
        let mut bob = follow(&first.group, &second.envelope).unwrap();
        let mallory = follow(&mallory, &first.envelope).unwrap();
        let mallory = follow(&mallory, &second.envelope).unwrap();
        let mut alice = second.group;
        read(&mut bob, &people[ALICE].write(&mut alice, b"before", 32)).unwrap();
        let carol = carol.rows().unwrap();
        let missed = [first.envelope, second.envelope];
        Self { people, frank, authority, alice, bob, carol, missed, mallory }
    }

    fn mallory(&self) -> &Person {
        &self.people[MALLORY]
    }

    /// A commit of Mallory's that MLS and our own code would make if nobody judged it.
    fn commit(&self, change: &Change) -> Verified {
        self.mallory().commit(&self.mallory, change, 40).envelope
    }

    fn judge(&self, group: &Group, sent: &Verified) -> Result<Group, Refused> {
        let (opened, staged) = group.stage(sent, &seed(50)).map_err(Mls)?;
        let authorized = authorize(&self.authority, opened).map_err(|denied| match denied {
            Denied::Commit(fault) => Policy(fault),
            other => panic!("{other}"),
        })?;
        staged.merge(authorized).map_err(Mls)
    }

    /// Carol's group after she has replayed what she missed.
    fn caught_up(&self) -> Group {
        let start = Group::load(self.carol.clone()).unwrap();
        self.missed.iter().fold(start, |group, sent| self.judge(&group, sent).unwrap())
    }

    /// Why all refuse a commit, each for the same reason.
    fn refused(&mut self, sent: &Verified) -> Refused {
        let rows = self.bob.rows().unwrap();
        let [alice, bob, carol] = [&self.alice, &self.bob, &self.caught_up()]
            .map(|group| self.judge(group, sent).map(|_| ()).unwrap_err());
        assert_eq!((&alice, &carol), (&bob, &bob));
        assert_eq!(self.bob.rows().unwrap(), rows, "Bob's state is as it was");
        bob
    }

    /// Checks that the honest can still commit and talk, and stand in one state.
    fn goes_on(mut self) {
        let renewed = self.people[BOB].commit(&self.bob, &Change::default(), 60);
        let mut alice = self.judge(&self.alice, &renewed.envelope).unwrap();
        let mut carol = self.judge(&self.caught_up(), &renewed.envelope).unwrap();
        let mut bob = renewed.group;
        assert_eq!((alice.state_id(), carol.state_id()), (bob.state_id(), bob.state_id()));
        let sent = self.people[CAROL].write(&mut carol, b"after", 61);
        for group in [&mut alice, &mut bob] {
            assert_eq!(read(group, &sent).unwrap().content, b"after");
        }
        let before = self.people[ALICE].write(&mut self.alice, b"in the state before", 62);
        assert_eq!(read(&mut self.bob, &before).unwrap().content, b"in the state before");
    }
}

/// The beginning of a server that all of `people` own; all they write names it.
fn found_server(people: &mut [Person]) -> Authority {
    let mut founder = Person::new(20);
    let owners = std::iter::once(&founder).chain(people.iter());
    let owners = owners.map(|owner| owner.certificate.certificate().clone()).collect();
    let genesis = Genesis { version: GENESIS_VERSION, nonce: [7; 32], owners };
    let server = genesis.clone().server();
    founder.home = control_channel(&server);
    let payload = Operation::Genesis(genesis).encode();
    let genesis = founder.envelope(PayloadType::Authority, payload, None);
    let mut authority = Authority::new(server);
    authority.insert(&genesis).unwrap();
    drop(authority.settle());
    for person in people {
        (person.home, person.tips) = (founder.home, vec![genesis.tip()]);
    }
    authority
}

fn to(version: u16) -> Change {
    Change { version: Some(version), ..Change::default() }
}

fn leaf_of(group: &Group, person: &Person) -> LeafNodeIndex {
    let mut members = group.mls.members();
    members.find(|member| member.signature_key == person.keys.public()).unwrap().index
}

fn listing(extensions: &[u16]) -> LeafNodeParameters {
    let extensions = extensions.iter().map(|number| ExtensionType::from(*number)).collect();
    let capabilities = Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![settings::SUITE])
        .extensions(extensions)
        .credentials(vec![CredentialType::Basic])
        .build();
    LeafNodeParameters::builder().with_capabilities(capabilities).build()
}

#[test]
fn nobody_is_added_who_is_not_called_for() {
    let mut scene = Scene::set();
    let eve = Person::new(9);
    let uncertified = scene.commit(&adding(&[&eve.package(9)]));
    assert_eq!(scene.refused(&uncertified), Policy(CommitFault::Addition));
    let (package, addition) = ending_package(&scene.frank);
    let (_, smuggled) = raw_commit(scene.mallory(), &scene.mallory, no_lists(), |builder| {
        builder.propose_adds([package.clone()])
    });
    assert_eq!(scene.refused(&smuggled), Mls(MlsError::WrongLists));
    let lists = (vec![addition], Vec::new());
    let (_, ending) = raw_commit(scene.mallory(), &scene.mallory, lists, |builder| {
        builder.propose_adds([package])
    });
    assert_eq!(scene.refused(&ending), Policy(CommitFault::Addition));
    let outsider = external_commit(&eve, scene.mallory(), &scene.mallory);
    for author in [&eve, &scene.people[MALLORY]] {
        let sent = wrapped(author, scene.mallory.state_id(), outsider.clone());
        assert_eq!(scene.judge(&scene.bob, &sent).map(|_| ()), Err(Mls(MlsError::WrongSender)));
    }
    let sent = wrapped(scene.mallory(), scene.mallory.state_id(), outsider);
    assert_eq!(scene.refused(&sent), Mls(MlsError::WrongSender));
    scene.goes_on();
}

#[test]
fn nobody_is_removed_who_may_read() {
    let mut scene = Scene::set();
    let removal = scene.commit(&removing(&[&scene.people[CAROL]]));
    assert_eq!(scene.refused(&removal), Policy(CommitFault::Removal));
    let (_, hidden) = raw_commit(scene.mallory(), &scene.mallory, no_lists(), |builder| {
        builder.propose_removals([leaf_of(&scene.mallory, &scene.people[CAROL])])
    });
    assert_eq!(scene.refused(&hidden), Mls(MlsError::WrongLists));
    scene.goes_on();
}

#[test]
fn no_leaf_becomes_another_or_less_than_every_leaf_is() {
    let mut scene = Scene::set();
    let stealing = stealing_commit(scene.mallory(), &scene.people[BOB], &scene.mallory);
    assert_eq!(scene.refused(&stealing), Policy(CommitFault::Path));
    for (extensions, why) in [
        (&[0xF0A1, 0xF0B1][..], CommitFault::Path),
        (&[0xF0A1, 0x000A], CommitFault::Version),
        (&[0xF0A1, 0x000A, 0xF0B2], CommitFault::Version),
    ] {
        let (_, sent) = raw_commit(scene.mallory(), &scene.mallory, no_lists(), |builder| {
            builder.leaf_node_parameters(listing(extensions))
        });
        assert_eq!(scene.refused(&sent), Policy(why), "{extensions:x?}");
    }
    scene.goes_on();
}

#[test]
fn the_version_goes_where_all_can_follow_and_no_other_setting_changes() {
    let mut scene = Scene::set();
    scene.mallory.program = Program { greatest: 3 };
    for version in [0, GROUP_VERSION, GROUP_VERSION + 1, u16::MAX] {
        let sent = scene.commit(&to(version));
        assert_eq!(scene.refused(&sent), Policy(CommitFault::Version), "{version}");
    }
    let outsiders = vec![ExternalSender::new(
        scene.mallory().keys.public().to_vec().into(),
        package::credential(&scene.mallory().keys, &scene.mallory().certificate)
            .unwrap()
            .credential,
    )];
    let mut opened = SETTINGS.extensions(GROUP_VERSION).unwrap();
    opened.add(Extension::ExternalSenders(outsiders)).unwrap();
    let [longer, restarted] = [
        Settings { window_hours: 9_999, ..SETTINGS },
        Settings { generation: SETTINGS.generation + 1, ..SETTINGS },
    ]
    .map(|settings| settings.extensions(GROUP_VERSION + 1).unwrap());
    for extensions in [Extensions::empty(), opened, longer, restarted] {
        let (_, sent) = raw_commit(scene.mallory(), &scene.mallory, no_lists(), |builder| {
            builder.propose_group_context_extensions(extensions).unwrap()
        });
        assert_eq!(scene.refused(&sent), Policy(CommitFault::Proposal));
    }
    scene.goes_on();
}

#[test]
fn a_commit_of_somebody_else_somewhere_else_or_before_is_refused() {
    let mut scene = Scene::set();
    let of_bob = scene.people[BOB].commit(&scene.bob, &Change::default(), 41);
    let body = Some(of_bob.envelope.body().unwrap().to_vec());
    let mut payload = of_bob.payload;
    payload.child = StateId::new([9; 32]);
    let stolen = scene.mallory().envelope(PayloadType::Commit, payload.encode(), body);
    assert_eq!(scene.refused(&stolen), Mls(MlsError::WrongSender), "by Bob as well");

    let elsewhere = scene.mallory();
    let group = Group::create(
        &elsewhere.keys,
        &elsewhere.certificate,
        b"another group",
        SETTINGS,
        &seed(2),
    );
    let sent = elsewhere.commit(&group.unwrap(), &Change::default(), 42);
    for sent in [&sent.envelope, &scene.missed[0].clone()] {
        let commit = CommitBody::decode(sent.body().unwrap()).unwrap().commit;
        let moved = wrapped(scene.mallory(), scene.mallory.state_id(), commit);
        assert!(matches!(scene.refused(&moved), Mls(MlsError::Library(_))));
        assert_eq!(scene.refused(sent), Mls(MlsError::WrongState));
    }
    scene.goes_on();
}

#[test]
fn a_stray_proposal_is_no_commit_and_blocks_nobody() {
    let mut scene = Scene::set();
    let mut of_mallory = scene.mallory.copy().unwrap();
    let bobs = leaf_of(&of_mallory, &scene.people[BOB]);
    let seed = seed(1);
    let step = Step::new(&of_mallory.overlay, &seed, "propose");
    let signer = LeafSigner(&scene.people[MALLORY].keys);
    let data = commit_aad(&scene.mallory.state_id(), &[], &[], scene.mallory().parents());
    of_mallory.mls.set_aad(data.to_vec());
    let (proposal, _) = of_mallory.mls.propose_remove_member(&step, &signer, bobs).unwrap();
    let stray = wrapped(
        scene.mallory(),
        scene.mallory.state_id(),
        proposal.tls_serialize_detached().unwrap(),
    );
    assert_eq!(scene.refused(&stray), Mls(MlsError::Malformed("commit")));
    let lists = (Vec::new(), vec![scene.people[BOB].device()]);
    let (_, by_reference) = raw_commit(scene.mallory(), &of_mallory, lists, |builder| builder);
    assert!(matches!(scene.refused(&by_reference), Mls(MlsError::Library(_))));
    scene.goes_on();
}

#[test]
fn a_message_opens_once_where_it_was_written_and_by_the_name_of_its_author() {
    let mut scene = Scene::set();
    let mut carol = scene.caught_up();
    let honest = scene.people[ALICE].write(&mut scene.alice, b"hello", 44);
    let (payload, body) = (honest.header().payload.clone(), honest.body().unwrap().to_vec());
    let mallory = &scene.people[MALLORY];
    let stolen = mallory.envelope(PayloadType::Message, payload, Some(body));
    let own = mallory.write(&mut scene.mallory, b"of mallory", 45);
    let mut header = own.header().clone();
    header.channel = ChannelId::new([8; 32]);
    let moved = Verified::sign(header, own.body().cloned(), &mallory.keys).unwrap();
    let mut group =
        Group::create(&mallory.keys, &mallory.certificate, b"another group", SETTINGS, &seed(2))
            .unwrap();
    let elsewhere = mallory.write(&mut group, b"of another group", 46);
    let mut payload = MessagePayload::decode(&elsewhere.header().payload).unwrap();
    payload.state = scene.mallory.state_id();
    let body = elsewhere.body().map(|body| body.to_vec());
    let elsewhere = mallory.envelope(PayloadType::Message, payload.encode(), body);
    let mut ahead = scene.mallory.copy().unwrap();
    for _ in 0..4_100 {
        let id = MessageId::new([0; 16]);
        ahead.encrypt(&mallory.keys, &CHANNEL, b"skipped", id, &seed(3)).unwrap();
    }
    let ahead = mallory.write(&mut ahead, b"after a gap", 47);
    for group in [&mut scene.bob, &mut carol] {
        assert_eq!(read(group, &stolen), Err(MlsError::WrongSender));
        assert_eq!(read(group, &moved), Err(MlsError::WrongData));
        assert_eq!(read(group, &elsewhere), Err(MlsError::WrongState));
        assert_eq!(read(group, &ahead), Err(MlsError::TooNew));
        assert_eq!(read(group, &honest).unwrap().content, b"hello");
        assert_eq!(read(group, &honest), Err(MlsError::Used));
        assert_eq!(read(group, &own).unwrap().content, b"of mallory");
    }
    scene.goes_on();
}
