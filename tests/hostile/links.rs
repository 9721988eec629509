//! What is no link, or one with somebody whom nobody asked.

use bytes::Bytes;
use spacepanda::{JoinLink, base::Secret};
use spacepanda_core::state::link::{Kind, Me, Output, Session};

use crate::{
    bytes::{altered, cut, garbage},
    puppet::{Raw, stranger},
    scene::Scene,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_the_link_and_nothing_else() {
    let scene = Scene::set().await;
    for frame in garbage() {
        let raw = Raw::dial(&scene.network, "alice").await;
        raw.send(frame.clone()).await;
        // 32 bytes and more may be the first message of a handshake, whose answer is of no use.
        raw.send(frame).await;
        while raw.next().await.is_some() {}
    }
    scene.check_unharmed("garbage").await;
    scene.check_goes_on().await;
}

/// Shakes hands with the frame at `step` replaced by `frames`; whether the node proved itself.
async fn shake(scene: &Scene, me: &Me, step: usize, frames: impl Fn(&Bytes) -> Vec<Bytes>) -> bool {
    let raw = Raw::dial(&scene.network, "alice").await;
    let (mut session, first) = Session::dial(&Secret::new([9; 32]), me.clone(), None).unwrap();
    let mut to_send = vec![first];
    let mut sent = 0;
    loop {
        for frame in to_send.drain(..) {
            let frames = if sent == step { frames(&frame) } else { vec![frame] };
            for frame in frames {
                raw.send(frame).await;
            }
            sent += 1;
        }
        let Some(frame) = raw.next().await else { return false };
        // An answer to an altered first message is one that this side cannot read.
        let Ok(outputs) = session.read(&frame) else { return false };
        for output in outputs {
            match output {
                Output::Send(frame) => to_send.push(frame),
                Output::Established(_) => return true,
                Output::Asks(_) | Output::Message(..) => panic!("not to a dialler"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_cut_altered_or_repeated_proves_nothing() {
    let scene = Scene::set().await;
    let me = &scene.mallory;
    assert!(shake(&scene, me, usize::MAX, |_| Vec::new()).await, "unaltered it succeeds");
    // The frames of a dialler: its key, its answer, its proof; of 32, 64 and about 300 bytes.
    for (step, len) in [32, 64, 300].into_iter().enumerate() {
        for turn in 0..len / 13 {
            for spoil in [cut, altered] {
                let spoilt = |frame: &Bytes| {
                    spoil(frame)
                        .get(turn)
                        .map(|frame| vec![frame.clone().into()])
                        .unwrap_or_default()
                };
                let in_range = std::cell::Cell::new(false);
                let proven = shake(&scene, me, step, |frame| {
                    let frames = spoilt(frame);
                    in_range.set(!frames.is_empty());
                    if frames.is_empty() { vec![Bytes::new()] } else { frames }
                })
                .await;
                assert!(!proven, "step {step}, turn {turn}, in range: {}", in_range.get());
            }
        }
        let long = |frame: &Bytes| vec![[&frame[..], &[0; 65_000]].concat().into()];
        // What follows the first message's key is its payload, which the handshake covers.
        assert!(!shake(&scene, me, step, long).await, "step {step}, oversized");
    }
    for step in [0, 1] {
        let twice = |frame: &Bytes| vec![frame.clone(), frame.clone()];
        assert!(!shake(&scene, me, step, twice).await, "step {step}, repeated");
    }
    scene.check_unharmed("spoilt handshakes").await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_without_an_invite_is_left_without_a_word() {
    let scene = Scene::set().await;
    let link = JoinLink::decode(&scene.link).unwrap();
    assert!(scene.puppet_as(stranger(), None).await.is_none());
    assert!(scene.puppet_as(stranger(), Some(Secret::new([1; 32]))).await.is_none());
    // With a member's certificate and a key of one's own; with a member's key and another's.
    let (member, other) = (scene.mallory.clone(), stranger());
    let borrowed = Me { certificate: member.certificate.clone(), device: other.device.clone() };
    assert!(scene.puppet_as(borrowed, None).await.is_none());
    let crossed = Me { certificate: other.certificate, device: member.device };
    assert!(scene.puppet_as(crossed, Some(link.meeting_secret.clone())).await.is_none());
    assert!(scene.puppet_as(stranger(), Some(link.meeting_secret)).await.is_some());
    scene.check_unharmed("strangers").await;
    scene.check_goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_cut_altered_or_repeated_ends_the_link() {
    let scene = Scene::set().await;
    let message = [0x55; 90];
    let len = scene.puppet().await.seal(Kind::Ephemeral, &message)[0].len();
    for turn in 0..len.div_ceil(13) {
        for spoil in [cut, altered] {
            let mut puppet = scene.puppet().await;
            let frame = puppet.seal(Kind::Ephemeral, &message).remove(0);
            puppet.send_raw(spoil(&frame)[turn].clone()).await;
            assert!(!puppet.worked_off(scene.server).await, "turn {turn}");
        }
    }
    let mut puppet = scene.puppet().await;
    let frame = puppet.seal(Kind::Ephemeral, &message).remove(0);
    puppet.send_raw(frame.clone()).await;
    assert!(puppet.worked_off(scene.server).await, "unaltered it is taken");
    puppet.send_raw(frame).await;
    assert!(!puppet.worked_off(scene.server).await, "repeated it is not");
    let mut puppet = scene.puppet().await;
    let first = puppet.seal(Kind::Ephemeral, &message).remove(0);
    let second = puppet.seal(Kind::Ephemeral, &message).remove(0);
    puppet.send_raw(second).await;
    puppet.send_raw(first).await;
    assert!(!puppet.worked_off(scene.server).await, "out of order");
    scene.check_unharmed("spoilt frames").await;
    scene.check_goes_on().await;
}
