use std::collections::{BTreeMap, BTreeSet};

use futures::future;
use spacepanda_core::{
    base::ErrorKind,
    transport::{LinkId, TransportEvent},
};

use super::{
    Factory,
    help::{Pair, Peer, link, number_of, numbered, within},
};

const DIALLERS: u32 = 20;
const FRAMES_EACH: u32 = 20;

pub(super) async fn a_link_is_announced_before_its_frames_on_both_sides(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let at_a = a.connect(&b).await;
    a.send(at_a, "first").await;
    let at_b = b.connected().await;
    b.send(at_b, "answer").await;
    assert_eq!(b.frame(at_b).await, "first");
    assert_eq!(a.connected().await, at_a);
    assert_eq!(a.frame(at_a).await, "answer");
}

pub(super) async fn link_numbers_are_never_used_again(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let (mut seen_at_a, mut seen_at_b) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..5 {
        let (at_a, at_b) = link(&a, &b).await;
        assert!(seen_at_a.insert(at_a) && seen_at_b.insert(at_b), "a number was used again");
        a.transport.disconnect(at_a).await.expect("disconnects");
        a.disconnected(at_a).await;
        b.disconnected(at_b).await;
    }
}

pub(super) async fn two_links_of_one_pair_are_independent(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let (other_at_a, other_at_b) = link(&a, &b).await;
    assert!(at_a != other_at_a && at_b != other_at_b, "two links have one number");
    a.send(at_a, "one").await;
    assert_eq!(b.frame(at_b).await, "one");
    a.send(other_at_a, "other").await;
    assert_eq!(b.frame(other_at_b).await, "other");

    a.transport.disconnect(at_a).await.expect("disconnects");
    a.disconnected(at_a).await;
    b.disconnected(at_b).await;
    b.send(other_at_b, "lives on").await;
    assert_eq!(a.frame(other_at_a).await, "lives on");
}

pub(super) async fn both_sides_are_told_of_a_disconnect(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    within("disconnect", a.transport.disconnect(at_a)).await.expect("disconnects");
    b.disconnected(at_b).await;
    a.disconnected(at_a).await;

    let (at_a, at_b) = link(&a, &b).await;
    within("disconnect", b.transport.disconnect(at_b)).await.expect("disconnects");
    a.disconnected(at_a).await;
    b.disconnected(at_b).await;
}

pub(super) async fn a_disconnected_link_is_not_connected(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    a.transport.disconnect(at_a).await.expect("disconnects");
    b.disconnected(at_b).await;
    for (peer, link) in [(&a, at_a), (&b, at_b), (&a, LinkId(u64::MAX))] {
        let sent = within("send", peer.transport.send(link, "late".into())).await;
        assert_eq!(sent.expect_err("no such link").kind(), ErrorKind::NotConnected);
    }
}

pub(super) async fn a_disconnect_is_the_last_event_of_its_link(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    let (other_at_a, other_at_b) = link(&a, &b).await;
    for number in 0..FRAMES_EACH {
        a.send(at_a, numbered(number, 100)).await;
        b.send(at_b, numbered(number, 100)).await;
    }
    a.transport.disconnect(at_a).await.expect("disconnects");
    b.ends(at_b).await;
    a.ends(at_a).await;
    a.send(other_at_a, "after").await;
    assert_eq!(b.frame(other_at_b).await, "after");
    b.send(other_at_b, "after").await;
    assert_eq!(a.frame(other_at_a).await, "after");
}

pub(super) async fn disconnecting_a_link_that_is_gone_is_no_error(factory: Factory) {
    let Pair { a, b, at_a, at_b } = Pair::open(&factory).await;
    for link in [at_a, at_a, LinkId(u64::MAX)] {
        within("disconnect", a.transport.disconnect(link)).await.expect("no error");
    }
    b.disconnected(at_b).await;
    within("disconnect", b.transport.disconnect(at_b)).await.expect("no error");
}

pub(super) async fn both_may_connect_at_once(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let (by_a, by_b) = future::join(a.connect(&b), b.connect(&a)).await;
    a.send(by_a, "by a").await;
    b.send(by_b, "by b").await;
    for (peer, dialled, text) in [(&a, by_a, "by b"), (&b, by_b, "by a")] {
        let (mut links, mut frames) = (Vec::new(), Vec::new());
        while links.len() < 2 || frames.is_empty() {
            match peer.event().await {
                TransportEvent::Connected(link) => links.push(link),
                TransportEvent::Frame(link, frame) => frames.push((link, frame)),
                TransportEvent::Disconnected(link, why) => panic!("{link:?} ended: {why}"),
            }
        }
        let other = links.iter().copied().find(|link| *link != dialled).expect("another link");
        assert!(links.contains(&dialled), "the dialled link is announced");
        assert_eq!(frames, [(other, text.into())]);
    }
}

pub(super) async fn many_links_at_once(factory: Factory) {
    let listener = Peer::open(&factory).await;
    let diallers =
        future::join_all((0..DIALLERS).map(|_| async { Peer::open(&factory).await })).await;
    let dialling = future::join_all(diallers.iter().map(|dialler| async {
        let link = dialler.connect(&listener).await;
        for number in 0..FRAMES_EACH {
            dialler.send(link, numbered(number, 1_000)).await;
        }
    }));
    let listening = async {
        let mut next: BTreeMap<LinkId, u32> = BTreeMap::new();
        while next.len() < diallers.len() || next.values().any(|number| *number < FRAMES_EACH) {
            match listener.event().await {
                TransportEvent::Connected(link) => {
                    assert_eq!(next.insert(link, 0), None, "{link:?} is announced twice");
                }
                TransportEvent::Frame(link, frame) => {
                    let expected = next.get_mut(&link).expect("announced before its frames");
                    assert_eq!(number_of(&frame), *expected);
                    *expected += 1;
                }
                TransportEvent::Disconnected(link, why) => panic!("{link:?} ended: {why}"),
            }
        }
    };
    future::join(dialling, listening).await;
}
