//! A member's device that sends what no frame is, and frames that lie.

use minicbor::Encoder;
use spacepanda::{
    ChannelId,
    base::{DeviceId, EnvelopeId, Tip},
};
use spacepanda_core::state::link::Kind;

use crate::{
    bytes::{garbage, spoilt},
    puppet::Puppet,
    scene::Scene,
};

/// Writes a field.
type Field<'a> = &'a dyn Fn(&mut Encoder<Vec<u8>>);

/// A sync frame of a kind, with its fields in order.
pub(crate) fn sync_frame(kind: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    e.array(2).unwrap().u8(kind).unwrap().map(fields.len() as u64).unwrap();
    for (key, field) in fields.iter().enumerate() {
        e.u8(u8::try_from(key).unwrap()).unwrap();
        field(&mut e);
    }
    e.into_writer()
}

/// Envelopes pushed in a channel.
pub(crate) fn news(channel: ChannelId, envelopes: &[&[u8]]) -> Vec<u8> {
    sync_frame(3, &[&|e| put(e, channel.as_bytes()), &|e| tips(e, &[]), &|e| list(e, envelopes)])
}

/// A page of envelopes.
pub(crate) fn page(channel: ChannelId, envelopes: &[&[u8]]) -> Vec<u8> {
    sync_frame(2, &[&|e| put(e, channel.as_bytes()), &|e| list(e, envelopes)])
}

/// A body nobody asked for.
pub(crate) fn body(channel: ChannelId, tip: Tip, envelope: &[u8]) -> Vec<u8> {
    let tip = move |e: &mut Encoder<Vec<u8>>| {
        e.encode(tip).unwrap();
    };
    sync_frame(6, &[&|e| put(e, channel.as_bytes()), &tip, &|e| put(e, envelope)])
}

fn frontier(channel: ChannelId, round: u64, shown: &[Tip], more: bool) -> Vec<u8> {
    sync_frame(
        1,
        &[
            &|e| put(e, channel.as_bytes()),
            &|e| {
                let _ = e.u64(round).unwrap();
            },
            &|e| tips(e, shown),
            &|e| {
                let _ = e.bool(more).unwrap();
            },
        ],
    )
}

fn digests(channel: ChannelId, round: u64, times: u64) -> Vec<u8> {
    sync_frame(
        0,
        &[&|e| {
            e.array(times).unwrap();
            for _ in 0..times {
                e.array(3).unwrap().bytes(channel.as_bytes()).unwrap().u64(round).unwrap();
                e.bytes(&[3; 32]).unwrap();
            }
        }],
    )
}

fn behind(channel: ChannelId, held: &[Tip]) -> Vec<u8> {
    sync_frame(8, &[&|e| put(e, channel.as_bytes()), &|e| tips(e, held)])
}

fn about(kind: u8, channel: ChannelId, tip: Tip) -> Vec<u8> {
    sync_frame(
        kind,
        &[&|e| put(e, channel.as_bytes()), &|e| {
            let _ = e.encode(tip).unwrap();
        }],
    )
}

fn ack(bytes: u64) -> Vec<u8> {
    sync_frame(
        4,
        &[&|e| {
            let _ = e.u64(bytes).unwrap();
        }],
    )
}

fn put(e: &mut Encoder<Vec<u8>>, bytes: &[u8]) {
    e.bytes(bytes).unwrap();
}

fn list(e: &mut Encoder<Vec<u8>>, items: &[&[u8]]) {
    e.array(items.len() as u64).unwrap();
    for item in items {
        e.bytes(item).unwrap();
    }
}

fn tips(e: &mut Encoder<Vec<u8>>, tips: &[Tip]) {
    e.encode(tips).unwrap();
}

/// Sends each message on a link of Mallory's, on another one whenever the node has ended it.
async fn send_all(scene: &Scene, kind: Kind, all: Vec<Vec<u8>>) {
    let mut puppet: Option<Puppet> = None;
    for message in all {
        let mut talks = match puppet.take() {
            Some(puppet) => puppet,
            None => scene.puppet().await,
        };
        talks.send(kind, &message).await;
        if talks.worked_off(scene.server).await {
            puppet = Some(talks);
        }
    }
}

