mod book;
mod unproven;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;

use super::{
    event::Event,
    frames::{AddressRecord, JoinReply, JoinRequestFrame, Records, Tree, TreeRequest},
    input::{Act, Input, Link},
    machine::{Cx, Machine, Node, Work},
    server::Server,
};
use crate::{
    base::{
        DeviceId, IdentityId, PeerId, Secret, ServerId, Timestamp, cbor,
        limits::DEVICES_PER_IDENTITY_MAX,
    },
    state::{
        identity::VerifiedCertificate,
        link::{Kind, Output, Session, meeting_of_members},
        sync::{self, SyncEngine},
    },
};

/// Within this time two links with one device were made at once, and one of them has to yield; a later
/// one says that the other side has lost the first.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Links with people whom nobody here knows as members yet, and who do not come by an invite.
const STRANGERS_MET_MAX: usize = 16;
/// Links with the devices of one person: with each of those that may count, and with as many that come and go.
const LINKS_PER_IDENTITY_MAX: usize = 2 * DEVICES_PER_IDENTITY_MAX;

/// Every link, whom it leads to, and whom to dial.
#[derive(Default)]
pub(super) struct Links {
    open: BTreeMap<Link, Open>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    dials: BTreeMap<u64, Dial>,
    next_dial: u64,
    pub(super) book: BTreeMap<DeviceId, AddressRecord>,
    pub(super) strangers: BTreeMap<DeviceId, AddressRecord>,
    pub(super) redials: BTreeMap<DeviceId, Redial>,
    pub addresses: Vec<String>,
    /// When others were last told that they had wrong ones.
    pub(super) corrected_at: Option<Timestamp>,
}

struct Open {
    session: Session,
    /// What it was dialled for; `None` if somebody else dialled.
    dial: Option<Dial>,
    since: Timestamp,
    /// Whether the other side proved its device.
    proven: bool,
}

pub(super) struct Peer {
    link: Link,
    identity: IdentityId,
    dialled_by: DeviceId,
    since: Timestamp,
    /// The servers that one of us joins by the other.
    joins: BTreeSet<ServerId>,
    /// Those of them to which an invite of this node's led, which dialled them for it.
    led_to: BTreeSet<ServerId>,
    /// The server of which they have shown, when they dialled, that they know it.
    claims: Option<ServerId>,
    /// Whether more than a claim spoke for them: a certificate that is known here, or an invite.
    vouched: bool,
    /// The servers of whose devices they were told the addresses.
    told: BTreeSet<ServerId>,
}

/// Why somebody is dialled.
#[derive(Debug, Clone)]
pub(super) enum Dial {
    Member(DeviceId),
    Join(ServerId, Secret<32>, Vec<String>),
}

pub(super) struct Redial {
    pub at: Timestamp,
    pub pause_ms: u64,
    /// Since when there is no link.
    pub lost: Timestamp,
    /// Whether another device answered at its addresses: they are wrong until there are others.
    pub mistaken: bool,
}

