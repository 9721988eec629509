//! Envelopes that are cut, altered, repeated, misplaced, or signed by whoever may not.

use minicbor::Encoder;
use spacepanda::{
    ChannelId, DeviceId,
    base::{EnvelopeId, Timestamp, cbor},
    store::FORKS_MAX,
};
use spacepanda_core::state::{
    authority::{Name, Operation},
    envelope::{Envelope, Header, PayloadType, VERSION, Verified, order_after},
    identity::KeyPair,
    link::Kind,
};

use crate::{
    bytes::spoilt,
    frames::{body, news, page},
    puppet::stranger,
    scene::Scene,
    world::until,
};

/// The header of Mallory's next envelope in the control channel.
async fn next(scene: &Scene, operation: Operation) -> Header {
    let (held, entries) = scene.log(scene.control()).await;
    let sender = DeviceId::new(*scene.mallory.device.public());
    let own = held.of(&sender).next();
    let mut parents: Vec<_> = held.tips().filter(|tip| Some(*tip) != own).collect();
    parents.sort_unstable();
    let headers = entries.iter().map(|entry| Envelope::decode(&entry.bytes).unwrap());
    let last = headers.map(|envelope| envelope.header().order).max().unwrap();
    let timestamp = Timestamp::from_micros(last + 1);
    Header {
        version: VERSION,
        channel: scene.control(),
        sender,
        sequence: own.map_or(1, |own| own.number + 1),
        previous: own.map(|own| own.id),
        parents,
        control: None,
        timestamp,
        order: order_after(timestamp, [last]),
        payload_type: PayloadType::Authority,
        payload: operation.encode(),
        body: None,
    }
}

fn rename(scene: &Scene, name: &str) -> Operation {
    let target = scene.mallory.certificate.identity();
    Operation::SetNickname { target: Some(target), name: Name::new(name).unwrap() }
}

/// Signs whatever a header says, with whatever key.
fn forge(header: &Header, keys: &KeyPair) -> Vec<u8> {
    let bytes = cbor::encode(header);
    let signature = keys.sign("spacepanda-envelope-v1", &bytes);
    let mut e = Encoder::new(Vec::new());
    e.array(3).unwrap().bytes(&bytes).unwrap().bytes(&signature).unwrap().null().unwrap();
    e.into_writer()
}

