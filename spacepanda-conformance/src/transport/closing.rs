use futures::future;
use spacepanda_core::base::ErrorKind;

use super::{
    Factory,
    help::{Pair, Peer, link, within},
};

pub(super) async fn a_closed_transport_takes_no_calls(factory: Factory) {
    let Pair { a, b, at_a, at_b: _ } = Pair::open(&factory).await;
    within("close", a.transport.close()).await.expect("closes");
    assert_eq!(a.refusal(&b.transport.addresses()).await, ErrorKind::Closed);
    let sent = within("send", a.transport.send(at_a, "late".into())).await;
    assert_eq!(sent.expect_err("send fails").kind(), ErrorKind::Closed);
    for _ in 0..2 {
        let heard = within("recv", a.transport.recv()).await;
        assert_eq!(heard.expect_err("recv fails").kind(), ErrorKind::Closed);
    }
}

pub(super) async fn a_recv_that_waits_is_told_of_the_close(factory: Factory) {
    let a = Peer::open(&factory).await;
    let (heard, closed) =
        future::join(within("recv", a.transport.recv()), within("close", a.transport.close()))
            .await;
    closed.expect("closes");
    assert_eq!(heard.expect_err("recv fails").kind(), ErrorKind::Closed);
}

pub(super) async fn closing_twice_is_no_error(factory: Factory) {
    let Pair { a, b: _b, at_a: _, at_b: _ } = Pair::open(&factory).await;
    within("close", a.transport.close()).await.expect("closes");
    within("close", a.transport.close()).await.expect("closes again");
}

pub(super) async fn closing_tells_the_other_sides(factory: Factory) {
    let Pair { a, b, at_a: _, at_b } = Pair::open(&factory).await;
    let c = Peer::open(&factory).await;
    let (at_c, _) = link(&c, &a).await;
    within("close", a.transport.close()).await.expect("closes");
    b.disconnected(at_b).await;
    c.disconnected(at_c).await;
    let sent = within("send", b.transport.send(at_b, "late".into())).await;
    assert_eq!(sent.expect_err("send fails").kind(), ErrorKind::NotConnected);
}

pub(super) async fn a_closed_transport_is_not_reached(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let addresses = b.transport.addresses();
    within("close", b.transport.close()).await.expect("closes");
    assert_eq!(a.refusal(&addresses[..1]).await, ErrorKind::Unavailable);
}
