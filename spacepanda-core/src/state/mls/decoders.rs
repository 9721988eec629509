use std::sync::LazyLock;

use bytes::Bytes;

use super::{
    Addition, CommitBody, CommitPayload, Group, KeyPackageMade, KeyPackagePayload, MessagePayload,
    RootPayload, Rows, ScopeKey, VotePayload, join, package_facts,
    payload::Sealed,
    people::{Person, Sent, adding, enter, removing, seed},
};
use crate::{
    base::{
        DeviceId, Secret, cbor,
        decoder::{Decoder, Form, Sampler, exact},
        limits::BODY_LEN_MAX,
    },
    state::envelope::PayloadType,
};

/// What this room decodes.
pub(crate) fn decoders() -> Vec<Decoder> {
    payloads().into_iter().chain(foreign()).collect()
}

fn payloads() -> Vec<Decoder> {
    let exactly = |name, samples, decode| Decoder { name, form: Form::Exact, samples, decode };
    vec![
        exactly(
            "mls root",
            |s| vec![RootPayload { generation: s.number() as u32, state: s.state() }.encode()],
            |bytes| RootPayload::decode(bytes).ok().map(|payload| payload.encode()),
        ),
        exactly(
            "mls vote",
            |s| vec![VotePayload { state: s.state() }.encode()],
            |bytes| VotePayload::decode(bytes).ok().map(|payload| payload.encode()),
        ),
        exactly("mls commit payload", commit_payloads, |bytes| {
            CommitPayload::decode(bytes).ok().map(|payload| payload.encode())
        }),
        exactly("mls commit body", commit_bodies, |bytes| {
            CommitBody::decode(bytes).ok().map(|body| body.encode())
        }),
        exactly("mls key package payload", package_payloads, |bytes| {
            KeyPackagePayload::decode(bytes).ok().map(|payload| payload.encode())
        }),
        exactly(
            "mls message payload",
            |s| {
                let (id, state, commitment) = (s.message(), s.state(), s.bytes());
                vec![MessagePayload { id, state, commitment }.encode()]
            },
            |bytes| MessagePayload::decode(bytes).ok().map(|payload| payload.encode()),
        ),
        exactly(
            "mls plaintext",
            |s| vec![cbor::encode(&Sealed { salt: s.bytes(), content: s.blob(2_000) })],
            exact::<Sealed>,
        ),
    ]
}

fn foreign() -> Vec<Decoder> {
    let foreign = |name, samples, decode| Decoder { name, form: Form::Foreign, samples, decode };
    vec![
        foreign(
            "mls key package",
            |s| vec![person(s).package(1).package],
            |bytes| {
                let _ = package_facts(bytes);
                None
            },
        ),
        foreign(
            "mls welcome",
            |_| vec![WORLD.welcome().to_vec()],
            |bytes| {
                let _ = join(bytes, &WORLD.tree, &WORLD.package.private, &seed(1));
                None
            },
        ),
        foreign(
            "mls tree",
            |_| vec![WORLD.tree.clone()],
            |bytes| {
                let _ = join(WORLD.welcome(), bytes, &WORLD.package.private, &seed(1));
                None
            },
        ),
        foreign("mls commit", |_| WORLD.commits.clone(), stage),
        foreign(
            "mls message",
            |_| vec![WORLD.message.clone()],
            |bytes| {
                if bytes.len() > BODY_LEN_MAX {
                    return None;
                }
                let envelope = WORLD.founder.message(&WORLD.joined, bytes);
                let _ = WORLD.joined.copy().unwrap().decrypt(&envelope, &seed(1));
                None
            },
        ),
        foreign(
            "rows mls wrapped",
            |_| vec![wrapped()],
            |bytes| {
                let _ = scope_key().unwrap(b"row", bytes);
                None
            },
        ),
        foreign("rows mls", wrapped_rows, load),
    ]
}

/// A group of three in which one was just added, and what that one was sent.
struct World {
    founder: Person,
    package: KeyPackageMade,
    added: Sent,
    tree: Vec<u8>,
    joined: Group,
    rows: Rows,
    commits: Vec<Vec<u8>>,
    message: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);

