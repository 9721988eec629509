use std::time::Duration;

use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use spacepanda_core::{
    base::{ErrorKind, Result},
    transport::{LinkId, TransportEvent},
};
use tokio::time::timeout;

use super::{
    Factory,
    help::{Pair, Peer, link, number_of, numbered, within},
};

/// A link on which a frame waits so long, while nobody receives at its other end, is full.
const FULL_AFTER: Duration = Duration::from_millis(500);
/// No link may take so many bytes while nobody receives.
const FULL_BYTES_MAX: usize = 64 * 1024 * 1024;
const FRAMES: u32 = 50;

/// A link filled until a `send` waits.
struct Full {
    /// The number of the frame that waits; those before it were taken.
    waiting: u32,
    send: BoxFuture<'static, Result<()>>,
}

impl Full {
    async fn fill(peer: &Peer, link: LinkId) -> Self {
        let len = peer.transport.frame_len_max().min(64 * 1024);
        for number in 0.. {
            let transport = peer.transport.clone();
            let mut send = async move { transport.send(link, numbered(number, len)).await }.boxed();
            match timeout(FULL_AFTER, &mut send).await {
                Ok(sent) => sent.expect("the link takes a frame"),
                Err(_) => return Self { waiting: number, send },
            }
            let taken = usize::try_from(number).expect("a count") * len;
            assert!(taken < FULL_BYTES_MAX, "a link took {taken} bytes and send never waited");
        }
        unreachable!("the count of frames is bounded")
    }
}

pub(super) async fn a_full_link_makes_send_wait_and_loses_nothing(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let full = Full::fill(&a, at_a).await;
    let draining = async {
        for number in 0..=full.waiting {
            assert_eq!(number_of(&b.frame(at_b).await), number);
        }
    };
    let (sent, ()) = future::join(within("send", full.send), draining).await;
    sent.expect("the frame that waited is taken");
}

pub(super) async fn a_full_link_delays_no_other_link(factory: Factory) {
    let Pair { a, b: _b, at_a, at_b: _ } = Pair::open(&factory).await;
    let c = Peer::open(&factory).await;
    let (to_c, at_c) = link(&a, &c).await;
    let full = Full::fill(&a, at_a).await;
    for number in 0..FRAMES {
        a.send(to_c, numbered(number, 5_000)).await;
        assert_eq!(number_of(&c.frame(at_c).await), number);
        c.send(at_c, numbered(number, 5_000)).await;
        assert_eq!(number_of(&a.frame(to_c).await), number);
    }
    drop(full);
}

pub(super) async fn a_dropped_send_on_a_full_link_is_whole_or_absent(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let Full { waiting, send } = Full::fill(&a, at_a).await;
    drop(send);
    let last = async {
        // A link may have ended; then there is no last frame.
        within("send", a.transport.send(at_a, numbered(waiting + 1, 100))).await.ok();
    };
    let hearing = async {
        let mut least = 0;
        while least <= waiting + 1 {
            match b.event().await {
                TransportEvent::Frame(link, frame) if link == at_b => {
                    let number = number_of(&frame);
                    let may_lack = least == waiting && number == waiting + 1;
                    assert!(number == least || may_lack, "frame {number} instead of {least}");
                    least = number + 1;
                }
                TransportEvent::Disconnected(link, _) if link == at_b => return,
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    };
    future::join(last, hearing).await;
}

pub(super) async fn a_full_link_can_be_disconnected(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let full = Full::fill(&a, at_a).await;
    within("disconnect", a.transport.disconnect(at_a)).await.expect("disconnects");
    a.disconnected(at_a).await;
    // The frame that waited was taken before the link ended, or refused.
    if let Err(error) = within("send", full.send).await {
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    }
    b.ends(at_b).await;
}

pub(super) async fn a_full_transport_can_be_closed(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let full = Full::fill(&a, at_a).await;
    within("close", a.transport.close()).await.expect("closes");
    if let Err(error) = within("send", full.send).await {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::Closed | ErrorKind::NotConnected), "{kind:?}");
    }
    b.ends(at_b).await;
}
