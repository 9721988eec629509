#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, Secret, Timestamp, Tip,
        cbor::CborError,
        limits::{
            BODY_LEN_MAX, ENVELOPE_LEN_MAX, PAYLOAD_LEN_MAX, WAITING_BYTES_MAX,
            WAITING_PER_AUTHOR_MAX, WAITING_PER_SERVER_MAX,
        },
    },
    state::identity::KeyPair,
};

#[test]
fn the_bytes_of_version_one_are_pinned() {
    let envelope = Verified::sign(header(3), Some(Bytes::from_static(b"body")), &keys()).unwrap();
    assert_eq!(
        (envelope.id().to_string(), blake3::hash(&envelope.encode()).to_string()),
        (
            "d493072f9a6b93df210ffb08e42732865c99eea488aff8532fe7423309e77e86".to_owned(),
            "c39f12b7b122477988bf73b4c6fef98380b331aa0dcc86faf221c6ef336c27da".to_owned(),
        )
    );
}

#[test]
fn an_envelope_survives_its_bytes_with_and_without_its_body() {
    let whole = Verified::sign(header(3), Some(Bytes::from_static(b"body")), &keys()).unwrap();
    assert_eq!(Envelope::decode(&whole.encode()).unwrap().verify().unwrap(), whole);

    let mut bare = minicbor::Encoder::new(Vec::new());
    let bytes = whole.encode();
    let mut d = minicbor::Decoder::new(&bytes);
    d.array().unwrap();
    let (head, signature) = (d.bytes().unwrap(), d.bytes().unwrap());
    bare.array(3).unwrap().bytes(head).unwrap().bytes(signature).unwrap().null().unwrap();
    let bare = Envelope::decode(&bare.into_writer().into()).unwrap().verify().unwrap();
    assert_eq!((bare.id(), bare.body()), (whole.id(), None));
    assert_eq!(bare.clone().with_body(Bytes::from_static(b"body")).unwrap(), whole);
    assert_eq!(bare.with_body(Bytes::from_static(b"bodY")), Err(EnvelopeError::Body));
}

#[test]
fn no_altered_or_truncated_envelope_passes() {
    let envelope = Verified::sign(header(3), Some(Bytes::from_static(b"body")), &keys()).unwrap();
    let bytes = envelope.encode();
    for at in 0..bytes.len() {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        assert!(
            Envelope::decode(&altered.into()).and_then(Envelope::verify).is_err(),
            "byte {at} altered"
        );
        assert!(Envelope::decode(&bytes.slice(..at)).is_err(), "cut at {at}");
    }
}

#[test]
fn somebody_elses_key_signs_nothing() {
    let mallory = KeyPair::from_secret(Secret::new([9; 32]));
    assert_eq!(Verified::sign(header(1), None, &mallory), Err(EnvelopeError::Signature));
}

#[test]
fn a_header_that_contradicts_itself_or_a_limit_is_refused() {
    let refuse = |change: fn(&mut Header)| {
        let mut wrong = header(3);
        change(&mut wrong);
        assert_eq!(Verified::sign(wrong, None, &keys()), Err(EnvelopeError::Header));
    };
    refuse(|h| h.sequence = 0);
    refuse(|h| h.sequence = 1);
    refuse(|h| h.previous = None);
    refuse(|h| h.parents.reverse());
    refuse(|h| h.parents.push(*h.parents.last().unwrap()));
    refuse(|h| h.parents = vec![tip(1, 1, h.previous.unwrap().as_bytes()[0])]);
    refuse(|h| h.parents = (0..65).map(|n| tip(1, 1, n)).collect());
    refuse(|h| h.control = Some(Vec::new()));
    refuse(|h| h.timestamp = Timestamp::YEAR_2100);
    refuse(|h| h.order = h.timestamp.micros() - 1);
    refuse(|h| h.payload = vec![0; PAYLOAD_LEN_MAX + 1]);

    let mut newer = header(3);
    newer.version = 2;
    assert_eq!(Verified::sign(newer, None, &keys()), Err(EnvelopeError::Version(2)));
    let body = Some(Bytes::from(vec![0; BODY_LEN_MAX + 1]));
    assert_eq!(Verified::sign(header(3), body, &keys()), Err(EnvelopeError::Header));
}

#[test]
fn what_is_larger_than_any_envelope_is_refused_before_it_is_read() {
    let bytes = Bytes::from(vec![0xff; ENVELOPE_LEN_MAX + 1]);
    assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::TooLarge));
}

