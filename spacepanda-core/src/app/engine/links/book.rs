//! Whose addresses are kept, and who is told them.

use std::collections::{BTreeMap, BTreeSet};

use super::Links;
use crate::{
    app::engine::{
        addresses::REDIAL_MS_MIN,
        chance::Chance,
        frames::{AddressRecord, RECORDS_MAX, Records},
        machine::{Cx, Machine, Node},
        rows::{self, VIEW},
        server::Server,
    },
    base::{DeviceId, PeerId, ServerId, cbor, limits::PEER_BYTES_MAX},
    state::link::Kind,
};

/// Devices whose addresses are kept.
const BOOK_LEN_MAX: usize = 8_192;
/// Devices that do not count, whose addresses are remembered until they do.
const STRANGERS_MAX: usize = 1_024;
/// Bytes of the records that a peer is told at once: a small part of what may wait for them, lest the link
/// end by it.
const TOLD_BYTES_MAX: usize = PEER_BYTES_MAX / 8;

impl Machine {
    /// Keeps the newest record of every device that counts or has a link, and passes on what is new.
    pub(in crate::app::engine) fn take_records(
        &mut self,
        from: PeerId,
        records: Vec<AddressRecord>,
        cx: &mut Cx<'_>,
    ) {
        let me = self.node.device();
        let is_claim = self.node.links.strangers_met().any(|stranger| stranger == from);
        let mut news = Vec::new();
        for record in records {
            // One for whom nothing but a claim speaks says where they are themselves, and no more.
            if is_claim && record.device != from {
                continue;
            }
            if record.device == me {
                self.look_at_own_record(&record, cx);
                continue;
            }
            if !self.node.links.is_news(&record) || !record.is_sound() {
                continue;
            }
            if !self.keeps(&record.device) {
                self.node.links.remember(record);
            } else if self.node.links.keep_record(&record, cx) {
                news.push(record);
            }
        }
        if news.is_empty() {
            return;
        }
        self.pass_on(from, &news, cx);
        self.dial_members(cx);
    }

    /// Whether a device's record is one for the book: it counts in some server, or more than a claim spoke for
    /// it on a link that lives. Devices that are merely certified have no end.
    fn keeps(&self, device: &DeviceId) -> bool {
        let counts = |server: &Server| server.matrix.device(device).is_some();
        self.servers.values().any(counts) || self.node.links.is_vouched_for(device)
    }

    fn pass_on(&mut self, from: PeerId, news: &[AddressRecord], cx: &mut Cx<'_>) {
        let others: Vec<_> = self.node.links.peers().filter(|peer| *peer != from).collect();
        for peer in others {
            let records = self.fit_for(&peer, news);
            self.node.send_records(peer, &records, cx);
        }
    }

    /// Keeps the addresses of those who count meanwhile, tells those with a link the ones that are known
    /// once they share a server, and dials whom one may.
    pub(in crate::app::engine) fn meet_strangers(&mut self, cx: &mut Cx<'_>) {
        let certified: Vec<_> =
            self.node.links.strangers_met().filter(|peer| self.is_certified(peer)).collect();
        for peer in certified {
            self.node.links.vouch(&peer);
        }
        let due: Vec<_> =
            self.node.links.peers().filter(|peer| self.is_owed_records(peer)).collect();
        for peer in due {
            self.tell_records(peer, cx);
        }
        let known: Vec<_> =
            self.node.links.strangers.keys().copied().filter(|id| self.keeps(id)).collect();
        for device in known {
            // Taken out first: it is news beside what is kept.
            if let Some(record) = self.node.links.strangers.remove(&device)
                && self.node.links.is_news(&record)
            {
                self.node.links.keep_record(&record, cx);
            }
        }
        self.dial_members(cx);
    }

    /// Whether a peer was not told yet of a server that it is in: it may come into one while it has a link.
    fn is_owed_records(&self, peer: &PeerId) -> bool {
        self.shares_with(peer).any(|server| !self.node.links.is_told(peer, &server.id))
    }

    fn is_certified(&self, device: &DeviceId) -> bool {
        self.servers.values().any(|server| server.authority.certified(device).is_some())
    }

    /// Lets go of the records of whoever is none of the devices that count, and has no link. They may count again
    /// when more is known, and are remembered among the strangers until then.
    pub(in crate::app::engine) fn forget_records(
        &mut self,
        counting: &BTreeSet<DeviceId>,
        cx: &mut Cx<'_>,
    ) {
        // Nobody counts in a server that is still to be loaded.
        if !self.servers.values().all(|server| server.loaded) {
            return;
        }
        let (me, links) = (self.node.device(), &self.node.links);
        let keeps =
            |held: &DeviceId| *held == me || counting.contains(held) || links.is_vouched_for(held);
        let gone: Vec<_> = links.book.keys().copied().filter(|held| !keeps(held)).collect();
        for device in gone {
            cx.fx.batch.delete(VIEW, rows::address_key(&device));
            if let Some(record) = self.node.links.book.remove(&device) {
                self.node.links.remember(record);
            }
        }
    }

