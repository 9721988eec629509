use spacepanda_core::base::ErrorKind;

use super::{
    Factory,
    help::{Peer, within},
};

const FOREIGN: &str = "no-transport-has-this-scheme://somewhere:1";

pub(super) async fn addresses_are_tried_in_order(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let addresses = [dead(&factory).await, b.transport.addresses()].concat();
    let at_a = a.try_connect(&addresses).await.expect("the next address is tried");
    assert_eq!(a.connected().await, at_a);
    let at_b = b.connected().await;
    a.send(at_a, "reached").await;
    assert_eq!(b.frame(at_b).await, "reached");
}

pub(super) async fn the_first_address_that_answers_is_taken(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let c = Peer::open(&factory).await;
    let addresses = [b.transport.addresses(), c.transport.addresses()].concat();
    let at_a = a.try_connect(&addresses).await.expect("connects");
    assert_eq!(a.connected().await, at_a);
    let at_b = b.connected().await;
    a.send(at_a, "reached").await;
    assert_eq!(b.frame(at_b).await, "reached");

    // Had the second one been dialled too, its event would come before this link's.
    let to_c = a.connect(&c).await;
    let at_c = c.connected().await;
    a.send(to_c, "alone").await;
    assert_eq!(c.frame(at_c).await, "alone");
}

pub(super) async fn a_foreign_address_is_unsupported(factory: Factory) {
    let a = Peer::open(&factory).await;
    assert_eq!(a.refusal(&[FOREIGN.to_owned()]).await, ErrorKind::Unsupported);
}

pub(super) async fn a_foreign_address_is_passed_over(factory: Factory) {
    let (a, b) = (Peer::open(&factory).await, Peer::open(&factory).await);
    let addresses = [vec![FOREIGN.to_owned()], b.transport.addresses()].concat();
    let at_a = a.try_connect(&addresses).await.expect("the next address is tried");
    assert_eq!(a.connected().await, at_a);
    b.connected().await;
}

pub(super) async fn no_address_is_unsupported(factory: Factory) {
    let a = Peer::open(&factory).await;
    assert_eq!(a.refusal(&[]).await, ErrorKind::Unsupported);
}

pub(super) async fn an_unreadable_address_is_a_mistake_in_the_configuration(factory: Factory) {
    let a = Peer::open(&factory).await;
    let own = a.transport.addresses().remove(0);
    let unreadable = factory.unreadable_address(&own);
    assert_eq!(a.refusal(&[unreadable]).await, ErrorKind::Config);
}

pub(super) async fn nobody_there_is_unavailable(factory: Factory) {
    let a = Peer::open(&factory).await;
    let dead = dead(&factory).await;
    assert_eq!(a.refusal(&dead[..1]).await, ErrorKind::Unavailable);
}

/// Addresses at which somebody was once.
async fn dead(factory: &Factory) -> Vec<String> {
    let gone = Peer::open(factory).await;
    let addresses = gone.transport.addresses();
    within("close", gone.transport.close()).await.expect("closes");
    addresses
}