#[test]
fn a_field_of_a_newer_version_is_refused_as_such() {
    #[derive(minicbor::Encode)]
    #[cbor(map)]
    struct Newer {
        #[n(0)]
        version: u8,
        #[n(12)]
        news: u8,
    }
    let header_bytes = minicbor::to_vec(Newer { version: 1, news: 1 }).unwrap();
    let mut e = minicbor::Encoder::new(Vec::new());
    e.array(3).unwrap().bytes(&header_bytes).unwrap().bytes(&[0; 64]).unwrap().null().unwrap();
    let refused = Envelope::decode(&e.into_writer().into());
    assert_eq!(refused, Err(EnvelopeError::Malformed(CborError::Shape)));
}

#[test]
fn order_follows_causality_and_a_clock_follows_others_for_ten_minutes_only() {
    let at = Timestamp::from_micros;
    assert_eq!(order_after(at(5), []), 5);
    assert_eq!(order_after(at(5), [3, 9, 4]), 10);
    assert_eq!(stamp(at(5), at(2), at(3)), at(5));
    assert_eq!(stamp(at(5), at(7), at(3)), at(8));
    assert_eq!(stamp(at(5), at(2), at(7)), at(7));
    let ten_minutes = 600_000_000;
    assert_eq!(stamp(at(5), at(2), at(u64::MAX)), at(5 + ten_minutes));
}

#[test]
fn what_waits_is_released_by_what_it_waits_for_and_is_bounded_per_author() {
    let mut waiting = Waiting::new();
    let missing = EnvelopeId::new([77; 32]);
    for n in 0..WAITING_PER_AUTHOR_MAX as u64 {
        let envelope = Verified::sign(header(n + 2), None, &keys()).unwrap();
        waiting.park(envelope, missing).unwrap();
    }
    let one_more = Verified::sign(header(9_999), None, &keys()).unwrap();
    assert_eq!(waiting.park(one_more.clone(), missing), Err(Full));
    assert_eq!(waiting.release(&EnvelopeId::new([1; 32])), []);
    assert_eq!(waiting.release(&missing).len(), WAITING_PER_AUTHOR_MAX);
    assert!(waiting.is_empty());
    assert_eq!(waiting.park(one_more, missing), Ok(()));
}

