//! What a removal's lines cut off.

use super::{
    super::{HeardLine, Operation, Said, is_up_to},
    world::{ADA, At, FOUNDER, OWNER, World},
};
use crate::{
    base::{ChannelId, EnvelopeId, Timestamp, Tip},
    state::envelope::PayloadType,
};

const ROOM: ChannelId = ChannelId::new([5; 32]);
const HIDDEN: ChannelId = ChannelId::new([6; 32]);

struct Room {
    world: World,
    open: At,
    ada: At,
}

impl Room {
    fn new() -> Self {
        let mut world = World::new(2, 5);
        let open = world.invite(FOUNDER, &[0], None);
        let ada = world.admit(FOUNDER, &[open], open, ADA);
        Self { world, open, ada }
    }

    fn tip(&self, number: u8) -> Tip {
        let device = self.world.people[ADA].device_id();
        Tip { device, number: number.into(), id: EnvelopeId::new([number; 32]) }
    }

    fn line(&self, channel: ChannelId, numbers: &[u8]) -> HeardLine {
        HeardLine { channel, tips: numbers.iter().map(|number| self.tip(*number)).collect() }
    }

    fn is_cut(&self, channel: ChannelId, number: u8, time: u64, knows: At) -> bool {
        let past = [self.world.id(knows)];
        let said = Said {
            identity: self.world.who(ADA),
            channel,
            tip: self.tip(number),
            timestamp: Timestamp::from_micros(time),
            past: &past,
        };
        self.world.authority.is_cut(&said, is_up_to)
    }
}

#[test]
fn words_beyond_the_line_do_not_count_until_more_was_heard() {
    let mut room = Room::new();
    let ada = room.ada;
    assert!(!room.is_cut(ROOM, 9, 1_001, ada));
    let removal = room.world.removal(ADA, vec![room.line(ROOM, &[2])]);
    let kick = room.world.write(FOUNDER, &[ada], removal);
    assert_eq!(room.world.last.cut_changed, [room.world.who(ADA)].into());
    assert!(!room.is_cut(ROOM, 1, 1_001, ada) && !room.is_cut(ROOM, 2, 1_001, ada));
    assert!(room.is_cut(ROOM, 3, 1_001, ada), "beyond the line, whatever its stamp");
    let more =
        Operation::Heard { removal: room.world.id(kick), heard: vec![room.line(ROOM, &[4])] };
    let by_junior = room.world.write(OWNER, &[kick], more.clone());
    assert!(!room.world.counts(by_junior) && room.is_cut(ROOM, 3, 1_001, ada));
    room.world.write(FOUNDER, &[kick], more);
    assert_eq!(room.world.last.cut_changed, [room.world.who(ADA)].into());
    assert!(!room.is_cut(ROOM, 4, 1_001, ada) && room.is_cut(ROOM, 5, 1_001, ada));
}

#[test]
fn where_the_remover_does_not_look_the_removals_stamp_is_the_line() {
    let mut room = Room::new();
    let ada = room.ada;
    let removal = room.world.removal(ADA, vec![room.line(ROOM, &[])]);
    let kick = room.world.write_at(FOUNDER, &[ada], removal, 2_000);
    assert!(room.is_cut(ROOM, 1, 1_500, ada), "seen, and nothing heard");
    assert!(!room.is_cut(HIDDEN, 1, 2_000, ada) && room.is_cut(HIDDEN, 1, 2_001, ada));
    let more =
        Operation::Heard { removal: room.world.id(kick), heard: vec![room.line(HIDDEN, &[3])] };
    room.world.write_at(FOUNDER, &[kick], more, 2_100);
    assert!(!room.is_cut(HIDDEN, 3, 2_001, ada) && room.is_cut(HIDDEN, 4, 1_500, ada));
}

#[test]
fn of_several_removals_the_strictest_holds_and_a_later_admission_frees() {
    let mut room = Room::new();
    let ada = room.ada;
    let far = room.world.removal(ADA, vec![room.line(ROOM, &[5])]);
    let near = room.world.removal(ADA, vec![room.line(ROOM, &[2])]);
    let far = room.world.write(FOUNDER, &[ada], far);
    assert!(!room.is_cut(ROOM, 4, 1_001, ada));
    let near = room.world.write(OWNER, &[ada], near);
    assert!(room.is_cut(ROOM, 4, 1_001, ada) && !room.is_cut(ROOM, 2, 1_001, ada));
    let open = room.open;
    let half = room.world.admit(FOUNDER, &[far], open, ADA);
    assert!(room.is_cut(ROOM, 9, 1_001, half), "not later than the other removal");
    let (who, id) = (room.world.who(ADA), |room: &Room, at| room.world.id(at));
    assert!(room.world.authority.is_outrun(&who, &id(&room, half)));
    let back = room.world.admit(FOUNDER, &[near, half], open, ADA);
    let vote = room.world.sign(ADA, &[back], PayloadType::Vote, vec![1]);
    let vote = room.world.arrive(vote);
    assert!(!room.world.authority.is_outrun(&who, &id(&room, vote)), "known to none, and freed");
    assert!(!room.world.authority.is_outrun(&who, &id(&room, ada)), "known to both removers");
    assert!(!room.is_cut(ROOM, 9, 1_001, back));
    assert!(room.is_cut(ROOM, 4, 1_001, ada), "what was said before stays cut");
}

#[test]
fn leaving_filters_nothing() {
    let mut room = Room::new();
    let ada = room.ada;
    room.world.write(ADA, &[ada], Operation::Leave);
    assert!(!room.is_cut(ROOM, 9, 4_000, ada));
}

#[test]
fn of_a_forked_log_each_tip_is_a_line() {
    let room = Room::new();
    let (a, b) = (room.tip(3), Tip { id: EnvelopeId::new([77; 32]), ..room.tip(3) });
    assert!(is_up_to(a, a) && !is_up_to(b, a) && is_up_to(room.tip(2), b));
}

#[test]
fn the_control_line_cuts_the_making_of_a_channel_by_an_owner() {
    let mut world = World::new(2, 5);
    let heard = world.make_channel(OWNER, &[0], false);
    let unheard = world.make_channel(OWNER, &[heard], false);
    assert!(world.counts(heard) && world.counts(unheard));
    let line = HeardLine { channel: world.control(), tips: vec![world.envelopes[heard].tip()] };
    let removal = world.removal(OWNER, vec![line]);
    world.write(FOUNDER, &[heard], removal);
    assert!(world.counts(heard) && !world.counts(unheard));
    assert_eq!(world.last.no_longer, [world.id(unheard)]);
    let channels = world.authority.now();
    let channels: Vec<_> = channels.channels().keys().map(|id| *id.as_bytes()).collect();
    assert_eq!(channels, [*world.id(heard).as_bytes()]);
}

#[test]
fn a_channel_made_without_the_capability_does_not_count() {
    let mut room = Room::new();
    let ada = room.ada;
    let made = room.world.make_channel(ADA, &[ada], false);
    assert!(!room.world.counts(made));
}
