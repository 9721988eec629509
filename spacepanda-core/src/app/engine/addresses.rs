use std::{collections::BTreeSet, time::Duration};

use super::{
    frames::{AddressRecord, Records},
    links::{Dial, Links, Redial},
    machine::{Cx, Machine},
    rows::{self, VIEW},
};
use crate::{
    base::{DeviceId, Timestamp, cbor},
    state::link::Kind,
};

/// The first pause before a member is dialled again; each later one is twice as long.
pub(super) const REDIAL_MS_MIN: u64 = 1_000;
/// The longest such pause, of whoever has not been away for long.
const REDIAL_MS_MAX: u64 = 120_000;
/// Whoever is away for longer is dialled again after this part of the time since they were lost: the
/// dials of a year are some thousands, not hundreds of thousands. Whoever comes back dials by themselves;
/// but nobody notices that a partition has healed, and one dial across it must come soon.
const REDIAL_PART_OF_ABSENCE: u64 = 256;
/// And never longer than this, however long it is away.
const REDIAL_OF_ABSENT_MS_MAX: u64 = 30 * 60 * 1_000;
/// How often others are told that what they have of this node's addresses is wrong: a copy of its store that runs says
/// the same of the other ones.
const CORRECTED_AGAIN: Duration = Duration::from_secs(10 * 60);
/// At addresses where another device answers: who is meant tells others, mostly.
const REDIAL_OF_MISTAKEN_MS: u64 = 24 * 60 * 60 * 1_000;

impl Machine {
    /// Takes the addresses at which this node can be reached.
    pub(super) fn addresses(&mut self, addresses: Vec<String>, cx: &mut Cx<'_>) {
        self.node.links.addresses = addresses;
        self.announce(0, cx);
    }

    /// Looks at a record of this node's own device that somebody else has: a copy of the store may have written
    /// it elsewhere. Whoever believes it looks for this node there, until they are told otherwise.
    pub(super) fn look_at_own_record(&mut self, record: &AddressRecord, cx: &mut Cx<'_>) {
        let links = &self.node.links;
        let held = links.book.get(&record.device).map(|held| held.number);
        let is_due = links.corrected_at.is_none_or(|at| cx.now.since(at) >= CORRECTED_AGAIN);
        let is_wrong = held < Some(record.number) && record.addresses != links.addresses;
        if is_due && is_wrong && record.is_sound() {
            self.node.links.corrected_at = Some(cx.now);
            self.announce(record.number, cx);
        }
    }

    /// Tells where this node is, by a record that is newer than its last and than `number`, also where a
    /// clock was ahead then.
    fn announce(&mut self, number: u64, cx: &mut Cx<'_>) {
        let account = self.node.me();
        let held = self.node.links.book.get(&account.device()).map(|record| record.number);
        let last = held.unwrap_or(0).max(number);
        let number = last.saturating_add(1).max(cx.now.micros());
        let addresses = self.node.links.addresses.clone();
        let record = AddressRecord::sign(&account.device_key, number, addresses);
        cx.fx.batch.put(VIEW, rows::address_key(&record.device), cbor::encode(&record));
        self.node.links.book.insert(record.device, record.clone());
        let frame = cbor::encode(&Records { records: vec![record] });
        let peers: Vec<_> = self.node.links.vouched().collect();
        for peer in peers {
            self.node.send(peer, Kind::AddressRecords, &frame, cx);
        }
        self.dial_members(cx);
    }

    /// Dials every member's device one has no link with, when its pause is over, and forgets whom one would
    /// not dial any more.
    pub(super) fn dial_members(&mut self, cx: &mut Cx<'_>) {
        let me = self.node.device();
        let devices: BTreeSet<_> = self
            .servers
            .values()
            .flat_map(|server| server.matrix.devices().keys().copied())
            .collect();
        self.node.links.redials.retain(|device, _| devices.contains(device));
        self.forget_records(&devices, cx);
        for device in devices {
            let links = &mut self.node.links;
            if device == me || links.peers.contains_key(&device) || links.is_dialling(&device) {
                continue;
            }
            let Some(addresses) = links.addresses_of(&device) else { continue };
            let first = Redial::new(cx.now);
            if links.redials.entry(device).or_insert(first).at <= cx.now {
                links.dial(Dial::Member(device), addresses, cx);
            }
        }
    }
}

impl Redial {
    fn new(now: Timestamp) -> Self {
        Self { at: now, pause_ms: REDIAL_MS_MIN, lost: now, mistaken: false }
    }
}

impl Links {
    /// Notes that somebody else answered where a device was dialled: it is tried there once a day,
    /// since each try can cost those who answer a link.
    pub(super) fn mistake(&mut self, device: DeviceId, cx: &mut Cx<'_>) {
        let redial = self.redials.entry(device).or_insert(Redial::new(cx.now));
        (redial.mistaken, redial.pause_ms) = (true, REDIAL_OF_MISTAKEN_MS);
        self.postpone(device, cx);
    }

    /// Puts off the next try by a pause that doubles, half more or less.
    pub(super) fn postpone(&mut self, device: DeviceId, cx: &mut Cx<'_>) {
        let random = cx.chance.number();
        let redial = self.redials.entry(device).or_insert(Redial::new(cx.now));
        let away_ms = cx.now.millis().saturating_sub(redial.lost.millis());
        let pause_ms =
            redial.pause_ms.max((away_ms / REDIAL_PART_OF_ABSENCE).min(REDIAL_OF_ABSENT_MS_MAX));
        let wait = pause_ms / 2 + random % pause_ms;
        redial.at = cx.now.saturating_add(Duration::from_millis(wait));
        redial.pause_ms = (redial.pause_ms * 2).min(REDIAL_MS_MAX);
    }

    /// Somebody can be reached: perhaps all others can, too, but for those whose addresses lead to others.
    pub(super) fn hasten(&mut self, now: Timestamp) {
        for redial in self.redials.values_mut().filter(|redial| !redial.mistaken) {
            (redial.at, redial.pause_ms) = (redial.at.min(now), REDIAL_MS_MIN);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{base::Secret, state::identity::KeyPair};

    #[test]
    fn nobody_is_waited_for_who_told_no_address() {
        let keys = KeyPair::from_secret(Secret::new([1; 32]));
        let device = DeviceId::new(*keys.public());
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut links = Links::default();
        links.redials.insert(device, Redial::new(now));
        assert_eq!(links.deadline(), None);
        links.book.insert(device, AddressRecord::sign(&keys, 1, Vec::new()));
        assert_eq!(links.deadline(), None);
        links.book.insert(device, AddressRecord::sign(&keys, 2, vec!["there".to_owned()]));
        assert_eq!(links.deadline(), Some(now));
    }

    #[test]
    fn a_link_with_somebody_hastens_no_dial_at_which_another_answered() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let later = now.saturating_add(Duration::from_secs(60));
        let (lost, mistaken) = (DeviceId::new([1; 32]), DeviceId::new([2; 32]));
        let mut links = Links::default();
        links.redials.insert(lost, Redial::new(later));
        links.redials.insert(mistaken, Redial { mistaken: true, ..Redial::new(later) });
        links.hasten(now);
        assert_eq!((links.redials[&lost].at, links.redials[&mistaken].at), (now, later));
    }
}
