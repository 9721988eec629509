//! Whose addresses are kept, and who is told them.

use std::collections::BTreeMap;

use super::Links;
use crate::{
    app::engine::{
        addresses::REDIAL_MS_MIN,
        frames::{AddressRecord, RECORDS_MAX, Records},
        machine::{Cx, Machine, Node},
        rows::{self, VIEW},
    },
    base::{DeviceId, PeerId, cbor},
    state::link::Kind,
};

/// Devices whose addresses are kept.
const BOOK_LEN_MAX: usize = 8_192;
/// Devices nobody has vouched for yet, whose addresses are remembered until somebody does.
const STRANGERS_MAX: usize = 1_024;

impl Machine {
    /// Keeps the newest record of every member's device, and passes on what is new.
    pub(in crate::app::engine) fn take_records(
        &mut self,
        from: PeerId,
        records: Vec<AddressRecord>,
        cx: &mut Cx<'_>,
    ) {
        let me = self.node.device();
        let mut news = Vec::new();
        for record in records {
            let device = record.device;
            if device == me || !self.node.links.is_news(&record) || !record.is_sound() {
                continue;
            }
            let theirs = device == from && !self.node.links.strangers_met().any(|it| it == from);
            if theirs || self.is_certified(&device) {
                if self.node.links.keep_record(&record, cx) {
                    news.push(record);
                }
            } else if self.node.links.strangers.len() < STRANGERS_MAX {
                self.node.links.strangers.insert(device, record);
            }
        }
        if news.is_empty() {
            return;
        }
        let others: Vec<_> = self.node.links.peers().filter(|peer| *peer != from).collect();
        let frame = cbor::encode(&Records { records: news });
        for peer in others {
            self.node.send(peer, Kind::AddressRecords, &frame, cx);
        }
        self.dial_members(cx);
    }

    /// Keeps the addresses of those who were vouched for meanwhile, tells those with a link the ones that
    /// are known, and dials whom one may.
    pub(in crate::app::engine) fn meet_strangers(&mut self, cx: &mut Cx<'_>) {
        let met: Vec<_> =
            self.node.links.strangers_met().filter(|peer| self.is_certified(peer)).collect();
        for peer in met {
            self.node.links.tell(&peer);
            self.node.send_records(peer, cx);
        }
        let known: Vec<_> =
            self.node.links.strangers.keys().copied().filter(|id| self.is_certified(id)).collect();
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

    fn is_certified(&self, device: &DeviceId) -> bool {
        self.servers.values().any(|server| server.authority.certified(device).is_some())
    }
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
}

impl Node {
    /// Tells a peer every address that is known.
    pub(in crate::app::engine) fn send_records(&mut self, peer: PeerId, cx: &mut Cx<'_>) {
        let records: Vec<_> = self.links.book.values().cloned().collect();
        for some in records.chunks(RECORDS_MAX) {
            let frame = cbor::encode(&Records { records: some.to_vec() });
            self.send(peer, Kind::AddressRecords, &frame, cx);
        }
    }
}
