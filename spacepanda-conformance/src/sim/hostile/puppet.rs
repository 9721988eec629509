use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Act, Input, Link},
    base::{DeviceId, Secret, Timestamp, Tip, cbor},
    state::link::{Kind, Me, Output, Session},
};

use super::{
    super::{guest::Guest, network::Network},
    frames::{HandOver, TreeFrame},
};

/// How long somebody stays on a link.
const STAYS: Duration = Duration::from_secs(2);
/// How long somebody stays who waits to be asked.
const LIES_FOR: Duration = Duration::from_secs(20);

/// What is said on a link.
pub(super) enum Parcel {
    Message(Kind, Vec<u8>),
    /// Bytes that are no frame.
    Raw(Vec<u8>),
}

/// Somebody dials a node as `me` and says this.
pub(super) struct Errand {
    pub(super) to: usize,
    pub(super) me: Me,
    pub(super) meeting: Option<Secret<32>>,
    pub(super) parcels: Vec<Parcel>,
    /// Whether whatever is asked is answered, untruly.
    pub(super) lies: bool,
}

/// Who speaks for a hostile member, with their keys and on links of their own.
#[derive(Default)]
pub(in super::super) struct Puppet {
    me: Option<Me>,
    dials: BTreeMap<u64, Errand>,
    links: BTreeMap<Link, Talk>,
    last_dial: u64,
    /// The messages that were handed over to it, and to which device.
    handed: Vec<(DeviceId, Tip)>,
}

struct Talk {
    session: Session,
    me: Me,
    parcels: Vec<Parcel>,
    lies: bool,
    until: Timestamp,
}

impl Puppet {
    pub(super) fn send(&mut self, errands: Vec<Errand>, _now: Timestamp) -> Vec<Act> {
        let mut acts = Vec::new();
        for errand in errands {
            self.me.get_or_insert_with(|| errand.me.clone());
            self.last_dial += 1;
            acts.push(Act::Dial(self.last_dial, vec![Network::address(errand.to)]));
            self.dials.insert(self.last_dial, errand);
        }
        acts
    }

    /// What was handed over since this was asked last.
    pub(super) fn take_handed(&mut self) -> Vec<(DeviceId, Tip)> {
        std::mem::take(&mut self.handed)
    }

    fn dialled(&mut self, link: Link, dial: u64, now: Timestamp, seed: &Secret<32>) -> Vec<Act> {
        let Some(Errand { me, meeting, parcels, lies, .. }) = self.dials.remove(&dial) else {
            return vec![Act::Close(link)];
        };
        let Ok((session, first)) = Session::dial(seed, me.clone(), meeting) else {
            return vec![Act::Close(link)];
        };
        let until = now.saturating_add(if lies { LIES_FOR } else { STAYS });
        self.links.insert(link, Talk { session, me, parcels, lies, until });
        vec![Act::Send(link, first)]
    }

    /// Somebody believed a false address.
    fn found(&mut self, link: Link, now: Timestamp, seed: &Secret<32>) -> Vec<Act> {
        let (Some(me), Ok(session)) = (self.me.clone(), Session::accept(seed)) else {
            return vec![Act::Close(link)];
        };
        let until = now.saturating_add(LIES_FOR);
        self.links.insert(link, Talk { session, me, parcels: Vec::new(), lies: true, until });
        Vec::new()
    }

    fn frame(&mut self, link: Link, bytes: &Bytes) -> Vec<Act> {
        let Some(talk) = self.links.get_mut(&link) else { return Vec::new() };
        match talk.read(bytes, &mut self.handed) {
            Some(frames) => frames.into_iter().map(|frame| Act::Send(link, frame)).collect(),
            None => {
                self.links.remove(&link);
                vec![Act::Close(link)]
            }
        }
    }

    fn hang_up(&mut self, now: Timestamp) -> Vec<Act> {
        let over = self.links.iter().filter(|(_, talk)| talk.until <= now);
        let over: Vec<Link> = over.map(|(link, _)| *link).collect();
        over.iter().for_each(|link| {
            self.links.remove(link);
        });
        over.into_iter().map(Act::Close).collect()
    }
}

impl Talk {
    /// What is said to a frame, with what it hands over noted; `None` if the link is of no more use.
    fn read(&mut self, frame: &Bytes, handed: &mut Vec<(DeviceId, Tip)>) -> Option<Vec<Bytes>> {
        let mut said = Vec::new();
        for output in self.session.read(frame).ok()? {
            match output {
                Output::Send(frame) => said.push(frame),
                Output::Asks(_) => said.push(self.session.accept_peer(&self.me).ok()?),
                Output::Established(_) => said.extend(self.say()),
                Output::Message(kind, message) if self.lies => {
                    said.extend(self.lie(kind, &message));
                }
                Output::Message(Kind::HandOver, message) => {
                    let answers = cbor::decode_lenient::<HandOver>(&message).ok();
                    let tips = answers.iter().flat_map(HandOver::handed);
                    handed.extend(tips.map(|tip| (self.me.certificate.device(), tip)));
                }
                Output::Message(..) => {}
            }
        }
        Some(said)
    }

    fn say(&mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        for parcel in std::mem::take(&mut self.parcels) {
            match parcel {
                Parcel::Message(kind, message) => {
                    frames.extend(self.session.write(kind, &message).unwrap_or_default());
                }
                Parcel::Raw(bytes) => frames.push(bytes.into()),
            }
        }
        frames
    }

    fn lie(&mut self, kind: Kind, message: &[u8]) -> Vec<Bytes> {
        let (kind, answer) = match kind {
            Kind::TreeRequest => match cbor::decode_lenient::<TreeFrame>(message) {
                Ok(asked) => {
                    (Kind::Tree, cbor::encode(&TreeFrame { tree: Some(vec![3; 700]), ..asked }))
                }
                Err(_) => return Vec::new(),
            },
            Kind::HandOver => match cbor::decode_lenient::<HandOver>(message) {
                Ok(HandOver { tag: HandOver::ASKS, server, channel, tips: Some(tips), .. }) => {
                    (Kind::HandOver, HandOver::untrue(server, channel, &tips))
                }
                _ => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        self.session.write(kind, &answer).unwrap_or_default()
    }
}

impl Guest for Puppet {
    fn take(&mut self, input: Input, now: Timestamp, seed: Secret<32>) -> Vec<Act> {
        match input {
            Input::Connected { link, dial: Some(dial) } => self.dialled(link, dial, now, &seed),
            Input::Connected { link, dial: None } => self.found(link, now, &seed),
            Input::DialFailed { dial } => {
                self.dials.remove(&dial);
                Vec::new()
            }
            Input::Frame { link, bytes } => self.frame(link, &bytes),
            Input::Disconnected { link } => {
                self.links.remove(&link);
                Vec::new()
            }
            Input::Tick => self.hang_up(now),
            _ => Vec::new(),
        }
    }

    fn invited(&mut self, _link: &str, _now: Timestamp, _seed: Secret<32>) -> Vec<Act> {
        Vec::new()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.links.values().map(|talk| talk.until).min()
    }
}
