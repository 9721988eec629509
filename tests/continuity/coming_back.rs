//! A device that cannot follow its group any more comes in again by itself.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use spacepanda::{
    Event, Node, ServerId, StateId, Timestamp,
    base::{Floors, Frontier},
    store::{Batch, CrdtStore, LogStore, Namespace, Page},
    transport::memory::MemoryNetwork,
};
use spacepanda_core::state::{
    authority::control_channel,
    envelope::{Envelope, PayloadType},
    mls::CommitPayload,
};

use crate::{
    event, over_both_stores,
    world::{Person, Place, converged, found, join, reads, until},
};

over_both_stores!(
    a_member_whose_way_to_the_group_was_lost_pleads_and_reads_on,
    a_member_who_was_lost_and_finds_the_way_by_itself_does_not_plead,
);

const VIEW: Namespace = Namespace::new("view");

async fn a_member_whose_way_to_the_group_was_lost_pleads_and_reads_on(
    place: impl AsyncFn() -> Place,
) {
    let lost = Lost::begin(place).await;
    let bob = lost.bobs.open().await;
    let mut events = bob.events();
    let waiting = event(&mut events, "Bob is told that he is lost", |told| match told {
        Event::Healing { waiting, .. } => waiting.clone(),
        _ => None,
    })
    .await;
    assert_eq!(waiting, "waiting for a member who holds the commit that is missing");
    let status = bob.server_status(lost.server).await.unwrap();
    assert_eq!(status.healing, Some(waiting));
    assert_ne!(status.stand, status.head, "he goes on where he was");
    bob.close().await.unwrap();
    let pleas = pleas(&lost.bobs.place, lost.server).await;
    assert_eq!(pleas, 0, "he has not waited long enough");

    let head = an_hour_passes(&lost.bobs.place).await;
    assert_eq!(Some(head), status.head);
    let bob = lost.bobs.open().await;
    let mut events = bob.events();
    converged(&[&lost.alice, &lost.carol, &bob], lost.server).await;
    event(&mut events, "Bob is told that all is well", |told| {
        matches!(told, Event::Healing { waiting: None, .. }).then_some(())
    })
    .await;
    assert_eq!(bob.server_status(lost.server).await.unwrap().healing, None);
    for (from, to, text) in [(&lost.alice, &bob, "welcome back"), (&bob, &lost.carol, "thanks")] {
        from.send_message(lost.server, lost.channel, text).await.unwrap();
        reads(to, lost.server, lost.channel, text).await;
    }
    bob.close().await.unwrap();
    assert_eq!(self::pleas(&lost.bobs.place, lost.server).await, 1);
}

async fn a_member_who_was_lost_and_finds_the_way_by_itself_does_not_plead(
    place: impl AsyncFn() -> Place,
) {
    let lost = Lost::begin(place).await;
    let bob = lost.bobs.open().await;
    until("Bob is lost", async || {
        let status = bob.server_status(lost.server).await.unwrap();
        if status.healing.is_some() { Ok(()) } else { Err(status) }
    })
    .await;
    // Dave still has the commit that let him in.
    let dave = lost.daves.open().await;
    converged(&[&lost.alice, &lost.carol, &dave, &bob], lost.server).await;
    bob.close().await.unwrap();
    assert_eq!(pleas(&lost.bobs.place, lost.server).await, 0);
}

/// Alice and Carol are on a head that Bob, who slept, has no way to: of them nobody holds the body of
/// the commit after the state he stands on. Dave would, and sleeps.
struct Lost {
    server: ServerId,
    channel: spacepanda::ChannelId,
    alice: Node,
    carol: Node,
    bobs: Person,
    daves: Person,
}

