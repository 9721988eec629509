use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::world::{channel, device, entry};
use crate::{
    base::{Frontier, LogEntry, Timestamp, limits::PEER_BYTES_MAX},
    state::sync::{
        Action, Event, FRAME_LEN_LIMIT, FRAME_LEN_MAX, Fault, FrameError, FrontierSync,
        INBOX_BYTES_MAX, Start, SyncEngine, TIPS_PER_PEER_MAX, WINDOW_BYTES,
        frame::{ChannelDigest, Envelope, Frame, List, split},
    },
};

const NOW: Timestamp = Timestamp::from_micros(1);

fn engine() -> FrontierSync {
    let mut engine = FrontierSync::new();
    engine.handle(Event::Open { channel: channel(0), frontier: Frontier::new() }, NOW);
    connect(&mut engine);
    engine
}

fn connect(engine: &mut FrontierSync) {
    let (peer, channel, up_to) = (device(1), channel(0), None);
    engine.handle(Event::Connected { peer }, NOW);
    let from = Start::Beginning;
    engine.handle(Event::Share { peer, channel, control: true, from, up_to }, NOW);
    drain(engine);
}

fn drain(engine: &mut FrontierSync) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}

fn receive(engine: &mut FrontierSync, bytes: Bytes) {
    engine.handle(Event::Received { peer: device(1), bytes }, NOW);
}

fn frames() -> Vec<Frame> {
    let (channel, tip) = (channel(0), entry(device(3), 2, 0, 0).tip());
    let envelope = || Envelope(Bytes::from_static(b"envelope"));
    vec![
        Frame::Digests {
            digests: List(vec![ChannelDigest { channel, round: 1, digest: [7; 32] }]),
        },
        Frame::Frontier { channel, round: 1, tips: List(vec![tip]), more: false },
        Frame::Page { channel, envelopes: List(vec![envelope()]) },
        Frame::News { channel, tips: List(vec![tip]), envelopes: List(vec![envelope()]) },
        Frame::Ack { bytes: 300 },
        Frame::BodyRequest { channel, tip },
        Frame::Body { channel, tip, envelope: envelope() },
        Frame::NotHeld { channel, tip },
        Frame::Behind { channel, tips: List(vec![tip]) },
    ]
}

#[test]
fn every_frame_is_read_as_it_was_written() {
    for frame in frames() {
        assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
    }
}

#[test]
fn the_frames_are_pinned() {
    let hashes =
        frames().into_iter().map(|frame| blake3::hash(&frame.encode()).to_hex()[..16].into());
    let hashes: Vec<String> = hashes.collect();
    assert_eq!(hashes, PINNED);
    assert_eq!(hex::encode(Frame::Ack { bytes: 300 }.encode()), "8204a10019012c");
}

#[test]
fn a_frame_of_a_newer_kind_and_a_field_of_a_newer_version_are_passed_over() {
    assert_eq!(Frame::decode(&[0x82, 0x18, 40, 0xa0]), Ok(None));
    let newer = hex::decode("8204a20019012c0105").unwrap();
    assert_eq!(Frame::decode(&newer), Ok(Some(Frame::Ack { bytes: 300 })));
}

#[test]
fn a_frame_longer_than_any_may_be_is_refused_unread() {
    assert_eq!(Frame::decode(&vec![0; FRAME_LEN_LIMIT + 1]), Err(FrameError::TooLong));
}

#[test]
fn a_list_above_its_limit_is_refused() {
    let tips = vec![entry(device(3), 2, 0, 0).tip(); 601];
    let frame = Frame::Frontier { channel: channel(0), round: 1, tips: List(tips), more: true };
    assert!(Frame::decode(&frame.encode()).is_err());
    // A list that claims more items than there are bytes.
    assert!(Frame::decode(&hex::decode("8200a1009bffffffffffffffff").unwrap()).is_err());
}

#[test]
fn broken_frames_never_panic_and_break_the_link_at_most() {
    for seed in 0..300 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut engine = engine();
        for _ in 0..200 {
            let frames = frames();
            let frame = &frames[rng.next_u32() as usize % frames.len()];
            let mut bytes = frame.encode().to_vec();
            for _ in 0..rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % bytes.len();
                match rng.next_u32() % 3 {
                    0 => bytes[at] ^= 1 << (rng.next_u32() % 8),
                    1 => bytes[at] = rng.next_u32().to_be_bytes()[0],
                    _ => bytes.truncate(at.max(1)),
                }
            }
            receive(&mut engine, Bytes::from(bytes));
            let actions = drain(&mut engine);
            assert!(actions.len() < 20, "seed {seed}");
            if actions.iter().any(|action| matches!(action, Action::Fault { .. })) {
                connect(&mut engine);
            }
        }
    }
}

/// Frames that show tips, of which `more` follow.
fn shown(more: bool, frames: u64) -> Vec<Bytes> {
    let frame = |number: u64| {
        let tips = (1..=600).map(|tip| entry(device(3), number * 600 + tip, 0, 0).tip());
        let (channel, tips, more) = (channel(0), List(tips.collect()), more || number + 1 < frames);
        Frame::Frontier { channel, round: 1, tips, more }.encode()
    };
    (0..frames).map(frame).collect()
}