/// An envelope of the author `number`, its `sequence`th, with a body of so many bytes.
fn of(number: u64, sequence: u64, body: usize) -> Verified {
    let mut secret = [3; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    let keys = KeyPair::from_secret(Secret::new(secret));
    let header = Header { sender: DeviceId::new(*keys.public()), ..header(sequence) };
    let body = (body > 0).then(|| vec![7; body].into());
    Verified::sign(header, body, &keys).unwrap()
}

#[test]
fn of_more_than_a_server_lets_wait_the_oldest_are_let_go() {
    let mut waiting = Waiting::new();
    let authors = WAITING_PER_SERVER_MAX / WAITING_PER_AUTHOR_MAX;
    for author in 0..authors as u64 {
        for sequence in 1..=WAITING_PER_AUTHOR_MAX as u64 {
            waiting.park(of(author, sequence, 0), id(5)).unwrap();
        }
    }
    assert_eq!(waiting.len(), WAITING_PER_SERVER_MAX);
    let late = of(99, 1, 0);
    waiting.park(late.clone(), id(6)).unwrap();
    assert_eq!(waiting.len(), WAITING_PER_SERVER_MAX);
    assert_eq!(waiting.release(&id(6)), [late]);
    let left = waiting.release(&id(5));
    assert_eq!(left.len(), WAITING_PER_SERVER_MAX - 1);
    assert!(!left.contains(&of(0, 1, 0)), "the first is gone");
    assert!(waiting.is_empty());
}

#[test]
fn what_waits_to_be_named_is_found_with_whatever_waits_for_it_in_the_end() {
    let mut waiting = Waiting::new();
    let (unnamed, after, other) = (of(1, 1, 0), of(1, 2, 0), of(2, 1, 0));
    waiting.park_unnamed(unnamed.clone()).unwrap();
    waiting.park(other.clone(), after.id()).unwrap();
    assert!(!waiting.waits_for(&unnamed.id()), "nobody is to be asked for it");
    assert!(waiting.after(&unnamed.id()).is_empty());
    waiting.park(after.clone(), unnamed.id()).unwrap();
    assert_eq!(waiting.after(&unnamed.id()), [&after, &other]);
    assert_eq!(waiting.unnamed().collect::<Vec<_>>(), [&unnamed]);
    assert_eq!(waiting.waited_for(&other.id()), unnamed.id());
    assert_eq!(waiting.waited_for(&id(9)), id(9));
    assert_eq!(waiting.take_unnamed(&after.id()), None);
    assert_eq!(waiting.take_unnamed(&unnamed.id()), Some(unnamed.clone()));
    assert_eq!(waiting.unnamed().count(), 0);
    assert_eq!(waiting.after(&unnamed.id()), [&after, &other], "which still wait for it");
    assert_eq!(waiting.release(&unnamed.id()), [after]);
}

#[test]
fn what_waits_has_so_many_bytes_at_most() {
    let mut waiting = Waiting::new();
    for number in 0..2 * (WAITING_BYTES_MAX / BODY_LEN_MAX) as u64 {
        waiting.park(of(number, 1, BODY_LEN_MAX), id(5)).unwrap();
    }
    let held: usize = waiting.drain().iter().map(|envelope| envelope.encode().len()).sum();
    assert!(held <= WAITING_BYTES_MAX && held > WAITING_BYTES_MAX - ENVELOPE_LEN_MAX, "{held}");
}

#[test]
fn a_log_that_forks_is_two_chains_and_both_count() {
    let mut dag = Dag::new();
    let root = dag.insert(tip(1, 1, 1), None, []).unwrap();
    let left = dag.insert(tip(1, 2, 2), Some(id(1)), []).unwrap();
    let right = dag.insert(tip(1, 2, 3), Some(id(1)), []).unwrap();
    let join = dag.insert(tip(2, 1, 4), None, [id(2), id(3)]).unwrap();
    assert!(dag.are_concurrent(left, right));
    assert!([root, left, right].iter().all(|earlier| dag.is_before(*earlier, join)));
    assert_eq!(dag.insert(tip(3, 2, 6), Some(id(5)), []), Err(id(5)));
    assert_eq!(dag.heads(), [tip(2, 1, 4)]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::decode(&bytes.into());
    }

    /// Compared with a walk over what each names.
    #[test]
    fn the_past_is_the_closure_of_what_is_named(
        shape in proptest::collection::vec((0u8..4, any::<u8>(), any::<u8>(), any::<bool>()), 1..60)
    ) {
        let mut dag = Dag::new();
        let mut pasts: Vec<std::collections::BTreeSet<usize>> = Vec::new();
        let mut logs: Vec<Vec<usize>> = vec![Vec::new(); 4];
        for (at, (device, one, other, forks)) in shape.into_iter().enumerate() {
            let log = &logs[device as usize];
            let back = usize::from(forks && log.len() > 1);
            let previous = log.len().checked_sub(1 + back).map(|place| log[place]);
            let number = previous.map_or(1, |p| dag.tip(dag.index(&id(p as u8)).unwrap()).number + 1);
            let named: Vec<_> = [one, other].into_iter()
                .filter(|_| at > 0).map(|n| n as usize % at.max(1)).collect();
            let mut past: std::collections::BTreeSet<_> =
                named.iter().copied().chain(previous).collect();
            for parent in past.clone() {
                past.extend(&pasts[parent]);
            }
            dag.insert(
                tip(device, number, at as u8),
                previous.map(|p| id(p as u8)),
                named.iter().map(|n| id(*n as u8)),
            ).unwrap();
            pasts.push(past);
            logs[device as usize].push(at);
        }
        let index = |n: usize| dag.index(&id(n as u8)).unwrap();
        for (later, past) in pasts.iter().enumerate() {
            for earlier in 0..pasts.len() {
                prop_assert_eq!(dag.is_before(index(earlier), index(later)), past.contains(&earlier));
            }
        }
    }
}

fn keys() -> KeyPair {
    KeyPair::from_secret(Secret::new([1; 32]))
}

fn id(byte: u8) -> EnvelopeId {
    EnvelopeId::new([byte; 32])
}

fn tip(device: u8, number: u64, envelope: u8) -> Tip {
    Tip { device: DeviceId::new([device; 32]), number, id: id(envelope) }
}

fn header(sequence: u64) -> Header {
    Header {
        version: VERSION,
        channel: ChannelId::new([4; 32]),
        sender: DeviceId::new(*keys().public()),
        sequence,
        previous: (sequence > 1).then(|| id(5)),
        parents: vec![tip(6, 1, 7), tip(8, 2, 9)],
        control: Some(vec![tip(6, 3, 10)]),
        timestamp: Timestamp::from_micros(1_000),
        order: 2_000,
        payload_type: PayloadType::Message,
        payload: vec![1, 2, 3],
        body: None,
    }
}
