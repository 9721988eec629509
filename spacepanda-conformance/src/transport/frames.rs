use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{FutureExt, future};
use spacepanda_core::{base::ErrorKind, transport::TransportEvent};

use super::{
    Factory,
    help::{Pair, number_of, numbered, within},
};

const FRAMES: u32 = 500;
const TASKS: u32 = 8;

pub(super) async fn frames_of_every_size_arrive_unchanged_both_ways(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let max = a.transport.frame_len_max();
    assert_eq!(max, b.transport.frame_len_max(), "transports of one kind take equal frames");
    for len in [0, 1, 2, 1_200, max - 1, max, 0] {
        let frame: Bytes =
            (0..len).map(|at| u8::try_from(at % 251).expect("a byte")).collect::<Vec<u8>>().into();
        a.send(at_a, frame.clone()).await;
        assert!(b.frame(at_b).await == frame, "{len} bytes arrived changed");
        b.send(at_b, frame.clone()).await;
        assert!(a.frame(at_a).await == frame, "{len} bytes arrived changed");
    }
}

pub(super) async fn frames_arrive_in_order(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let len = |number: u32| 4 + usize::try_from(number * 7 % 1_500).expect("a length");
    let sending = async {
        for number in 0..FRAMES {
            a.send(at_a, numbered(number, len(number))).await;
        }
    };
    let hearing = async {
        for number in 0..FRAMES {
            assert_eq!(b.frame(at_b).await, numbered(number, len(number)));
        }
    };
    future::join(sending, hearing).await;
}

pub(super) async fn frames_of_several_tasks_arrive_whole_and_once(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let transport = a.transport.clone();
            tokio::spawn(async move {
                for step in 0..FRAMES / TASKS {
                    let frame = numbered(task * FRAMES + step, 3_000);
                    transport.send(at_a, frame).await.expect("the link takes a frame");
                }
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for _ in 0..FRAMES / TASKS * TASKS {
        let number = number_of(&b.frame(at_b).await);
        let (task, step) = (number / FRAMES, number % FRAMES);
        assert!(step == 0 || seen.contains(&(number - 1)), "task {task} is out of order");
        assert!(seen.insert(number), "frame {number} arrived twice");
    }
    for task in tasks {
        task.await.expect("a sender ends well");
    }
}

pub(super) async fn a_frame_too_large_is_refused_and_its_link_lives_on(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let frame = Bytes::from(vec![7; a.transport.frame_len_max() + 1]);
    let sent = within("send", a.transport.send(at_a, frame)).await;
    assert_eq!(sent.expect_err("too large").kind(), ErrorKind::TooLarge);
    a.send(at_a, "small").await;
    assert_eq!(b.frame(at_b).await, "small");
    b.send(at_b, "answer").await;
    assert_eq!(a.frame(at_a).await, "answer");
}

pub(super) async fn a_dropped_recv_loses_nothing(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let sending = async {
        for number in 0..FRAMES {
            a.send(at_a, numbered(number, 2_000)).await;
        }
    };
    let hearing = async {
        let (mut next, mut polls) = (0, 0_usize);
        while next < FRAMES {
            polls += 1;
            let Some(event) = recv_within_yields(&b.transport, polls % 4).await else { continue };
            match event {
                TransportEvent::Frame(link, frame) if link == at_b => {
                    assert_eq!(number_of(&frame), next, "a frame was lost or came twice");
                    next += 1;
                }
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    };
    within("all frames", future::join(sending, hearing)).await;
}

/// Polls `recv` a few times and drops it.
async fn recv_within_yields(
    transport: &std::sync::Arc<dyn spacepanda_core::transport::Transport>,
    yields: usize,
) -> Option<TransportEvent> {
    let yielding = async {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        event = transport.recv() => Some(event.expect("an event")),
        () = yielding => {
            tokio::task::yield_now().await;
            None
        }
    }
}

pub(super) async fn a_dropped_send_is_whole_or_absent(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let len = a.transport.frame_len_max();
    for number in 0..FRAMES {
        // Polled once and dropped, whatever came of it.
        if let Some(Err(error)) = a.transport.send(at_a, numbered(number, len)).now_or_never() {
            assert_eq!(error.kind(), ErrorKind::NotConnected, "only an ended link refuses");
        }
    }
    let last = async {
        // A link may have ended; then there is no last frame.
        within("send", a.transport.send(at_a, numbered(FRAMES, len))).await.ok();
    };
    let hearing = async {
        let mut least = 0;
        while least <= FRAMES {
            match b.event().await {
                TransportEvent::Frame(link, frame) => {
                    assert!(link == at_b && frame.len() == len, "a frame arrived in part");
                    let number = number_of(&frame);
                    assert!(number >= least, "frame {number} arrived twice or out of order");
                    least = number + 1;
                }
                TransportEvent::Disconnected(link, _) if link == at_b => return,
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    };
    future::join(last, hearing).await;
}
