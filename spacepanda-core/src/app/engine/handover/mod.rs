//! Messages that cannot be opened here, and how others hand them over.
//!
//! Whoever opened a message keeps its salt beside its text: with both they prove to anybody who is
//! entitled that the author wrote just this. What is asked of whom is kept in memory; what waits is kept
//! in rows, so that a restart forgets none of it.

mod ask;
mod frames;
mod give;
mod take;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[cfg(any(test, fuzzing))]
pub(super) use frames::Handed;
pub(super) use frames::{Answer, Answers, Asks, Frame};

use crate::base::{ChannelId, IdentityId, PeerId, Timestamp, Tip};

/// How long one's own replay is given before anybody is asked.
const REPLAY_PATIENCE: Duration = Duration::from_secs(3);
/// How long what nobody's replay will open is gathered, so that one request names much of it.
const GATHER: Duration = Duration::from_millis(200);
/// How long a peer has to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// The pause after everybody was asked in vain; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_secs(15);
/// The longest such pause. Whoever connects is asked at once; what nobody ever opened, as a hostile member
/// can write, must not keep everybody busy for ever.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Peers of one server that have to answer at once, each for one request.
const ASKS_MAX: usize = 8;

/// When others are asked for what no state of the group will open here.
pub(super) fn at_once(now: Timestamp) -> Timestamp {
    now.saturating_add(GATHER)
}

/// When others are asked for what one's own replay may still open.
pub(super) fn in_a_moment(now: Timestamp) -> Timestamp {
    now.saturating_add(REPLAY_PATIENCE)
}

/// A message's place: its channel, and where it stands there.
type Place = (ChannelId, Tip);

/// What of one server cannot be opened here, and who was asked for it.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    wanted: BTreeMap<Place, Wanted>,
    /// Requests that wait for their answer, one per peer.
    asks: BTreeMap<PeerId, Ask>,
    /// When somebody is to be asked, or has not answered.
    at: Option<Timestamp>,
    /// What was told last of how much waits, and who was asked.
    told: (usize, Vec<String>),
}

/// A message that is asked for.
#[derive(Debug)]
struct Wanted {
    /// From when on others are asked.
    from: Timestamp,
    /// Who was asked in this round: each once.
    round: BTreeSet<PeerId>,
    /// Whose answer is awaited.
    with: Option<PeerId>,
    /// How many rounds asked everybody in vain.
    rounds: u32,
    /// Whether a round is over and the next has not begun.
    rests: bool,
    /// Who was asked at all.
    people: BTreeSet<IdentityId>,
}

/// A request that was sent.
#[derive(Debug)]
struct Ask {
    channel: ChannelId,
    tips: BTreeSet<Tip>,
    until: Timestamp,
}

impl HandOver {
    /// Notes that a message cannot be opened here, and from when on others are asked for it.
    pub(super) fn want(&mut self, channel: ChannelId, tip: Tip, from: Timestamp) {
        let wanted = self.wanted.entry((channel, tip)).or_insert_with(|| Wanted::from(from));
        if !wanted.rests {
            wanted.from = wanted.from.min(from);
        }
        self.at = Some(self.at.map_or(wanted.from, |at| at.min(wanted.from)));
    }

    /// A message is opened, or nobody will ever open it.
    pub(super) fn forget(&mut self, channel: &ChannelId, tip: &Tip) {
        self.wanted.remove(&(*channel, *tip));
    }

    /// Somebody connected: they are asked for whatever still waits.
    pub(super) fn meet(&mut self, peer: &PeerId, now: Timestamp) {
        self.drop_ask(peer);
        for wanted in self.wanted.values_mut() {
            wanted.round.remove(peer);
            if std::mem::take(&mut wanted.rests) {
                wanted.from = now;
            }
        }
    }

    /// A peer was shown all that is in a channel: what it did not hold when it connected it may have opened
    /// by then, so it is asked once more for what still waits.
    pub(super) fn catch_up(&mut self, peer: &PeerId, channel: &ChannelId, from: Timestamp) {
        let waits = self.wanted.iter_mut().filter(|((of, _), _)| of == channel);
        for (_, wanted) in waits.filter(|(_, wanted)| wanted.with != Some(*peer)) {
            if wanted.round.remove(peer) && std::mem::take(&mut wanted.rests) {
                wanted.from = from;
                self.at = Some(self.at.map_or(from, |at| at.min(from)));
            }
        }
    }

    /// When time alone calls for something.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.at
    }

    /// A peer's request is over: what it did not answer may be asked of others.
    fn drop_ask(&mut self, peer: &PeerId) -> Option<Ask> {
        let ask = self.asks.remove(peer)?;
        for tip in &ask.tips {
            self.not_held(&(ask.channel, *tip), peer);
        }
        Some(ask)
    }

    /// A peer does not hand over what it was asked for.
    fn not_held(&mut self, place: &Place, peer: &PeerId) {
        if let Some(wanted) = self.wanted.get_mut(place) {
            wanted.with = wanted.with.filter(|with| with != peer);
        }
    }

    /// Whether a peer was asked for a message that still waits.
    fn was_asked(&self, place: &Place, peer: &PeerId) -> bool {
        self.wanted.get(place).is_some_and(|wanted| wanted.round.contains(peer))
    }

    /// Gives up requests that nobody answered in time.
    fn expire(&mut self, now: Timestamp) {
        let late = self.asks.iter().filter(|(_, ask)| ask.until <= now);
        for peer in late.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.drop_ask(&peer);
        }
    }

    /// Finds when time calls for something next.
    fn plan(&mut self, now: Timestamp) {
        let from = self.wanted.values().map(|wanted| wanted.from).filter(|from| *from > now);
        self.at = from.chain(self.asks.values().map(|ask| ask.until)).min();
    }
}

