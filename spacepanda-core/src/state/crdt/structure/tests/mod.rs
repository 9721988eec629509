#![allow(clippy::unwrap_used)]

mod orders;

use super::*;
use crate::{
    base::{Name, Timestamp, limits::CHANNELS_MAX},
    state::envelope::Origin,
};

/// An operation as it would be read off the log.
#[derive(Clone, Debug)]
struct Made {
    id: EnvelopeId,
    device: DeviceId,
    order: u64,
    past: Vec<EnvelopeId>,
    op: StructureOp,
}

fn device(number: u8) -> DeviceId {
    DeviceId::new([number; 32])
}

fn id(number: usize) -> EnvelopeId {
    EnvelopeId::new(blake3::hash(&number.to_be_bytes()).into())
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn create(number: usize, by: u8, order: u64, past: &[usize]) -> Made {
    let op = StructureOp::CreateChannel { name: name(&format!("channel {number}")) };
    made(number, by, order, past, op)
}

fn rename(number: usize, by: u8, past: &[usize], to: &str) -> Made {
    made(number, by, number as u64, past, StructureOp::SetServerName { name: name(to) })
}

fn made(number: usize, by: u8, order: u64, past: &[usize], op: StructureOp) -> Made {
    let past = past.iter().map(|number| id(*number)).collect();
    Made { id: id(number), device: device(by), order, past, op }
}

fn authorized(made: &Made) -> Authorized<StructureOp> {
    let origin = Origin {
        channel: ChannelId::new([0; 32]),
        device: made.device,
        timestamp: Timestamp::ZERO,
        past: made.past.clone(),
    };
    Authorized::in_test(origin, made.op.clone())
}

fn apply(structure: &mut Structure, made: &Made) -> Result<Vec<StructureEvent>, StructureError> {
    structure.apply(made.id, made.device, made.order, &made.past, authorized(made))
}

fn applied<'a>(ops: impl IntoIterator<Item = &'a Made>) -> Structure {
    let mut structure = Structure::new();
    for made in ops {
        apply(&mut structure, made).unwrap();
    }
    structure
}

fn seen(structure: &Structure) -> (Option<String>, Vec<Channel>, Vec<[u8; 32]>) {
    (structure.server_name(), structure.channels(), structure.heads())
}

fn channel_of(number: usize) -> ChannelId {
    ChannelId::new(*id(number).as_bytes())
}

#[test]
fn a_server_gets_its_name_and_a_channel() {
    let mut structure = Structure::new();
    let named = apply(&mut structure, &rename(1, 1, &[], "den")).unwrap();
    assert_eq!(named, [StructureEvent::ServerNamed(Some("den".to_owned()))]);
    let general = Channel { id: channel_of(2), name: "channel 2".to_owned() };
    let added = apply(&mut structure, &create(2, 1, 2, &[1])).unwrap();
    assert_eq!(added, [StructureEvent::ChannelAdded(general.clone())]);
    assert_eq!(structure.server_name().as_deref(), Some("den"));
    assert_eq!(structure.channels(), [general]);
}

#[test]
fn the_same_operation_twice_does_nothing() {
    let made = create(1, 1, 1, &[]);
    let mut structure = applied([&made]);
    let before = seen(&structure);
    assert_eq!(apply(&mut structure, &made), Ok(vec![]));
    assert_eq!(seen(&structure), before);
}

#[test]
fn an_operation_whose_past_is_unknown_changes_nothing() {
    let mut structure = applied([&create(1, 1, 1, &[])]);
    let before = seen(&structure);
    let refused = apply(&mut structure, &create(3, 1, 3, &[1, 2]));
    assert_eq!(refused, Err(StructureError::Missing(id(2))));
    assert_eq!(seen(&structure), before);
    apply(&mut structure, &create(2, 1, 2, &[1])).unwrap();
}

#[test]
fn an_operation_judged_as_another_devices_is_refused() {
    let mut structure = Structure::new();
    let made = create(1, 1, 1, &[]);
    let refused = structure.apply(made.id, device(2), 1, &[], authorized(&made));
    assert_eq!(refused, Err(StructureError::Author));
    assert!(structure.channels().is_empty());
}

#[test]
fn channels_stand_in_the_order_of_their_making() {
    let ops = [create(1, 1, 30, &[]), create(2, 2, 10, &[]), create(3, 3, 20, &[])];
    let ids: Vec<_> = applied(&ops).channels().into_iter().map(|channel| channel.id).collect();
    assert_eq!(ids, [channel_of(2), channel_of(3), channel_of(1)]);
}

#[test]
fn a_name_that_is_the_name_already_is_an_operation_like_any_other() {
    let ops = [rename(1, 1, &[], "den"), rename(2, 2, &[1], "den"), rename(3, 1, &[2], "lair")];
    let mut structure = applied(&ops[..2]);
    assert_eq!(structure.heads().len(), 1);
    apply(&mut structure, &ops[2]).unwrap();
    assert_eq!(structure.server_name().as_deref(), Some("lair"));
    assert_eq!(structure.heads().len(), 1);
}

