use bytes::Bytes;

use super::{Kind, LinkError, Me, Output, Session, message::Assembly};
use crate::{
    base::{DeviceId, Secret, Timestamp, limits::ENVELOPE_LEN_MAX},
    state::identity::{DeviceCertificate, KeyPair},
};

fn me(n: u8) -> Me {
    let identity = KeyPair::from_secret(Secret::new([n; 32]));
    let device = KeyPair::from_secret(Secret::new([n + 100; 32]));
    let id = DeviceId::new(*device.public());
    let certificate = DeviceCertificate::issue(&identity, id, Timestamp::from_micros(7));
    Me { certificate, device }
}

fn sent(outputs: &[Output]) -> Vec<Bytes> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send(frame) => Some(frame.clone()),
        _ => None,
    });
    frames.collect()
}

/// Runs the handshake until the dialled side is asked; all frames so far.
fn until_asked() -> (Session, Session, Vec<Bytes>) {
    let meeting = Some(Secret::new([9; 32]));
    let (mut dialler, first) = Session::dial(&Secret::new([1; 32]), me(1), meeting).unwrap();
    let mut dialled = Session::accept(&Secret::new([2; 32])).unwrap();
    let second = sent(&dialled.read(&first).unwrap());
    let rest = sent(&dialler.read(&second[0]).unwrap());
    assert!(dialled.read(&rest[0]).unwrap().is_empty());
    let asked = dialled.read(&rest[1]).unwrap();
    assert!(matches!(&asked[..], [Output::Asks(who)] if *who == me(1).certificate));
    let frames = [vec![first], second, rest].concat();
    (dialler, dialled, frames)
}

fn established() -> (Session, Session) {
    let (mut dialler, mut dialled, _) = until_asked();
    let hello = dialled.accept_peer(&me(2)).unwrap();
    let outputs = dialler.read(&hello).unwrap();
    assert!(matches!(&outputs[..], [Output::Established(who)] if *who == me(2).certificate));
    (dialler, dialled)
}

#[test]
fn a_handshake_is_the_same_bytes_for_the_same_seeds() {
    let (_, mut dialled, mut frames) = until_asked();
    frames.push(dialled.accept_peer(&me(2)).unwrap());
    let lens: Vec<usize> = frames.iter().map(Bytes::len).collect();
    assert_eq!(lens[..3], [32, 96, 64]);
    let hash = blake3::hash(&frames.concat()).to_hex();
    assert_eq!(hash.as_str(), GOLDEN);
}

#[test]
fn an_invites_secret_is_proven_and_no_other() {
    let (_, dialled, _) = until_asked();
    assert!(dialled.knows(&Secret::new([9; 32])));
    assert!(!dialled.knows(&Secret::new([8; 32])));
}

#[test]
fn nothing_is_written_before_both_sides_proved_themselves() {
    let (mut dialler, mut dialled, _) = until_asked();
    for session in [&mut dialler, &mut dialled] {
        assert!(matches!(session.write(Kind::Sync, b"early"), Err(LinkError::NotEstablished)));
    }
}

#[test]
fn messages_of_any_length_arrive_whole_and_in_order() {
    let (mut dialler, mut dialled) = established();
    for len in [0, 1, 65_517, 65_518, 65_519, 131_100, ENVELOPE_LEN_MAX] {
        let message = vec![7; len];
        let frames = dialler.write(Kind::Sync, &message).unwrap();
        let mut outputs = Vec::new();
        for frame in frames {
            assert!(frame.len() <= super::FRAME_LEN_MAX);
            outputs.extend(dialled.read(&frame).unwrap());
        }
        let [Output::Message(Kind::Sync, bytes)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(bytes.len(), len);
    }
    let frames = dialled.write(Kind::Ephemeral, b"back").unwrap();
    assert!(matches!(&dialler.read(&frames[0]).unwrap()[..], [Output::Message(..)]));
}

#[test]
fn an_altered_cut_or_repeated_frame_ends_the_link() {
    for how in 0..3 {
        let (mut dialler, mut dialled) = established();
        let frame = dialler.write(Kind::Sync, b"hello").unwrap().remove(0);
        let bad = match how {
            0 => [&frame[..4], &[frame[4] ^ 1], &frame[5..]].concat(),
            1 => frame[..frame.len() - 1].to_vec(),
            _ => {
                dialled.read(&frame).unwrap();
                frame.to_vec()
            }
        };
        assert!(matches!(dialled.read(&bad), Err(LinkError::Noise(_))));
        assert!(matches!(dialled.read(&frame), Err(LinkError::NotEstablished)));
    }
}

#[test]
fn a_broken_handshake_is_an_error_wherever_it_breaks() {
    let (_, _, frames) = until_asked();
    for (at, whole) in [(0, &frames[0]), (2, &frames[2]), (3, &frames[3])] {
        for cut in 0..whole.len() {
            let mut dialled = Session::accept(&Secret::new([2; 32])).unwrap();
            for frame in frames.iter().take(at).step_by(2) {
                dialled.read(frame).unwrap();
            }
            assert!(dialled.read(&whole[..cut]).is_err(), "frame {at} cut at {cut}");
        }
    }
}

#[test]
fn a_message_above_its_kinds_limit_is_refused_while_it_comes() {
    let mut assembly = Assembly::default();
    let fragment = [&[1, 1], &vec![0; 60_000][..]].concat();
    assembly.push(&fragment).unwrap();
    let next = [&[1], &vec![0; 60_000][..]].concat();
    let refused = (0..6).find_map(|_| assembly.push(&next).err());
    assert!(matches!(refused, Some(LinkError::MessageTooLong)));
}

#[test]
fn a_fragment_of_no_known_kind_is_refused() {
    for fragment in [&[][..], &[0], &[0, 0], &[0, 13], &[2, 1, 5]] {
        let mut assembly = Assembly::default();
        assert!(matches!(assembly.push(fragment), Err(LinkError::Fragment)));
    }
}

const GOLDEN: &str = "d79f2bb45d5fd4d0f1767c58e6078e9e6fadaab6c8aa5f5cfc7d2d2059fec274";
