use std::collections::BTreeMap;

use spacepanda_core::{
    base::{ChannelId, EnvelopeId, Secret, Timestamp, Tip},
    state::{
        envelope::{Header, PayloadType, VERSION, Verified, order_after},
        identity::{DeviceCertificate, KeyPair},
        link::{Kind, Me},
    },
};

use super::{
    super::{
        chance::Chance,
        plan::{Deed, Malice},
    },
    frames,
    held::Held,
    puppet::{Errand, Parcel},
};

/// Envelopes of one frame.
const PER_FRAME: usize = 8;

/// One deed being done.
pub(super) struct Plot {
    pub(super) held: Held,
    pub(super) chance: Chance,
    pub(super) now: Timestamp,
    /// Whom it may be done to.
    pub(super) honest: Vec<usize>,
    /// Every invite's link, the founder's first.
    pub(super) links: Vec<String>,
    /// The node of whoever does it.
    pub(super) puppet: usize,
    /// Every message that anybody wrote, by channel: somebody can have told them.
    pub(super) messages: BTreeMap<ChannelId, Vec<Tip>>,
}

impl Plot {
    pub(super) fn new(
        held: Held,
        deed: Deed,
        now: Timestamp,
        honest: Vec<usize>,
        links: Vec<String>,
        puppet: usize,
        messages: BTreeMap<ChannelId, Vec<Tip>>,
    ) -> Self {
        let chance = Chance::new(u64::from(deed.number), "deed");
        Self { held, chance, now, honest, links, puppet, messages }
    }

    /// Who is told what.
    pub(super) fn errands(mut self, malice: Malice) -> Vec<Errand> {
        match malice {
            Malice::Fork => self.fork(),
            Malice::Backdate => self.backdate(),
            Malice::Flood => self.flood(),
            Malice::Addresses => self.addresses(),
            Malice::Usurp => self.usurp(),
            Malice::Readmit => self.readmit(),
            Malice::Commit => self.commit(),
            Malice::Grind => self.grind(),
            Malice::Vote => self.vote(),
            Malice::Plead => self.plead(),
            Malice::Replay => self.replay(),
            Malice::Withhold => self.withhold(),
            Malice::Garbage => self.garbage(),
            Malice::Root => self.root(),
            Malice::Lie => self.lie(),
            Malice::Intrude => self.intrude(),
            Malice::Smuggle => self.smuggle(),
            Malice::Ask => self.ask(),
            Malice::Vouch => self.vouch(),
            Malice::Snare => self.snare(),
            Malice::Crowd => self.crowd(),
        }
    }

    /// The header of the next envelope in a channel, as an honest node would begin it.
    pub(super) fn header(
        &self,
        channel: ChannelId,
        payload_type: PayloadType,
        payload: Vec<u8>,
    ) -> Header {
        let sender = self.held.device();
        let own = self.own_tip(channel);
        let control = (channel != self.held.control).then(|| self.tips(self.held.control, None));
        Header {
            version: VERSION,
            channel,
            sender,
            sequence: own.map_or(1, |own| own.number + 1),
            previous: own.map(|own| own.id),
            parents: self.tips(channel, own),
            control,
            timestamp: self.now,
            order: 0,
            payload_type,
            payload,
            body: None,
        }
    }

    fn tips(&self, channel: ChannelId, own: Option<Tip>) -> Vec<Tip> {
        let frontier = self.held.logs.get(&channel).map(|log| &log.frontier);
        let tips = frontier.into_iter().flat_map(|frontier| frontier.tips());
        let mut tips: Vec<Tip> = tips.filter(|tip| Some(*tip) != own).collect();
        tips.sort_unstable();
        tips.truncate(24);
        tips
    }

    /// Where one's own log of a channel ends.
    pub(super) fn own_tip(&self, channel: ChannelId) -> Option<Tip> {
        let log = self.held.logs.get(&channel)?;
        log.frontier.of(&self.held.device()).next()
    }