#[test]
fn of_too_many_channels_the_first_are_shown_whatever_came_last() {
    let count = CHANNELS_MAX + 2;
    let mut structure = Structure::new();
    for number in 1..=count {
        let past: Vec<_> = (number > 1).then_some(number - 1).into_iter().collect();
        let events = apply(&mut structure, &create(number, 1, 10 + number as u64, &past)).unwrap();
        assert_eq!(events.len(), usize::from(number <= CHANNELS_MAX));
    }
    assert_eq!(structure.channels().len(), CHANNELS_MAX);
    let events = apply(&mut structure, &create(count + 1, 2, 1, &[])).unwrap();
    assert_eq!(events[0], StructureEvent::ChannelRemoved(channel_of(CHANNELS_MAX)));
    assert_eq!(structure.channels()[0].id, channel_of(count + 1));
    assert_eq!(structure.channels().len(), CHANNELS_MAX);
}

#[test]
fn what_is_removed_is_as_if_it_had_been_passed_over() {
    let ops = [rename(1, 1, &[], "den"), rename(2, 2, &[1], "lair"), create(3, 1, 3, &[2])];
    let mut structure = applied(&ops);
    let events = structure.remove(&[id(2)]).unwrap();
    assert_eq!(events, [StructureEvent::ServerNamed(Some("den".to_owned()))]);
    let mut never = applied(&ops[..1]);
    never.pass_over(id(2), device(2), 2, &[id(1)]).unwrap();
    apply(&mut never, &ops[2]).unwrap();
    assert_eq!(seen(&structure), seen(&never));
    assert_eq!(structure.remove(&[id(2), id(9)]), Ok(vec![]));
}

#[test]
fn what_counts_again_is_as_if_it_had_always_counted() {
    let ops = [create(1, 1, 1, &[]), create(2, 2, 2, &[1]), create(3, 1, 3, &[2])];
    let whole = applied(&ops);
    let mut structure = applied(&ops);
    structure.remove(&[id(1), id(2)]).unwrap();
    assert_eq!(structure.channels().len(), 1);
    apply(&mut structure, &ops[1]).unwrap();
    let events = apply(&mut structure, &ops[0]).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(seen(&structure), seen(&whole));
}

#[test]
fn a_recount_takes_in_and_out_at_once_or_not_at_all() {
    let ops = [create(1, 1, 1, &[]), create(2, 2, 2, &[1]), create(3, 1, 3, &[2])];
    let mut structure = applied(&ops);
    structure.remove(&[id(1)]).unwrap();
    let before = seen(&structure);
    let unknown = vec![(id(1), authorized(&ops[0])), (id(9), authorized(&ops[0]))];
    assert_eq!(structure.recount(unknown, &[id(2)]), Err(StructureError::Missing(id(9))));
    let foreign = vec![(id(1), authorized(&ops[1]))];
    assert_eq!(structure.recount(foreign, &[id(2)]), Err(StructureError::Author));
    assert_eq!(seen(&structure), before);
    let events = structure.recount(vec![(id(1), authorized(&ops[0]))], &[id(2)]).unwrap();
    assert_eq!(events.len(), 2);
    let ids: Vec<_> = structure.channels().into_iter().map(|channel| channel.id).collect();
    assert_eq!(ids, [channel_of(1), channel_of(3)]);
}

#[test]
fn both_branches_of_a_forked_log_are_executed() {
    let ops = [create(1, 1, 1, &[]), create(2, 1, 2, &[1]), create(3, 1, 2, &[1])];
    let one = applied(&ops);
    let other = applied([&ops[0], &ops[2], &ops[1]]);
    assert_eq!(one.channels().len(), 3);
    assert_eq!(seen(&one), seen(&other));
}

#[test]
fn a_structure_that_has_stopped_shows_what_it_has_and_takes_nothing_more() {
    let mut structure = applied([&create(1, 1, 1, &[])]);
    structure.stopped = true;
    let refused = apply(&mut structure, &create(2, 1, 2, &[1]));
    assert_eq!(refused, Err(StructureError::Stopped));
    assert_eq!(structure.remove(&[id(1)]), Err(StructureError::Stopped));
    assert_eq!(structure.channels().len(), 1);
}

#[test]
fn the_latest_of_a_past_may_have_others_of_it_beside_them() {
    let exact = [create(1, 1, 1, &[]), create(2, 2, 2, &[1]), create(3, 1, 3, &[2])];
    let whole = [create(1, 1, 1, &[]), create(2, 2, 2, &[1]), create(3, 1, 3, &[1, 2, 1])];
    let ids: Vec<_> = applied(&whole).operations().collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
    assert_eq!(seen(&applied(&exact)), seen(&applied(&whole)));
}

#[test]
fn the_heads_of_a_small_document_are_pinned() {
    let ops = [rename(1, 1, &[], "den"), create(2, 1, 2, &[1]), create(3, 2, 3, &[1])];
    let heads: Vec<_> = applied(&ops).heads().iter().map(hex::encode).collect();
    assert_eq!(
        heads,
        [
            "15271968bf79f54f2ca0241062773f730e0dca0c7dc64becda0d689e62b269bc",
            "bab03d324b059c6fd02aaa59520e79eb618545ffc93cf7cb57ceeef69148b836",
        ]
    );
}