#[test]
fn a_peer_that_shows_tips_without_end_is_dropped() {
    let mut engine = engine();
    let frames = shown(true, 1_000);
    let mut faults = frames.into_iter().filter_map(|frame| {
        receive(&mut engine, frame);
        match drain(&mut engine).pop() {
            Some(Action::Fault { why, .. }) => Some(why),
            _ => None,
        }
    });
    assert_eq!(faults.next(), Some(Fault::TooManyTips));
}

#[test]
fn the_store_is_asked_for_old_tips_in_portions() {
    let mut engine = FrontierSync::new();
    let frontier = [entry(device(3), 2_000, 0, 0).tip()].into_iter().collect();
    engine.handle(Event::Open { channel: channel(0), frontier }, NOW);
    connect(&mut engine);
    let tips = (1..=600).map(|number| entry(device(3), number, 1, 1).tip());
    let (channel, tips, envelopes) = (channel(0), List(tips.collect()), List(Vec::new()));
    receive(&mut engine, Frame::News { channel, tips, envelopes }.encode());
    let portions: Vec<usize> = drain(&mut engine)
        .iter()
        .filter_map(|action| match action {
            Action::Probe { tips, .. } => Some(tips.len()),
            _ => None,
        })
        .collect();
    assert_eq!((portions.iter().sum(), portions.iter().max()), (600, Some(&32)));
}

#[test]
fn what_a_peer_shows_is_bounded_in_bytes() {
    let frames = TIPS_PER_PEER_MAX as u64 / 600;
    for more in [true, false] {
        let (mut engine, shown) = (engine(), shown(more, frames));
        let info = allocation_counter::measure(|| {
            for frame in &shown {
                receive(&mut engine, frame.clone());
                assert!(!drain(&mut engine).iter().any(|a| matches!(a, Action::Fault { .. })));
            }
        });
        assert!(info.bytes_max < 2 * PEER_BYTES_MAX as u64, "{} bytes", info.bytes_max);
    }
}

#[test]
fn a_peer_that_sends_beyond_its_window_is_dropped() {
    let mut engine = engine();
    let envelopes = List(vec![Envelope(Bytes::from(vec![0; 50_000]))]);
    let page = Frame::Page { channel: channel(0), envelopes }.encode();
    for _ in 0..=INBOX_BYTES_MAX / 50_000 {
        receive(&mut engine, page.clone());
    }
    let faults = drain(&mut engine).into_iter().filter(|a| matches!(a, Action::Fault { .. }));
    assert_eq!(faults.count(), 1);
}

#[test]
fn a_slow_reader_is_sent_no_more_than_its_window_and_later_the_rest() {
    let mut engine = engine();
    receive(&mut engine, empty_digest());
    drain(&mut engine);
    let big =
        |number| LogEntry { bytes: Bytes::from(vec![0; 20_000]), ..entry(device(0), number, 0, 0) };
    let mut actions = Vec::new();
    for number in 1..=200 {
        engine.handle(
            Event::Advanced { channel: channel(0), entry: big(number), after_gap: false },
            NOW,
        );
        actions.extend(drain(&mut engine));
    }
    let sent: usize = actions
        .iter()
        .map(|a| if let Action::Send { bytes, .. } = a { bytes.len() } else { 0 })
        .sum();
    assert!((WINDOW_BYTES / 2..WINDOW_BYTES * 5 / 4).contains(&sent), "{sent} bytes");
    receive(&mut engine, Frame::Ack { bytes: sent as u64 }.encode());
    actions.extend(drain(&mut engine));
    let goes_on = actions.iter().find_map(|action| match action {
        Action::Load { have, .. } => Some(have.number(&device(0))),
        _ => None,
    });
    assert!((40..=60).contains(&goes_on.unwrap()), "goes on from {goes_on:?}");
}

/// The digest of a peer that holds nothing.
fn empty_digest() -> Bytes {
    let mut other = FrontierSync::new();
    other.handle(Event::Open { channel: channel(0), frontier: Frontier::new() }, NOW);
    other.handle(Event::Connected { peer: device(0) }, NOW);
    let (peer, channel, up_to) = (device(0), channel(0), None);
    let from = Start::Beginning;
    other.handle(Event::Share { peer, channel, control: true, from, up_to }, NOW);
    let Some(Action::Send { bytes, .. }) = other.poll() else { panic!("a digest is due") };
    bytes
}

#[test]
fn frames_are_full_but_not_above_their_length() {
    let envelopes: Vec<_> = (0..100).map(|n| Bytes::from(vec![0; 3_000 + n])).collect();
    let frames = split(envelopes, 600);
    assert_eq!(frames.iter().map(Vec::len).sum::<usize>(), 100);
    let whole = |envelopes| Frame::Page { channel: channel(0), envelopes: List(envelopes) };
    assert!(frames.into_iter().all(|f| whole(f).encode().len() <= FRAME_LEN_MAX));
    let great = split(vec![Bytes::from(vec![0; 200_000]), Bytes::from(vec![0; 10])], 0);
    assert_eq!(great.len(), 2);
}

const PINNED: [&str; 9] = [
    "882c23e6986f4b85",
    "b93633f5b1fb9e4b",
    "1d03d5b7bb050c9d",
    "5e59b1e671fdcba8",
    "cef8c1286118ea4f",
    "2ac28c8e02155597",
    "1a773bea515921c2",
    "74f7d938d9b71f95",
    "320b0e8a7b1a4879",
];