    /// Tells a peer where this node is, and where the devices of the servers are that both are in: of more than
    /// is told at once, some. The others it hears of on other links, and by what is passed on.
    pub(in crate::app::engine) fn tell_records(&mut self, peer: PeerId, cx: &mut Cx<'_>) {
        let records = self.records_for(&peer, TOLD_BYTES_MAX, &mut cx.chance);
        let shared = self.shares_with(&peer).map(|server| server.id).collect();
        self.node.links.tell(&peer, shared);
        self.node.send_records(peer, &records, cx);
    }

    /// One's own record, and as many of those that are fit for a peer as have room beside it.
    fn records_for(
        &self,
        peer: &PeerId,
        bytes_max: usize,
        chance: &mut Chance,
    ) -> Vec<AddressRecord> {
        let (me, book) = (self.node.device(), &self.node.links.book);
        let own: Vec<_> = book.get(&me).cloned().into_iter().collect();
        let room = bytes_max.saturating_sub(own.iter().map(len).sum());
        let others = self.fit_for(peer, book.values().filter(|record| record.device != me));
        own.into_iter().chain(some_of(others, room, chance)).collect()
    }

    /// Of these records those of devices that share a server with a peer: nobody else's is anything to them.
    fn fit_for<'a>(
        &self,
        peer: &PeerId,
        records: impl IntoIterator<Item = &'a AddressRecord>,
    ) -> Vec<AddressRecord> {
        let shared: Vec<_> = self.shares_with(peer).collect();
        let is_fit = |record: &&AddressRecord| {
            shared.iter().any(|server| server.has_device(&self.node, &record.device))
        };
        records.into_iter().filter(is_fit).cloned().collect()
    }

    /// The servers that a device is in, as far as this node is.
    fn shares_with(&self, device: &DeviceId) -> impl Iterator<Item = &Server> {
        self.servers.values().filter(|server| server.has_device(&self.node, device))
    }
}

impl Server {
    /// Whether a device is one of this server's: it counts, or has a link and is about to, since its
    /// person is a member or one of us joins by the other.
    fn has_device(&self, node: &Node, device: &DeviceId) -> bool {
        if self.matrix.device(device).is_some() {
            return true;
        }
        let comes = self.is_new_device(node, device) || node.links.is_for_join(device, &self.id);
        comes && !self.authority.is_revoked(device)
    }
}

/// As many records as have room, all of them if they can; else from one that is drawn on, so that over
/// several links each is told.
fn some_of(
    mut records: Vec<AddressRecord>,
    mut room: usize,
    chance: &mut Chance,
) -> Vec<AddressRecord> {
    if records.iter().map(len).sum::<usize>() <= room {
        return records;
    }
    let first = chance.number() % records.len() as u64;
    records.rotate_left(first as usize);
    let fitting = records.iter().take_while(|record| match room.checked_sub(len(record)) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    });
    let fitting = fitting.count();
    records.truncate(fitting);
    records
}

fn len(record: &AddressRecord) -> usize {
    cbor::encode(record).len()
}

impl Links {
    /// Whether a record says more than what is kept.
    fn is_news(&self, record: &AddressRecord) -> bool {
        let of = |book: &BTreeMap<DeviceId, AddressRecord>| {
            book.get(&record.device).map(|held| held.number)
        };
        of(&self.book).max(of(&self.strangers)) < Some(record.number)
    }

    /// Keeps a record, if there is room; says whether it did.
    fn keep_record(&mut self, record: &AddressRecord, cx: &mut Cx<'_>) -> bool {
        let device = record.device;
        if !self.book.contains_key(&device) && self.book.len() >= BOOK_LEN_MAX {
            return false;
        }
        cx.fx.batch.put(VIEW, rows::address_key(&device), cbor::encode(record));
        self.book.insert(device, record.clone());
        if let Some(redial) = self.redials.get_mut(&device) {
            (redial.mistaken, redial.pause_ms) = (false, REDIAL_MS_MIN);
        }
        true
    }

    /// Whether a device has a link, and more than a claim spoke for it.
    fn is_vouched_for(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.vouched)
    }

    /// The peers for whom more than a claim spoke.
    pub(in crate::app::engine) fn vouched(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().filter(|(_, peer)| peer.vouched).map(|(device, _)| *device)
    }

    /// Notes that more than a claim speaks for a peer.
    fn vouch(&mut self, peer: &PeerId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.vouched = true;
        }
    }

    fn is_told(&self, peer: &PeerId, server: &ServerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.told.contains(server))
    }

    /// Notes of which servers a peer is told the addresses.
    fn tell(&mut self, peer: &PeerId, servers: BTreeSet<ServerId>) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.told.extend(servers);
        }
    }

    /// Remembers a record until its device counts, if there is room.
    fn remember(&mut self, record: AddressRecord) {
        if self.strangers.len() < STRANGERS_MAX || self.strangers.contains_key(&record.device) {
            self.strangers.insert(record.device, record);
        }
    }
}

impl Node {
    fn send_records(&mut self, peer: PeerId, records: &[AddressRecord], cx: &mut Cx<'_>) {
        for some in records.chunks(RECORDS_MAX) {
            let frame = cbor::encode(&Records { records: some.to_vec() });
            self.send(peer, Kind::AddressRecords, &frame, cx);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
