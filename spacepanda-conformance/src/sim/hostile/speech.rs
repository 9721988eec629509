//! What is said, withheld, repeated and made up.

use spacepanda_core::{
    base::{ChannelId, MessageId, StateId, Tip, limits::HAND_OVER_TIPS_MAX},
    state::{
        crdt::{Content, timeline::Text},
        envelope::{Header, PayloadType, Verified},
        link::Kind,
        mls::{MessagePayload, commitment},
    },
};

use super::{
    frames::{self, HandOver},
    operations::LATEST,
    plot::{Plot, pushed},
    puppet::{Errand, Parcel},
};

/// The most that is repeated at once.
const REPEATED_MAX: usize = 24;

impl Plot {
    /// A message that everybody can open who is in the state of whoever says it.
    pub(super) fn said(&mut self, channel: ChannelId, word: &str) -> Option<Verified> {
        let text = format!("{word} {}", self.chance.below(1_000));
        let content = Content::Text { text: Text::new(&text).ok()? }.encode();
        let (id, seed) = (MessageId::new(self.bytes()), self.seed());
        let device = self.held.me.device.clone();
        let group = self.held.groups.last_mut()?;
        let sealed = group.encrypt(&device, &channel, &content, id, &seed).ok()?;
        let header = self.header(channel, PayloadType::Message, sealed.payload.encode());
        self.sign(header, Some(sealed.body.to_vec()))
    }

    /// A message in a state that nobody ever was in, or whose body is nothing.
    pub(super) fn unopenable(&mut self, channel: ChannelId) -> Option<Verified> {
        let state = match self.chance.below(2) {
            0 => StateId::new(self.bytes()),
            _ => self.held.groups.last()?.state_id(),
        };
        self.unopenable_in(channel, state)
    }

    /// A message in this state whose body is nothing.
    pub(super) fn unopenable_in(&mut self, channel: ChannelId, state: StateId) -> Option<Verified> {
        let id = MessageId::new(self.bytes());
        let commitment = commitment(&[8; 32], &[7; 9]);
        let payload = MessagePayload { id, state, commitment }.encode();
        let body = self.noise(200);
        self.sign(self.header(channel, PayloadType::Message, payload), Some(body))
    }