    /// Signs an envelope at the place in time that follows from what it names.
    pub(super) fn sign(&self, header: Header, body: Option<Vec<u8>>) -> Option<Verified> {
        self.sign_as(header, body, &self.held.me.device)
    }

    /// The same with the key of another device.
    pub(super) fn sign_as(
        &self,
        mut header: Header,
        body: Option<Vec<u8>>,
        device: &KeyPair,
    ) -> Option<Verified> {
        header.order = order_after(header.timestamp, self.orders(&header));
        Verified::sign(header, body.map(Into::into), device).ok()
    }

    fn orders(&self, header: &Header) -> Vec<u64> {
        let named: Vec<EnvelopeId> = header.named().collect();
        let held = self.held.log(&header.channel).iter();
        held.filter(|envelope| named.contains(&envelope.id()))
            .map(|envelope| envelope.header().order)
            .collect()
    }

    /// Writes one envelope after another.
    pub(super) fn chain(
        &mut self,
        channel: ChannelId,
        payloads: Vec<(PayloadType, Vec<u8>)>,
    ) -> Vec<Verified> {
        let mut written = Vec::new();
        for (payload_type, payload) in payloads {
            let header = self.header(channel, payload_type, payload);
            let Some(envelope) = self.sign(header, None) else { continue };
            self.keep(&envelope);
            written.push(envelope);
        }
        written
    }

    /// What is written next follows this.
    pub(super) fn keep(&mut self, envelope: &Verified) {
        let header = envelope.header();
        let Some(log) = self.held.logs.get_mut(&header.channel) else { return };
        log.frontier.advance(envelope.tip(), header.previous.as_ref());
        log.entries.push(envelope.clone());
    }

    /// Tells every honest node, or some, in one link each.
    pub(super) fn tell(&mut self, envelopes: &[Verified]) -> Vec<Errand> {
        let to = if self.chance.once_in(3) { self.some() } else { self.honest.clone() };
        to.into_iter().map(|to| self.errand(to, pushed(envelopes))).collect()
    }

    pub(super) fn errand(&self, to: usize, parcels: Vec<Parcel>) -> Errand {
        Errand { to, me: self.held.me.clone(), meeting: None, parcels, lies: false }
    }

    /// Some of the honest, one at least if there is one.
    pub(super) fn some(&mut self) -> Vec<usize> {
        let first = self.chance.index(self.honest.len().max(1));
        let honest = self.honest.clone().into_iter().enumerate();
        honest.filter(|(at, _)| *at == first || self.chance.once_in(2)).map(|(_, to)| to).collect()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(32) {
            part.copy_from_slice(&self.chance.secret().expose()[..part.len()]);
        }
        bytes
    }

    pub(super) fn noise(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.chance.index(len_max);
        (0..len).map(|_| self.chance.below(256) as u8).collect()
    }

    /// One of these.
    pub(super) fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.chance.index(all.len())].clone())
    }

    /// Somebody whom nobody let in.
    pub(super) fn stranger(&mut self) -> Me {
        let identity = KeyPair::from_secret(self.chance.secret());
        let device = KeyPair::from_secret(self.chance.secret());
        let id = spacepanda_core::base::DeviceId::new(*device.public());
        let certificate = DeviceCertificate::issue(&identity, id, self.now);
        Me { certificate, device }
    }

    pub(super) fn seed(&mut self) -> Secret<32> {
        self.chance.secret()
    }
}

/// Frames that push envelopes.
pub(super) fn pushed(envelopes: &[Verified]) -> Vec<Parcel> {
    let mut parcels = Vec::new();
    for (turn, portion) in envelopes.chunks(PER_FRAME).enumerate() {
        let Some(channel) = portion.first().map(|envelope| envelope.header().channel) else {
            break;
        };
        let (those, rest): (Vec<_>, Vec<_>) =
            portion.iter().cloned().partition(|envelope| envelope.header().channel == channel);
        let frame = if turn % 2 == 0 { frames::news } else { frames::page };
        parcels.push(Parcel::Message(Kind::Sync, frame(channel, &those)));
        parcels.extend(pushed(&rest));
    }
    parcels
}
