use super::help::ByHand;
use crate::{
    app::engine::{
        input::{Command, Effects, Reply},
        reads::Loaded,
    },
    base::{ChannelId, MessageId, ServerId},
    state::envelope::{Envelope, Verified},
    store::Placement,
};

/// A founder who has accepted a message, and where; each is a copy of the other.
fn writing() -> (ByHand, ServerId, ChannelId, MessageId) {
    let mut alice = ByHand::new(1);
    let (server, _) = alice.found();
    alice.step(|machine, cx| {
        let server = machine.servers.get_mut(&server).unwrap();
        let state = *server.kept.keys().next().unwrap();
        server.stand_on(&mut machine.node, state, cx);
    });
    alice.settle(server);
    let channel = alice.server(&server).channel_list()[0].channel;
    alice.step(|machine, cx| machine.load_channel(server, channel, cx));
    let text = "the only copy".to_owned();
    let (reply, _) = alice.call(Command::SendMessage { server, channel, text });
    let Reply::Message(message) = reply else { panic!("{reply:?}") };
    (alice, server, channel, message)
}

/// Sends what may be sent.
fn flush(alice: &mut ByHand, id: ServerId) -> Effects {
    alice.machine.node.forget_work();
    let flush = alice.step(|machine, cx| {
        let server = machine.servers.get_mut(&id).unwrap();
        server.flush(&mut machine.node, cx);
    });
    flush.1
}

/// The message as the other copy sent it.
fn sent() -> Verified {
    let (mut alice, server, ..) = writing();
    let log = flush(&mut alice, server).log;
    let [(_, entry)] = &log[..] else { panic!("one message is sent") };
    Envelope::decode(&entry.bytes).and_then(Envelope::trust).unwrap()
}

fn loads(alice: &mut ByHand, envelope: &Verified, is_held: bool) {
    let (channel, tip) = (envelope.header().channel, envelope.tip());
    let bare = envelope.clone().without_body().log_entry();
    alice.loaded = Loaded::default();
    alice.loaded.entries.insert((channel, tip), is_held.then_some(bare));
    alice.loaded.places.insert((channel, envelope.id()), Placement::New);
}

#[test]
fn a_draft_stays_and_is_not_sent_while_its_message_is_held_and_cannot_be_read() {
    let envelope = sent();
    let (mut alice, id, channel, message) = writing();
    loads(&mut alice, &envelope, false);
    let (_, kept) = alice.step(|machine, cx| {
        let server = machine.servers.get_mut(&id).unwrap();
        server.keep(&mut machine.node, envelope.clone().without_body(), None, cx);
    });
    assert_eq!(kept.log.len(), 1);
    let words = |alice: &ByHand| {
        alice.server(&id).words_of(&channel, &message).map(|text| text.as_str().to_owned())
    };
    assert_eq!(words(&alice).as_deref(), Some("the only copy"));
    assert_eq!(alice.server(&id).unsent().count(), 0);

    loads(&mut alice, &envelope, true);
    let from = envelope.header().sender;
    let (_, taken) = alice.step(|machine, cx| {
        let server = machine.servers.get_mut(&id).unwrap();
        server.body(&mut machine.node, channel, envelope.tip(), envelope.clone(), from, cx);
    });
    assert_eq!((taken.bodies.len(), taken.batch.changes().len()), (1, 0));
    assert_eq!(words(&alice).as_deref(), Some("the only copy"), "it cannot be read yet");

    let (_, read) = alice.step(|machine, cx| {
        let server = machine.servers.get_mut(&id).unwrap();
        server.drop_draft(&channel, &message, cx);
    });
    assert_eq!(read.batch.changes().len(), 1);
    assert!(alice.server(&id).drafts.is_empty());
}

#[test]
fn a_draft_whose_message_is_held_is_not_sent_after_a_restart_either() {
    assert_eq!(sent().header().sequence, 1, "else it is sent");
    let (mut alice, id, ..) = writing();
    let server = alice.machine.servers.get_mut(&id).unwrap();
    server.drafts[0].1.written = true;
    assert!(flush(&mut alice, id).log.is_empty());
    assert_eq!(alice.server(&id).drafts.len(), 1);
}