impl World {
    fn new() -> Self {
        let [founder, newcomer, other] = [1, 2, 3].map(Person::new);
        let package = newcomer.package(1);
        let added = founder.commit(&founder.found(), &adding(&[&package, &other.package(1)]), 2);
        let tree = added.group.tree().unwrap();
        let mut joined = enter(&added, &package);
        let commit = |change, number| {
            let sent = founder.commit(&added.group, &change, number);
            CommitBody::decode(sent.envelope.body().unwrap()).unwrap().commit
        };
        let add = Person::new(4).package(1);
        let commits = vec![
            commit(adding(&[&add]), 3),
            commit(removing(&[&other]), 4),
            commit(super::Change::default(), 5),
        ];
        let mut group = added.group.copy().unwrap();
        let message = founder.write(&mut group, b"words", 6).body().unwrap().to_vec();
        let rows = joined.rows().unwrap();
        Self { founder, package, added, tree, joined, rows, commits, message }
    }

    fn welcome(&self) -> &[u8] {
        self.added.welcome.as_deref().unwrap()
    }
}

/// Bytes of a commit's body around the commit.
const HEADS_LEN: usize = 7;

/// A member signs whatever commit it likes.
fn stage(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > BODY_LEN_MAX - HEADS_LEN {
        return None;
    }
    let mut payload = WORLD.added.payload.clone();
    (payload.parent, payload.adds, payload.removes) = (payload.child, Vec::new(), Vec::new());
    let body = CommitBody { commit: bytes.to_vec(), welcome: None };
    let (payload, body) = (payload.encode(), Some(body.encode()));
    let envelope = WORLD.founder.envelope(PayloadType::Commit, payload, body);
    let _ = WORLD.joined.stage(&envelope, &seed(1));
    None
}

/// The rows of a state as they are kept.
fn wrapped_rows(s: &mut Sampler) -> Vec<Vec<u8>> {
    let rows = WORLD.rows.iter();
    rows.map(|(key, value)| scope_key().wrap(key, value, &Secret::new(s.bytes())).unwrap().to_vec())
        .collect()
}

/// Loads the state with a row in its place, as long as it can be unwrapped there: OpenMLS's own decoders
/// never see what nobody wrote here.
fn load(bytes: &[u8]) -> Option<Vec<u8>> {
    let unwrapped = |(key, _): &(&[u8], &Bytes)| scope_key().unwrap(key, bytes).ok();
    let (at, value) =
        WORLD.rows.iter().enumerate().find_map(|(at, row)| Some((at, unwrapped(&row)?)))?;
    let rows = WORLD.rows.iter().enumerate();
    let read = rows.map(|(place, (key, kept))| {
        (key.to_vec(), if place == at { value.clone() } else { kept.clone() })
    });
    let _ = Group::load(read.collect());
    None
}

fn scope_key() -> ScopeKey {
    ScopeKey::new(Secret::new([1; 32]))
}

fn wrapped() -> Vec<u8> {
    scope_key().wrap(b"row", b"a value", &seed(1)).unwrap().to_vec()
}

fn person(s: &mut Sampler) -> Person {
    Person::new(s.bytes::<1>()[0] % 100)
}

fn commit_payloads(s: &mut Sampler) -> Vec<Vec<u8>> {
    let mut adds: Vec<_> =
        (0..s.below(20)).map(|_| Addition { device: s.device(), package: s.bytes() }).collect();
    adds.sort_unstable();
    let mut removes: Vec<DeviceId> = (0..s.below(20)).map(|_| s.device()).collect();
    removes.sort_unstable();
    vec![CommitPayload { parent: s.state(), child: s.state(), adds, removes }.encode()]
}

fn commit_bodies(s: &mut Sampler) -> Vec<Vec<u8>> {
    let welcome = [None, Some(s.blob(2_000))];
    welcome.map(|welcome| CommitBody { commit: s.blob(2_000), welcome }.encode()).to_vec()
}

fn package_payloads(s: &mut Sampler) -> Vec<Vec<u8>> {
    let lost = [None, Some(s.state())];
    lost.map(|lost| {
        let (device, package) = (s.device(), s.blob(2_000));
        KeyPackagePayload { device, last_resort: lost.is_none(), package, lost }.encode()
    })
    .to_vec()
}