pub(crate) async fn deliver(scene: &Scene, channel: ChannelId, envelopes: &[Vec<u8>]) {
    let mut puppet = scene.puppet().await;
    for (turn, envelope) in envelopes.iter().enumerate() {
        let frame =
            if turn % 2 == 0 { news(channel, &[envelope]) } else { page(channel, &[envelope]) };
        puppet.send(Kind::Sync, &frame).await;
        if !puppet.worked_off(scene.server).await {
            puppet = scene.puppet().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_is_kept_as_its_author_signed_it_or_not_at_all() {
    let scene = Scene::set().await;
    let header = next(&scene, rename(&scene, "Mallory the Good")).await;
    let keys = &scene.mallory.device;
    let sound = Verified::sign(header.clone(), None, keys).unwrap().encode();
    deliver(&scene, scene.control(), &spoilt(&sound)).await;
    scene.check_unharmed("envelopes cut or altered").await;

    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        header
    };
    let other = stranger();
    let elsewhere = ChannelId::new([9; 32]);
    let forged = [
        // Signed by another key, in a member's name, and by somebody whom nobody let in.
        forge(&header, &other.device),
        forge(&with(&|h| h.sender = scene.alice.device()), keys),
        forge(&with(&|h| h.sender = DeviceId::new(*other.device.public())), &other.device),
        // Out of time.
        forge(&with(&|h| h.order += 1), keys),
        forge(&with(&|h| h.order -= 1), keys),
        forge(&with(&|h| h.order = u64::MAX), keys),
        forge(&with(&|h| h.timestamp = Timestamp::YEAR_2100), keys),
        // Out of place.
        forge(&with(&|h| h.sequence += 1), keys),
        forge(&with(&|h| h.sequence = u64::MAX), keys),
        forge(&with(&|h| h.sequence = 0), keys),
        forge(&with(&|h| h.previous = Some(EnvelopeId::new([4; 32]))), keys),
        forge(&with(&|h| (h.sequence, h.previous) = (2, Some(EnvelopeId::new([4; 32])))), keys),
        forge(&with(&|h| (h.parents, h.previous) = (Vec::new(), None)), keys),
        forge(&with(&|h| h.parents = h.parents.repeat(2)), keys),
        forge(&with(&|h| h.parents = h.parents.repeat(100)), keys),
        forge(&with(&|h| h.control = Some(h.parents.clone())), keys),
        forge(&with(&|h| h.channel = elsewhere), keys),
        forge(&with(&|h| h.channel = scene.channel), keys),
        // Of another version, of another kind, with another body.
        forge(&with(&|h| h.version = 2), keys),
        forge(&with(&|h| h.payload_type = PayloadType::Message), keys),
        forge(&with(&|h| h.payload = vec![0; 17 * 1024]), keys),
    ];
    for (turn, envelope) in forged.into_iter().enumerate() {
        for channel in [scene.control(), scene.channel, elsewhere] {
            deliver(&scene, channel, std::slice::from_ref(&envelope)).await;
        }
        scene.check_unharmed(&format!("forged envelope {turn}")).await;
    }

    // As it was signed it is kept, passed on, and counts: what came before was refused for a reason.
    deliver(&scene, scene.control(), &[sound.to_vec()]).await;
    for node in [&scene.alice, &scene.bob] {
        until("Mallory has another name", async || {
            let members = node.members(scene.server).await.unwrap();
            let renamed = members.iter().any(|member| member.name == "Mallory the Good");
            if renamed { Ok(()) } else { Err(members) }
        })
        .await;
    }
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_skips_numbers_or_forks_without_end_stops_nobody() {
    let scene = Scene::set().await;
    let header = next(&scene, rename(&scene, "Mallory")).await;
    let keys = &scene.mallory.device;
    let mut puppet = scene.puppet().await;
    let skipping =
        (1..20).map(|skipped| Header { sequence: header.sequence + skipped, ..header.clone() });
    let forking = (0..FORKS_MAX as u64 + 20).map(|branch| {
        let timestamp = Timestamp::from_micros(header.timestamp.micros() + branch);
        Header { timestamp, order: timestamp.micros(), ..header.clone() }
    });
    for header in skipping.chain(forking) {
        let envelope = forge(&header, keys);
        puppet.send(Kind::Sync, &news(scene.control(), &[&envelope])).await;
        // A node that had to load itself anew would have ended this link.
        assert!(puppet.worked_off(scene.server).await, "number {}", header.sequence);
    }
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_that_are_repeated_are_let_go() {
    let scene = Scene::set().await;
    for channel in [scene.control(), scene.channel] {
        let (_, entries) = scene.log(channel).await;
        assert!(!entries.is_empty());
        let all: Vec<_> = entries.iter().map(|entry| entry.bytes.to_vec()).collect();
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        for envelopes in [&all, &backwards] {
            deliver(&scene, channel, envelopes).await;
        }
        let mut puppet = scene.puppet().await;
        for entry in &entries {
            puppet.send(Kind::Sync, &body(channel, entry.tip(), &entry.bytes)).await;
        }
        puppet.worked_off(scene.server).await;
        // What is said to belong to another channel belongs to none.
        deliver(&scene, ChannelId::new([9; 32]), &all).await;
    }
    scene.check_unharmed("repeated envelopes").await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_of_a_message_is_the_one_that_was_signed() {
    let scene = Scene::set().await;
    let mut spoilt_bodies = Vec::new();
    for channel in [scene.control(), scene.channel] {
        let (_, entries) = scene.log(channel).await;
        for entry in entries.iter().filter(|entry| entry.body_held) {
            let envelope = Envelope::decode(&entry.bytes).unwrap().verify().unwrap();
            let Some(body) = envelope.body() else { continue };
            let end = entry.bytes.len() - body.len();
            for spoilt in spoilt(body).into_iter().take(40) {
                spoilt_bodies.push([&entry.bytes[..end], &spoilt[..]].concat());
            }
        }
    }
    assert!(!spoilt_bodies.is_empty());
    for channel in [scene.control(), scene.channel] {
        deliver(&scene, channel, &spoilt_bodies).await;
    }
    scene.check_unharmed("spoilt bodies").await;
    scene.check_goes_on().await;
}

/// What a member signs who is not entitled to it, or what makes no sense, is kept and has no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_signed_without_the_right_to_it_has_no_effect() {
    for (payload_type, payload) in [
        (PayloadType::Authority, None),
        (PayloadType::Authority, Some(vec![0xff; 300])),
        (PayloadType::Root, Some(vec![0xff; 300])),
        (PayloadType::Commit, Some(vec![0xff; 300])),
        (PayloadType::Vote, Some(vec![0xff; 300])),
        (PayloadType::KeyPackage, Some(vec![0xff; 300])),
        (PayloadType::Structure, Some(vec![0xff; 300])),
        (PayloadType::Identity, Some(vec![])),
        (PayloadType::Newer(77), Some(vec![1, 2, 3])),
    ] {
        let scene = Scene::set().await;
        let kick = Operation::Kick { target: scene.alice.identity(), heard: Vec::new() };
        let mut header = next(&scene, kick).await;
        header.payload_type = payload_type;
        header.payload = payload.unwrap_or(header.payload);
        let body = (payload_type == PayloadType::Commit).then(|| vec![0xff; 500].into());
        let envelope = Verified::sign(header, body, &scene.mallory.device).unwrap();
        deliver(&scene, scene.control(), &[envelope.encode().to_vec()]).await;
        scene.check_goes_on().await;
        for node in [&scene.alice, &scene.bob] {
            assert_eq!(node.members(scene.server).await.unwrap().len(), 3, "{payload_type:?}");
            let channels = node.channels(scene.server).await.unwrap();
            assert_eq!(channels.len(), 1, "{payload_type:?}");
        }
    }
}