const KINDS: [Kind; 11] = [
    Kind::Sync,
    Kind::Push,
    Kind::BodyRequest,
    Kind::TreeRequest,
    Kind::HandOver,
    Kind::AddressRecords,
    Kind::JoinRequest,
    Kind::JoinReply,
    Kind::Ephemeral,
    Kind::Signals,
    Kind::AttachmentChunk,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_of_every_kind_changes_nothing() {
    let scene = Scene::set().await;
    for kind in KINDS {
        send_all(&scene, kind, garbage()).await;
    }
    scene.check_unharmed("garbage of every kind").await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_frames_that_are_malformed_or_lie_change_nothing() {
    let scene = Scene::set().await;
    let (control, unknown) = (scene.control(), ChannelId::new([9; 32]));
    let (held, entries) = scene.log(control).await;
    let real: Vec<Tip> = held.tips().collect();
    let never = |number| Tip {
        device: DeviceId::new(*scene.mallory.device.public()),
        number,
        id: EnvelopeId::new([5; 32]),
    };
    let entry = &entries[0];
    let sound = [
        digests(control, 1, 1),
        frontier(control, 1, &real, false),
        page(control, &[&entry.bytes]),
        news(control, &[&entry.bytes]),
        ack(1),
        about(5, control, entry.tip()),
        body(control, entry.tip(), &entry.bytes),
        about(7, control, entry.tip()),
        behind(control, &real),
    ];
    let mut lies: Vec<Vec<u8>> = sound.iter().flat_map(|frame| spoilt(frame)).collect();
    for channel in [control, scene.channel, unknown] {
        lies.extend([
            digests(channel, u64::MAX, 1),
            digests(channel, 0, 500),
            digests(channel, 1, 501),
            frontier(channel, 0, &[], false),
            frontier(channel, u64::MAX, &[never(u64::MAX)], true),
            frontier(channel, 1, &[never(1), never(1), never(7)], false),
            page(channel, &[]),
            page(channel, &[b"", b"\xff", &[0; 1_000]]),
            news(channel, &[b"", b"\xff", &[0; 1_000]]),
            about(5, channel, never(0)),
            about(5, channel, never(u64::MAX)),
            about(7, channel, never(1)),
            behind(channel, &[]),
            behind(channel, &[never(1), never(u64::MAX)]),
            body(channel, never(1), &entry.bytes),
            body(channel, entry.tip(), b""),
        ]);
    }
    lies.extend([ack(0), ack(u64::MAX), sync_frame(200, &[])]);
    // Lists that say to have four thousand million items, in frames and in the middle of them.
    for kind in 0..9 {
        let endless = |e: &mut Encoder<Vec<u8>>| {
            let _ = e.array(u64::from(u32::MAX)).unwrap();
        };
        let long = |e: &mut Encoder<Vec<u8>>| {
            e.writer_mut().extend([0x5a, 0xff, 0xff, 0xff, 0xff]);
        };
        let channel = |e: &mut Encoder<Vec<u8>>| put(e, control.as_bytes());
        lies.extend([
            sync_frame(kind, &[&endless]),
            sync_frame(kind, &[&channel, &endless]),
            sync_frame(kind, &[&channel, &long]),
            vec![0x82, kind, 0xba, 0xff, 0xff, 0xff, 0xff],
        ]);
    }
    send_all(&scene, Kind::Sync, lies).await;
    scene.check_unharmed("sync frames").await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_addresses_and_answers_that_nobody_asked_for_change_nothing() {
    let scene = Scene::set().await;
    let status = scene.alice.server_status(scene.server).await.unwrap();
    let mut trees = Vec::new();
    for state in [*status.head.unwrap().as_bytes(), [4; 32]] {
        for tree in [&b""[..], &[0; 64], &[0xff; 5_000]] {
            let mut e = Encoder::new(Vec::new());
            e.map(3).unwrap().u8(0).unwrap().bytes(scene.server.as_bytes()).unwrap();
            e.u8(1).unwrap().bytes(&state).unwrap().u8(2).unwrap().bytes(tree).unwrap();
            trees.push(e.into_writer());
        }
    }
    let more: Vec<_> = trees.iter().take(2).flat_map(|tree| spoilt(tree)).collect();
    send_all(&scene, Kind::Tree, [trees, more].concat()).await;

    // Where Bob is to be found, as Mallory would have it, and a great many records.
    let record = |count: u64, said: u64| {
        let mut e = Encoder::new(Vec::new());
        e.map(1).unwrap().u8(0).unwrap().array(said).unwrap();
        for number in 0..count {
            e.map(4).unwrap().u8(0).unwrap().bytes(scene.bob.device().as_bytes()).unwrap();
            e.u8(1).unwrap().u64(u64::MAX - number).unwrap();
            e.u8(2).unwrap().array(1).unwrap().str("memory://mallory").unwrap();
            e.u8(3).unwrap().bytes(&[8; 64]).unwrap();
        }
        e.into_writer()
    };
    let records = vec![record(1, 1), record(500, 500), record(1, u64::from(u32::MAX))];
    let more = spoilt(&records[0]);
    send_all(&scene, Kind::AddressRecords, [records, more].concat()).await;

    // Let in, refused, or refused for a reason that there is not.
    let reply = |refused: Option<u8>| {
        let mut e = Encoder::new(Vec::new());
        e.map(1 + u64::from(refused.is_some())).unwrap();
        e.u8(0).unwrap().bytes(scene.server.as_bytes()).unwrap();
        if let Some(refused) = refused {
            e.u8(1).unwrap().u8(refused).unwrap();
        }
        e.into_writer()
    };
    let replies = vec![reply(None), reply(Some(1)), reply(Some(5)), reply(Some(200))];
    send_all(&scene, Kind::JoinReply, replies).await;
    scene.check_unharmed("what nobody asked for").await;
    scene.check_goes_on().await;
}
