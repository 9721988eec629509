use super::world::{channel, device, entry};
use crate::{
    base::{Floors, Frontier, LogEntry, Timestamp, Tip},
    state::sync::{ASK_TIMEOUT, ASKS_MAX, Action, Event, FrontierSync, Start, SyncEngine},
};

const NOW: Timestamp = Timestamp::from_micros(1);

/// An engine with channel 0 open, linked to `peer` and sharing the channel from `from` on.
fn engine(peer: usize, from: Start, up_to: Option<Frontier>) -> FrontierSync {
    let mut engine = FrontierSync::new();
    let frontier = Frontier::from_iter([entry(device(0), 9, 0, 0).tip()]);
    engine.handle(Event::Open { channel: channel(0), frontier }, NOW);
    let peer = device(peer);
    engine.handle(Event::Connected { peer }, NOW);
    let (channel, control) = (channel(0), true);
    engine.handle(Event::Share { peer, channel, control, from, up_to }, NOW);
    drain(&mut engine);
    engine
}

fn drain(engine: &mut FrontierSync) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}

fn want(engine: &mut FrontierSync, tip: Tip, ask: usize) -> Vec<Action> {
    engine.handle(Event::Want { channel: channel(0), tip, ask: device(ask) }, NOW);
    drain(engine)
}

fn pass(actions: Vec<Action>, from: usize, to: &mut FrontierSync) -> Vec<Action> {
    for action in actions {
        if let Action::Send { bytes, .. } = action {
            to.handle(Event::Received { peer: device(from), bytes }, NOW);
        }
    }
    drain(to)
}

/// Asks a peer that serves from `from` for `asked`; what its driver is asked for, and what comes of
/// answering with `answer`.
fn ask(from: Start, asked: Tip, answer: Option<LogEntry>) -> (Option<bool>, Vec<Action>) {
    let mut asker = engine(1, Start::Beginning, None);
    let mut server = engine(0, from, None);
    let sent = want(&mut asker, asked, 1);
    let mut reads = pass(sent, 0, &mut server);
    let Some(Action::LoadEntry { ticket, bare, .. }) = reads.first().cloned() else {
        return (None, pass(reads, 1, &mut asker));
    };
    reads.clear();
    server.handle(Event::LoadedEntry { ticket, entry: answer }, NOW);
    (Some(bare), pass(drain(&mut server), 1, &mut asker))
}

/// The end of an ask of device 1.
fn not_held(said: bool, tip: Tip) -> Action {
    Action::NotHeld { said, peer: device(1), channel: channel(0), tip }
}

#[test]
fn a_body_that_is_held_is_sent_to_who_asks_for_it() {
    let held = entry(device(0), 3, 0, 0);
    let (bare, actions) = ask(Start::Beginning, held.tip(), Some(held.clone()));
    assert_eq!(bare, Some(false));
    let (peer, channel, tip) = (device(1), channel(0), held.tip());
    assert_eq!(actions[0], Action::DeliverBody { peer, channel, tip, bytes: held.bytes });
}

#[test]
fn not_held_is_an_answer() {
    let tip = entry(device(0), 3, 0, 0).tip();
    let (_, actions) = ask(Start::Beginning, tip, None);
    assert_eq!(actions, [not_held(true, tip)]);
}

#[test]
fn below_the_floor_only_a_bare_header_is_served() {
    let held = entry(device(0), 3, 0, 0);
    let floors = Start::Floors(Floors::from([(device(0), 5)]));
    let (bare, actions) = ask(floors.clone(), held.tip(), Some(held.clone()));
    assert_eq!(bare, Some(true));
    assert!(matches!(actions[0], Action::NotHeld { .. }), "a body slipped through");
    let header = LogEntry { body_held: false, ..held.clone() };
    let (_, actions) = ask(floors, held.tip(), Some(header));
    assert!(matches!(actions[0], Action::DeliverBody { .. }));
}

#[test]
fn who_is_only_taken_from_is_served_no_header_either() {
    let held = entry(device(0), 3, 0, 0);
    let header = LogEntry { body_held: false, ..held.clone() };
    let (bare, actions) = ask(Start::nothing(), held.tip(), Some(header));
    assert_eq!((bare, actions), (None, vec![not_held(true, held.tip())]));
}

#[test]
fn beyond_the_limit_nothing_is_read() {
    let mut asker = engine(1, Start::Beginning, None);
    let limit = Frontier::from_iter([entry(device(0), 2, 0, 0).tip()]);
    let mut server = engine(0, Start::Beginning, Some(limit));
    let tip = entry(device(0), 3, 0, 0).tip();
    let sent = want(&mut asker, tip, 1);
    let answers = pass(sent, 0, &mut server);
    assert!(answers.iter().all(|action| matches!(action, Action::Send { .. })));
    let actions = pass(answers, 1, &mut asker);
    assert_eq!(actions, [not_held(true, tip)]);
}

#[test]
fn a_silent_peer_counts_as_not_having_it_after_five_seconds() {
    let mut asker = engine(1, Start::Beginning, None);
    let tip = entry(device(0), 3, 0, 0).tip();
    assert!(matches!(want(&mut asker, tip, 1)[..], [Action::Send { .. }]));
    let until = NOW.saturating_add(ASK_TIMEOUT);
    assert_eq!(asker.deadline(), Some(until));
    asker.handle(Event::Tick, until);
    let not_held = not_held(false, tip);
    assert_eq!(drain(&mut asker), [not_held]);
    assert_eq!(asker.deadline(), None);
}

#[test]
fn few_bodies_are_asked_for_at_once_and_a_lost_link_answers_for_all() {
    let mut asker = engine(1, Start::Beginning, None);
    let mut sent = 0;
    for number in 1..=20 {
        sent += want(&mut asker, entry(device(0), number, 0, 0).tip(), 1).len();
    }
    assert_eq!(sent, ASKS_MAX);
    asker.handle(Event::Disconnected { peer: device(1) }, NOW);
    assert_eq!(drain(&mut asker).len(), 20);
    assert_eq!(asker.deadline(), None);
}

#[test]
fn a_body_that_came_from_elsewhere_is_no_longer_waited_for() {
    let mut asker = engine(1, Start::Beginning, None);
    let tip = entry(device(0), 3, 0, 0).tip();
    want(&mut asker, tip, 1);
    asker.handle(Event::BodyHeld { channel: channel(0), id: tip.id }, NOW);
    assert_eq!((drain(&mut asker), asker.deadline()), (Vec::new(), None));
}