impl Lost {
    async fn begin(place: impl AsyncFn() -> Place) -> Self {
        let network = MemoryNetwork::new();
        let [alices, bobs, carols, daves, eves] = [
            Person::new(&network, "alice", place().await),
            Person::new(&network, "bob", place().await),
            Person::new(&network, "carol", place().await),
            Person::new(&network, "dave", place().await),
            Person::new(&network, "eve", place().await),
        ];
        let (alice, bob, carol) = (alices.open().await, bobs.open().await, carols.open().await);
        let (server, channel, link) = found(&alice).await;
        join(&bob, &link).await;
        join(&carol, &link).await;
        converged(&[&alice, &bob, &carol], server).await;
        bob.close().await.unwrap();
        alice.close().await.unwrap();
        // Carol adds Dave and Alice, below it, Eve: so two people have stood behind Carol's commit.
        let dave = daves.open().await;
        join(&dave, &carol.create_invite(server).await.unwrap()).await;
        let alice = alices.open().await;
        converged(&[&alice, &carol, &dave], server).await;
        let by_alice = alice.create_invite(server).await.unwrap();
        carol.close().await.unwrap();
        dave.close().await.unwrap();
        let eve = eves.open().await;
        join(&eve, &by_alice).await;
        let carol = carols.open().await;
        converged(&[&alice, &carol, &eve], server).await;
        for node in [alice, carol, eve] {
            node.close().await.unwrap();
        }
        for place in [&alices.place, &carols.place] {
            drop_commit(place, server, 2).await;
        }
        let (alice, carol) = (alices.open().await, carols.open().await);
        Self { server, channel, alice, carol, bobs, daves }
    }
}

/// The envelopes of the control channel that a place holds.
async fn control(store: &LogStore, server: ServerId) -> Vec<Envelope> {
    let channel = control_channel(&server);
    let frontier = store.frontier(&channel).await.unwrap();
    let floors: Floors = frontier.tips().map(|tip| (tip.device, 1)).collect();
    let none = Frontier::new();
    let entries = store.missing(&channel, &floors, &none, 500, 8_000_000).await.unwrap();
    entries.iter().map(|entry| Envelope::decode(&entry.bytes).unwrap()).collect()
}

/// Drops the body of the n-th commit that adds somebody.
async fn drop_commit(place: &Place, server: ServerId, n: usize) {
    let backend = place.store().await;
    let store = LogStore::open(backend.clone()).await.unwrap();
    let mut commits = control(&store, server).await;
    commits.retain(|envelope| {
        envelope.header().payload_type == PayloadType::Commit
            && CommitPayload::decode(&envelope.header().payload).is_ok_and(|it| !it.adds.is_empty())
    });
    commits.sort_by_key(|envelope| envelope.header().order);
    let tip = commits[n].clone().verify().unwrap().tip();
    let mut batch = Batch::new();
    store.drop_body(&mut batch, &control_channel(&server), &tip).await.unwrap();
    backend.save(batch).await.unwrap();
    backend.close().await.unwrap();
}

/// How many pleas are in the control channel.
async fn pleas(place: &Place, server: ServerId) -> usize {
    let backend = place.store().await;
    let store = LogStore::open(backend.clone()).await.unwrap();
    let all = control(&store, server).await;
    backend.close().await.unwrap();
    let packages = all
        .iter()
        .map(Envelope::header)
        .filter(|header| header.payload_type == PayloadType::KeyPackage);
    let payloads = packages
        .map(|header| spacepanda_core::state::mls::KeyPackagePayload::decode(&header.payload));
    payloads.filter(|payload| payload.as_ref().is_ok_and(|payload| payload.lost.is_some())).count()
}

/// The row about a head that is out of reach.
#[derive(Encode, Decode)]
#[cbor(map)]
struct LostRow {
    #[n(0)]
    head: StateId,
    #[n(1)]
    changed: Timestamp,
    #[n(2)]
    since: Timestamp,
    #[n(3)]
    stood_up: Option<StateId>,
}

/// Lets it be an hour ago that the head went out of reach, and says which it is.
async fn an_hour_passes(place: &Place) -> StateId {
    let store = place.store().await;
    let page = Page { prefix: Bytes::from_static(b"l"), after: None, limit: 2 };
    let rows = store.scan(&VIEW, page).await.unwrap();
    let [(key, value)] = &rows[..] else { panic!("one head is out of reach: {rows:?}") };
    let mut row: LostRow = minicbor::decode(value).unwrap();
    let hour = |at: Timestamp| Timestamp::from_micros(at.micros() - 3_600_000_000);
    (row.changed, row.since) = (hour(row.changed), hour(row.since));
    let mut batch = Batch::new();
    batch.put(VIEW, key.clone(), minicbor::to_vec(&row).unwrap());
    store.save(batch).await.unwrap();
    store.close().await.unwrap();
    row.head
}