impl Links {
    /// The devices with a proven link.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.keys().copied()
    }

    /// How many links there are, proven or not.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes a device as met, and more than a claim to speak for it or not.
    #[cfg(test)]
    pub(super) fn meet(&mut self, device: DeviceId, identity: IdentityId, vouched: bool) {
        let (link, since, joins) = (0, Timestamp::ZERO, BTreeSet::new());
        let peer = Peer {
            link,
            identity,
            dialled_by: device,
            since,
            joins,
            led_to: BTreeSet::new(),
            claims: None,
            vouched,
            told: BTreeSet::new(),
        };
        self.peers.insert(device, peer);
    }

    pub(super) fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    pub(super) fn is_online(&self, identity: &IdentityId) -> bool {
        self.peers.values().any(|peer| peer.identity == *identity)
    }

    /// Whose device a peer has proven to be.
    pub(super) fn identity_of(&self, peer: &PeerId) -> Option<IdentityId> {
        self.peers.get(peer).map(|peer| peer.identity)
    }

    /// Whether a link was made for a join of `server`.
    pub(super) fn is_for_join(&self, peer: &PeerId, server: &ServerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.joins.contains(server))
    }

    /// Whether an invite to `server` led this node to a peer.
    pub(super) fn is_led_to(&self, peer: &PeerId, server: &ServerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.led_to.contains(server))
    }

    /// Whether a peer says that they are a member of `server`, and knows at least that there is one.
    pub(super) fn claims(&self, peer: &PeerId, server: &ServerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.claims == Some(*server))
    }

    /// Those for whom nothing but a claim spoke when they came.
    pub(super) fn strangers_met(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().filter(|(_, peer)| !peer.vouched).map(|(device, _)| *device)
    }

    /// Whether a person has as many links as all of their devices need, and this would be one more: nobody takes
    /// the place of others with devices that they make for it.
    fn has_enough_of(&self, peer: &PeerId, identity: &IdentityId) -> bool {
        let theirs = self.peers.values().filter(|met| met.identity == *identity);
        !self.peers.contains_key(peer) && theirs.count() >= LINKS_PER_IDENTITY_MAX
    }

    /// The addresses of a device, if any are known.
    pub(super) fn addresses_of(&self, device: &DeviceId) -> Option<Vec<String>> {
        self.record_of(device).map(|record| record.addresses.clone())
    }

    fn record_of(&self, device: &DeviceId) -> Option<&AddressRecord> {
        self.book.get(device).filter(|record| !record.addresses.is_empty())
    }

    pub(super) fn load_book(&mut self, rows: &[(Bytes, Bytes)]) {
        for (_, value) in rows {
            if let Ok(record) = cbor::decode::<AddressRecord>(value) {
                self.book.insert(record.device, record);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let redials = self.redials.iter().filter(|(device, _)| self.is_to_be_dialled(device));
        redials.map(|(_, redial)| redial.at).chain(self.unproven_until()).min()
    }

    /// Whether a device is without a link, and can be dialled. Of whoever came and told no address
    /// there is nothing to wait for.
    fn is_to_be_dialled(&self, device: &DeviceId) -> bool {
        let linked = self.peers.contains_key(device) || self.is_dialling(device);
        !linked && self.record_of(device).is_some()
    }

    pub(super) fn is_dialling(&self, device: &DeviceId) -> bool {
        let to = |dial: &Dial| matches!(dial, Dial::Member(to) if to == device);
        self.dials.values().any(to)
            || self.open.values().any(|open| open.dial.as_ref().is_some_and(to))
    }

    /// Dials a member whom a link names, unless that is under way or led to a link that lives: two
    /// links by one dialler can end each other.
    pub(super) fn dial_to_join(
        &mut self,
        server: ServerId,
        addresses: Vec<String>,
        meeting_secret: Secret<32>,
        cx: &mut Cx<'_>,
    ) {
        let same = |dial: &Dial| {
            matches!(dial, Dial::Join(of, secret, to)
                if *of == server && secret.expose() == meeting_secret.expose() && *to == addresses)
        };
        let open = self.open.values().filter_map(|open| open.dial.as_ref());
        if !self.dials.values().chain(open).any(same) {
            self.dial(Dial::Join(server, meeting_secret, addresses.clone()), addresses, cx);
        }
    }

    pub(super) fn dial(&mut self, dial: Dial, addresses: Vec<String>, cx: &mut Cx<'_>) {
        self.next_dial += 1;
        self.dials.insert(self.next_dial, dial);
        cx.fx.acts.push(Act::Dial(self.next_dial, addresses));
    }
}

impl Machine {
    pub(super) fn connected(&mut self, link: Link, dial: Option<u64>, cx: &mut Cx<'_>) {
        let links = &mut self.node.links;
        let dial = dial.and_then(|dial| links.dials.remove(&dial));
        let yields = if dial.is_none() { links.yields() } else { None };
        if let Some(oldest) = yields {
            self.drop_link(oldest, cx);
        }
        let seed = cx.chance.secret();
        let begun = match &dial {
            None => Session::accept(&seed).map(|session| (session, None)),
            Some(dial) => {
                let meeting = match dial {
                    Dial::Join(_, secret, _) => Some(secret.clone()),
                    Dial::Member(device) => self.meeting_with(device, cx),
                };
                Session::dial(&seed, self.node.me().link_self(), meeting)
                    .map(|(session, first)| (session, Some(first)))
            }
        };
        let Ok((session, first)) = begun else {
            cx.fx.acts.push(Act::Close(link));
            return;
        };
        cx.fx.acts.extend(first.map(|frame| Act::Send(link, frame)));
        let open = Open { session, dial, since: cx.now, proven: false };
        self.node.links.open.insert(link, open);
    }

    pub(super) fn dial_failed(&mut self, dial: u64, cx: &mut Cx<'_>) {
        let dial = self.node.links.dials.remove(&dial);
        self.give_up_dial(dial, cx);
    }

    /// Plans the next try to reach a member.
    fn give_up_dial(&mut self, dial: Option<Dial>, cx: &mut Cx<'_>) {
        if let Some(Dial::Member(device)) = dial {
            self.node.links.postpone(device, cx);
        }
    }

    pub(super) fn frame(&mut self, link: Link, bytes: &Bytes, cx: &mut Cx<'_>) {
        let Some(open) = self.node.links.open.get_mut(&link) else { return };
        let outputs = match open.session.read(bytes) {
            Ok(outputs) => outputs,
            Err(_) => return self.drop_link(link, cx),
        };
        for output in outputs {
            match output {
                Output::Send(frame) => cx.fx.acts.push(Act::Send(link, frame)),
                Output::Asks(peer) | Output::Established(peer) => {
                    if !self.meet(link, &peer, cx) {
                        return self.drop_link(link, cx);
                    }
                }
                Output::Message(kind, payload) => self.message(link, kind, &payload, cx),
            }
        }
    }

    /// What shows a member, who may not have heard of us yet, of which server we are one with them. Where
    /// there are several it is one or another: a link shows one.
    fn meeting_with(&self, device: &DeviceId, cx: &mut Cx<'_>) -> Option<Secret<32>> {
        let shared = self.servers.values().filter(|server| {
            let certified = server.authority.certified(device);
            certified.is_some_and(|identity| server.is_member(&identity))
        });
        let shared: Vec<_> = shared.map(|server| server.id).collect();
        let at = cx.chance.number().checked_rem(shared.len() as u64)?;
        Some(meeting_of_members(&shared[at as usize]))
    }

    /// Somebody proved which device they are: whether to talk with them.
    fn meet(&mut self, link: Link, proven: &VerifiedCertificate, cx: &mut Cx<'_>) -> bool {
        let (peer, identity) = (proven.device(), proven.identity());
        let account = self.node.account.as_ref().expect("the first step makes the account");
        let me = account.device();
        let room = self.node.links.strangers_met().count() < STRANGERS_MET_MAX;
        let enough = self.node.links.has_enough_of(&peer, &identity);
        let Some(open) = self.node.links.open.get_mut(&link) else { return false };
        let known = |server: &Server| match server.authority.certified(&peer) {
            Some(certified) => certified == identity,
            // A device that has yet to introduce itself.
            None => server.is_member(&identity),
        };
        let shares = self.servers.values().any(known);
        let invited = |server: &&Server| {
            // Whoever comes by one that is used up or revoked is told so.
            server.authority.meeting_secrets().any(|secret| open.session.knows(&secret))
        };
        let joins: Option<ServerId> = match &open.dial {
            Some(Dial::Join(server, ..)) => Some(*server),
            Some(Dial::Member(_)) => None,
            None => self.servers.values().find(invited).map(|server| server.id),
        };
        let led_to = match &open.dial {
            Some(Dial::Join(server, ..)) => BTreeSet::from([*server]),
            _ => BTreeSet::new(),
        };
        let claimed = |server: &&Server| open.session.knows(&meeting_of_members(&server.id));
        let claims = self.servers.values().find(claimed).map(|server| server.id);
        let vouched = shares || joins.is_some();
        if peer == me || !(vouched || claims.is_some() && room) || enough {
            return false;
        }
        let dialled = open.dial.is_some();
        let meant = match &open.dial {
            Some(Dial::Member(device)) if *device != peer => Some(*device),
            _ => None,
        };
        if !dialled {
            let Ok(answer) = open.session.accept_peer(&account.link_self()) else { return false };
            cx.fx.acts.push(Act::Send(link, answer));
        }
        if let Some(device) = meant {
            // Whoever it is, it is nobody that this dial was for.
            open.dial = None;
            self.node.links.mistake(device, cx);
        }
        let dialled_by = if dialled { me } else { peer };
        let since = cx.now;
        let joins = joins.into_iter().collect();
        let told = BTreeSet::new();
        let met = Peer { link, identity, dialled_by, since, joins, led_to, claims, vouched, told };
        self.welcome(peer, met, me, cx)
    }

    /// Of two links with one device, made at once, the one dialled by the lower id stays; else the newer.
    fn welcome(&mut self, peer: PeerId, mut new: Peer, me: DeviceId, cx: &mut Cx<'_>) -> bool {
        let lower = peer.min(me);
        let identity = new.identity;
        if let Some(old) = self.node.links.peers.get_mut(&peer) {
            // Whichever stays serves what both were made for.
            old.joins.append(&mut new.joins);
            new.joins = old.joins.clone();
            old.led_to.append(&mut new.led_to);
            new.led_to = old.led_to.clone();
            old.claims = old.claims.or(new.claims);
            new.claims = old.claims;
            let at_once = cx.now.since(old.since) < AT_ONCE;
            if at_once && old.dialled_by == lower && new.dialled_by != lower {
                for server in self.servers.values_mut() {
                    server.request(&mut self.node, cx);
                }
                return false;
            }
            let old_link = old.link;
            self.node.links.peers.remove(&peer);
            self.node.links.open.remove(&old_link);
            cx.fx.acts.push(Act::Close(old_link));
        } else {
            cx.tell(Event::PeerConnected { device: peer, identity });
        }
        if let Some(open) = self.node.links.open.get_mut(&new.link) {
            open.proven = true;
        }
        let vouched = new.vouched;
        self.node.links.peers.insert(peer, new);
        self.node.links.redials.remove(&peer);
        self.node.links.hasten(cx.now);
        self.node.sync.handle(sync::Event::Connected { peer }, cx.now);
        if vouched {
            self.tell_records(peer, cx);
        }
        let ids: Vec<_> = self.servers.keys().copied().collect();
        for id in ids {
            self.node.settle(id);
            if let Some(server) = self.servers.get_mut(&id) {
                server.shares.remove(&peer);
                server.caught_up.remove(&peer);
                server.asked.values_mut().for_each(BTreeSet::clear);
                server.handover.meet(&peer, cx.now);
                server.forget_asked(&peer);
                server.request(&mut self.node, cx);
            }
        }
        true
    }

    pub(super) fn disconnected(&mut self, link: Link, cx: &mut Cx<'_>) {
        let Some(open) = self.node.links.open.remove(&link) else { return };
        let peer = self.node.links.peers.iter().find(|(_, peer)| peer.link == link);
        let lost = peer.map(|(device, peer)| (*device, peer.identity));
        if let Some((device, identity)) = lost {
            self.node.links.peers.remove(&device);
            self.node.sync.handle(sync::Event::Disconnected { peer: device }, cx.now);
            cx.tell(Event::PeerDisconnected { device, identity });
            for server in self.servers.values_mut() {
                server.shares.remove(&device);
                server.caught_up.remove(&device);
            }
            self.node.links.postpone(device, cx);
        }
        self.give_up_dial(open.dial, cx);
        self.dial_members(cx);
    }

    fn drop_link(&mut self, link: Link, cx: &mut Cx<'_>) {
        cx.fx.acts.push(Act::Close(link));
        self.disconnected(link, cx);
    }

    fn message(&mut self, link: Link, kind: Kind, payload: &Bytes, cx: &mut Cx<'_>) {
        let found = self.node.links.peers.iter().find(|(_, peer)| peer.link == link);
        let Some(peer) = found.map(|(device, _)| *device) else { return };
        match kind {
            Kind::Sync => {
                let bytes = payload.clone();
                self.node.sync.handle(sync::Event::Received { peer, bytes }, cx.now);
            }
            Kind::TreeRequest => {
                if let Ok(asked) = cbor::decode_lenient::<TreeRequest>(payload) {
                    let (server, state) = (asked.server, asked.state);
                    self.node.queue(Work::ServeTree { peer, server, state });
                }
            }
            Kind::Tree => {
                let Ok(Tree { server, state, tree }) = cbor::decode_lenient(payload) else {
                    return;
                };
                if let Some(tree) = tree {
                    self.node.queue(Work::Enter { server, state, tree: tree.into() });
                } else if let Some(server) = self.servers.get_mut(&server) {
                    server.tree_not_held(&mut self.node, &peer, &state);
                }
            }
            Kind::AddressRecords => {
                if let Ok(Records { records }) = cbor::decode_lenient(payload) {
                    self.take_records(peer, records, cx);
                }
            }
            Kind::JoinRequest => {
                if let Ok(asked) = cbor::decode_lenient::<JoinRequestFrame>(payload) {
                    self.join_requested(peer, &asked, cx);
                }
            }
            Kind::JoinReply => {
                if let Ok(reply) = cbor::decode_lenient::<JoinReply>(payload) {
                    self.join_replied(peer, &reply, cx);
                }
            }
            Kind::HandOver => self.handover_said(peer, payload, cx),
            _ => {}
        }
    }
}

impl Node {
    /// Sends a message to a peer; to one without a link it is lost, as it would be underway.
    pub(super) fn send(&mut self, peer: PeerId, kind: Kind, payload: &[u8], cx: &mut Cx<'_>) {
        let Some(link) = self.links.peers.get(&peer).map(|peer| peer.link) else { return };
        let Some(open) = self.links.open.get_mut(&link) else { return };
        for frame in open.session.write(kind, payload).unwrap_or_default() {
            cx.fx.acts.push(Act::Send(link, frame));
        }
    }

    pub(super) fn send_sync(&mut self, peer: PeerId, payload: &Bytes, cx: &mut Cx<'_>) {
        self.send(peer, Kind::Sync, payload, cx);
    }

    /// Ends every link: whoever is at the other end knows this node by a device that it was.
    pub(super) fn close_links(&mut self, cx: &mut Cx<'_>) {
        let open: Vec<_> = self.links.open.keys().copied().collect();
        for link in open {
            cx.fx.acts.push(Act::Close(link));
            self.queue(Work::Input(Input::Disconnected { link }));
        }
    }

    /// Ends the link with a peer that broke the protocol.
    pub(super) fn close_peer(&mut self, peer: PeerId, cx: &mut Cx<'_>) {
        if let Some(peer) = self.links.peers.get(&peer) {
            let link = peer.link;
            cx.fx.acts.push(Act::Close(link));
            self.queue(Work::Input(Input::Disconnected { link }));
        }
    }
}