impl Wanted {
    fn from(from: Timestamp) -> Self {
        Self {
            from,
            round: BTreeSet::new(),
            with: None,
            rounds: 0,
            rests: false,
            people: BTreeSet::new(),
        }
    }

    /// Whether somebody is to be asked now. What rested begins a new round.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.with.is_none() && self.from <= now;
        if due && std::mem::take(&mut self.rests) {
            self.round.clear();
        }
        due
    }

    /// Everybody who is here was asked in vain.
    fn rest(&mut self, now: Timestamp) {
        if self.round.is_empty() {
            return;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.rounds.min(16)).min(PAUSE_MAX);
        (self.from, self.rests) = (now.saturating_add(pause), true);
        self.rounds += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, EnvelopeId};

    const PEER: PeerId = DeviceId::new([1; 32]);
    const CHANNEL: ChannelId = ChannelId::new([2; 32]);

    fn tip() -> Tip {
        Tip { device: DeviceId::new([3; 32]), number: 1, id: EnvelopeId::new([4; 32]) }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut wanted = Wanted::from(at(0));
        wanted.round.insert(PEER);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            wanted.rest(at(0));
            pauses.push(wanted.from.since(at(0)));
        }
        assert_eq!(pauses[..3], [PAUSE_MIN, PAUSE_MIN * 2, PAUSE_MIN * 4]);
        assert_eq!(pauses.last(), Some(&PAUSE_MAX));
    }

    #[test]
    fn who_connects_ends_a_pause_and_others_are_not_asked_again() {
        let other = DeviceId::new([9; 32]);
        let mut handover = HandOver::default();
        handover.want(CHANNEL, tip(), at(0));
        let wanted = handover.wanted.get_mut(&(CHANNEL, tip())).expect("it was just put");
        wanted.round.extend([PEER, other]);
        wanted.rest(at(0));
        assert!(!wanted.is_due(at(1)));
        handover.meet(&PEER, at(1));
        assert!(!handover.was_asked(&(CHANNEL, tip()), &PEER));
        assert!(handover.was_asked(&(CHANNEL, tip()), &other));
        assert!(handover.wanted.values_mut().all(|wanted| wanted.is_due(at(1))));
    }

    #[test]
    fn who_was_shown_a_channel_is_asked_once_more_for_what_waits_there() {
        let (elsewhere, place) = (ChannelId::new([5; 32]), (CHANNEL, tip()));
        let mut handover = HandOver::default();
        handover.want(CHANNEL, tip(), at(0));
        let wanted = handover.wanted.get_mut(&place).expect("it was just put");
        wanted.round.insert(PEER);
        wanted.rounds = 30;
        wanted.rest(at(0));
        handover.plan(at(0));
        handover.catch_up(&PEER, &elsewhere, at(3));
        assert!(handover.was_asked(&place, &PEER));
        handover.catch_up(&PEER, &CHANNEL, at(3));
        assert!(!handover.was_asked(&place, &PEER));
        assert_eq!(handover.deadline(), Some(at(3)));
        assert!(!handover.wanted.values_mut().any(|wanted| wanted.is_due(at(2))));
        assert!(handover.wanted.values_mut().all(|wanted| wanted.is_due(at(3))));
    }

    #[test]
    fn whoever_does_not_answer_in_time_is_given_up() {
        let mut handover = HandOver::default();
        handover.want(CHANNEL, tip(), at(0));
        let wanted = handover.wanted.get_mut(&(CHANNEL, tip())).expect("it was just put");
        (wanted.with, wanted.round) = (Some(PEER), BTreeSet::from([PEER]));
        let ask = Ask { channel: CHANNEL, tips: BTreeSet::from([tip()]), until: at(5) };
        handover.asks.insert(PEER, ask);
        handover.plan(at(0));
        assert_eq!(handover.deadline(), Some(at(5)));
        handover.expire(at(4));
        assert!(!handover.wanted.values_mut().any(|wanted| wanted.is_due(at(4))));
        handover.expire(at(5));
        assert!(handover.wanted.values_mut().all(|wanted| wanted.is_due(at(5))));
        handover.plan(at(5));
        assert_eq!(handover.deadline(), None);
    }

    #[test]
    fn once_nothing_waits_time_calls_for_nothing() {
        let mut handover = HandOver::default();
        handover.want(CHANNEL, tip(), at(5));
        handover.plan(at(0));
        assert!(!handover.is_over());
        assert_eq!(handover.deadline(), Some(at(5)));
        handover.forget(&CHANNEL, &tip());
        assert!(handover.is_over());
        assert_eq!(handover.deadline(), None);
    }
}