    /// Something that some hear and others do not, or hear without what it says.
    pub(super) fn withhold(&mut self) -> Vec<Errand> {
        let Some(channel) = self.one_of(&self.held.channels()) else { return Vec::new() };
        let mut written = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let Some(envelope) = self.said(channel, "hush") else { break };
            self.keep(&envelope);
            written.push(envelope);
        }
        let bare: Vec<_> = written.iter().map(|it| it.clone().without_body()).collect();
        let whole = self.some();
        let with_bodies = self.chance.once_in(2);
        let honest = self.honest.clone().into_iter();
        honest
            .filter_map(|to| match whole.contains(&to) && with_bodies {
                true => Some(self.errand(to, pushed(&written))),
                false if whole.contains(&to) => Some(self.errand(to, pushed(&bare))),
                false => None,
            })
            .collect()
    }

    /// What was written before, where it belongs and where it does not.
    pub(super) fn replay(&mut self) -> Vec<Errand> {
        let channels: Vec<_> = self.held.logs.keys().copied().collect();
        let Some(from) = self.one_of(&channels) else { return Vec::new() };
        let log = self.held.log(&from).to_vec();
        let mut repeated = Vec::new();
        for _ in 0..self.chance.index(REPEATED_MAX) {
            repeated.extend(self.one_of(&log));
        }
        let to_channel = self.one_of(&channels).unwrap_or(from);
        let mut parcels = pushed(&repeated);
        for portion in repeated.chunks(8) {
            parcels.push(Parcel::Message(Kind::Sync, frames::news(to_channel, portion)));
        }
        for envelope in &repeated {
            parcels.push(Parcel::Message(Kind::Sync, frames::body(from, envelope)));
        }
        let elsewhere = repeated.iter().filter_map(|it| self.transplanted(it)).take(3);
        parcels.extend(pushed(&elsewhere.collect::<Vec<_>>()));
        let to = self.some();
        to.into_iter().map(|to| self.errand(to, again(&parcels))).collect()
    }

    /// The payload and body of somebody else's envelope, signed as one's own, in another channel.
    fn transplanted(&self, envelope: &Verified) -> Option<Verified> {
        let header = envelope.header();
        let mut channels = self.held.channels().into_iter();
        let channel = match header.payload_type {
            PayloadType::Message => channels.find(|channel| *channel != header.channel),
            _ => Some(self.held.control),
        };
        let body = envelope.body().map(|body| body.to_vec());
        let own = self.header(channel?, header.payload_type, header.payload.clone());
        self.sign(own, body)
    }

    pub(super) fn garbage(&mut self) -> Vec<Errand> {
        let mut errands = Vec::new();
        for to in self.some() {
            let mut parcels = Vec::new();
            let kinds = (0..16).filter_map(Kind::from_code);
            for kind in kinds {
                let bytes = self.noise(400);
                parcels.push(Parcel::Message(kind, bytes));
            }
            parcels.push(Parcel::Message(Kind::Sync, self.untrue_frontier()));
            let broken = self.noise(300);
            parcels.push(Parcel::Raw(broken));
            let from = self.chance.index(parcels.len());
            parcels.rotate_left(from);
            errands.push(self.errand(to, parcels));
        }
        errands.extend(self.misplaced());
        errands
    }

    /// A frontier that names much which there is not.
    fn untrue_frontier(&mut self) -> Vec<u8> {
        let device = self.held.device();
        let mut tips: Vec<Tip> = (0..40)
            .map(|number| Tip {
                device,
                number: number + 1,
                id: spacepanda_core::base::EnvelopeId::new(self.bytes()),
            })
            .collect();
        tips.sort_unstable();
        frames::frontier(self.held.control, self.chance.below(9), &tips)
    }

    /// Envelopes that are signed and make no sense: of no known kind, too late, too high.
    fn misplaced(&mut self) -> Vec<Errand> {
        let noise = self.noise(200);
        let base = self.header(self.held.control, PayloadType::Newer(77), noise);
        let channel = self.one_of(&self.held.channels()).unwrap_or(self.held.control);
        let late = Header { timestamp: LATEST, ..base.clone() };
        let high = Header { sequence: base.sequence + 7, ..base.clone() };
        let other = Header {
            payload_type: PayloadType::Vote,
            ..self.header(channel, PayloadType::Vote, base.payload.clone())
        };
        let headers = [base, late, high, other];
        let Some(header) = self.one_of(&headers) else { return Vec::new() };
        let written: Vec<_> = self.sign(header, None).into_iter().collect();
        self.tell(&written)
    }

    /// Waits for questions on every link, and asks for what is not there to be asked.
    pub(super) fn lie(&mut self) -> Vec<Errand> {
        let Some(channel) = self.one_of(&self.held.channels()) else { return Vec::new() };
        let written: Vec<_> = self.unopenable(channel).into_iter().collect();
        let tips: Vec<Tip> = self.held.log(&channel).iter().map(Verified::tip).take(20).collect();
        let untrue = HandOver::untrue(self.held.server, channel, &tips);
        let tree = frames::TreeFrame {
            server: self.held.server,
            state: self.one_of(&self.states()).unwrap_or_else(|| StateId::new([1; 32])),
            tree: Some(self.noise(600)),
        };
        let tree = spacepanda_core::base::cbor::encode(&tree);
        let to = self.some();
        let errand = |to| {
            let mut parcels = pushed(&written);
            parcels.push(Parcel::Message(Kind::HandOver, untrue.clone()));
            parcels.push(Parcel::Message(Kind::Tree, tree.clone()));
            Errand { lies: true, ..self.errand(to, parcels) }
        };
        to.into_iter().map(errand).collect()
    }

    /// Asks for some messages of a channel, be they for them or not.
    pub(super) fn ask(&mut self) -> Vec<Errand> {
        let channels: Vec<ChannelId> = self.messages.keys().copied().collect();
        let Some(channel) = self.one_of(&channels) else { return Vec::new() };
        let messages = &self.messages[&channel];
        let from = self.chance.index(messages.len());
        let tips: Vec<Tip> = messages[from..].iter().copied().take(HAND_OVER_TIPS_MAX).collect();
        let asks = HandOver::asks(self.held.server, channel, tips);
        let to = self.some().into_iter();
        to.map(|to| self.errand(to, vec![Parcel::Message(Kind::HandOver, asks.clone())])).collect()
    }
}

/// The same once more.
fn again(parcels: &[Parcel]) -> Vec<Parcel> {
    let copy = |parcel: &Parcel| match parcel {
        Parcel::Message(kind, message) => Parcel::Message(*kind, message.clone()),
        Parcel::Raw(bytes) => Parcel::Raw(bytes.clone()),
    };
    parcels.iter().map(copy).collect()
}
