use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    reads::{Loaded, Reads},
    rows::{self, ControlRow, ForksRow, Head, HeadsRow, NamedTip, Progress, UndeliveredRow, VIEW},
};
use crate::{
    base::{
        Bug, ChannelId, DeviceId, EnvelopeId, Floors, Frontier, MessageId, Timestamp, Tip, cbor,
        limits::{PARENTS_MAX, WAITING_PER_AUTHOR_MAX},
    },
    state::envelope::{Dag, Header, Verified, order_after, stamp},
    store::Batch,
};

/// Orders remembered per channel; older ones are read from the log.
const RECENT_MAX: usize = 1_024;

/// How far an order that cannot be checked may be ahead of all that is known: more than anything can be
/// whose order is right, and too little to come to the end of all orders.
const ORDER_LEAP_MAX: u64 = 1 << 32;

/// How many are remembered per channel that could not be had: as many as what waits of one author can
/// name. All are forgotten when more come.
const UNAVAILABLE_MAX: usize = WAITING_PER_AUTHOR_MAX * PARENTS_MAX;

/// One channel, as much of it as deciding needs: its frontier and heads, not its history.
#[derive(Debug)]
pub(super) struct Channel {
    pub id: ChannelId,
    pub number: u32,
    pub frontier: Frontier,
    heads: BTreeMap<EnvelopeId, Head>,
    greatest: Timestamp,
    own: Timestamp,
    /// The order of the last envelope of one's own, as this device.
    own_order: u64,
    recent: BTreeMap<EnvelopeId, u64>,
    recent_order: VecDeque<EnvelopeId>,
    /// Those of which nothing but the order is known here.
    bare: BTreeSet<EnvelopeId>,
    /// Those of the bare that their log has no place for: neither has it for what follows them.
    placeless: BTreeSet<EnvelopeId>,
    /// Those that somebody names and who sent that does not hold.
    unavailable: BTreeSet<EnvelopeId>,
    /// Per log, from which number on its author named what in the control channel.
    control: BTreeMap<DeviceId, BTreeMap<u64, Vec<EnvelopeId>>>,
    /// Of logs with several tips, where a number does not say on which branch: what the author of each tip
    /// had named in the control channel.
    forks: BTreeMap<DeviceId, Vec<NamedTip>>,
    /// How often an author named something new in the control channel, in this run.
    pub news: u64,
    pub progress: BTreeMap<DeviceId, Progress>,
    pub undelivered: BTreeMap<(DeviceId, u64), MessageId>,
}

impl Channel {
    /// A channel of which nothing is held.
    pub(super) fn new(id: ChannelId, number: u32) -> Self {
        Self {
            id,
            number,
            frontier: Frontier::new(),
            heads: BTreeMap::new(),
            greatest: Timestamp::ZERO,
            own: Timestamp::ZERO,
            own_order: 0,
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            bare: BTreeSet::new(),
            placeless: BTreeSet::new(),
            unavailable: BTreeSet::new(),
            control: BTreeMap::new(),
            forks: BTreeMap::new(),
            news: 0,
            progress: BTreeMap::new(),
            undelivered: BTreeMap::new(),
        }
    }

    /// What [`Self::load`] needs.
    pub(super) fn reads(id: ChannelId, number: u32) -> Reads {
        Reads {
            rows: vec![(VIEW, rows::heads_key(number)), (VIEW, rows::progress_key(number))],
            prefixes: vec![
                (VIEW, rows::control_prefix(number)),
                (VIEW, rows::forks_prefix(number)),
                (VIEW, rows::undelivered_prefix(number)),
            ],
            frontiers: vec![id],
            ..Reads::default()
        }
    }

    /// Takes a channel from its rows; what cannot be read is as if it were not there.
    pub(super) fn load(id: ChannelId, number: u32, loaded: &Loaded) -> Self {
        let mut channel = Self::new(id, number);
        channel.frontier = loaded.frontiers.get(&id).cloned().unwrap_or_default();
        if let Some(row) = loaded.row::<HeadsRow>(&VIEW, &rows::heads_key(number)) {
            for head in row.heads {
                channel.remember(head.tip.id, head.order);
                channel.heads.insert(head.tip.id, head);
            }
            (channel.greatest, channel.own) = (row.greatest, row.own);
            channel.own_order = row.own_order;
        }
        for (_, value) in loaded.prefix(&VIEW, &rows::forks_prefix(number)) {
            if let Ok(ForksRow { device, tips }) = cbor::decode(value) {
                channel.forks.insert(device, tips);
            }
        }
        let progress: Option<Vec<Progress>> = loaded.row(&VIEW, &rows::progress_key(number));
        let by_device = |progress: Progress| (progress.device, progress);
        channel.progress = progress.into_iter().flatten().map(by_device).collect();
        for (_, value) in loaded.prefix(&VIEW, &rows::control_prefix(number)) {
            if let Ok(ControlRow { device, number, control }) = cbor::decode(value) {
                channel.control.entry(device).or_default().insert(number, control);
            }
        }
        for (_, value) in loaded.prefix(&VIEW, &rows::undelivered_prefix(number)) {
            if let Ok(UndeliveredRow { device, number, message }) = cbor::decode(value) {
                channel.undelivered.insert((device, number), message);
            }
        }
        channel
    }

    /// The order of something held, if it is remembered.
    pub(super) fn order(&self, id: &EnvelopeId) -> Option<u64> {
        self.recent.get(id).copied()
    }

    /// Whether something is remembered that was appended.
    pub(super) fn remembers_held(&self, id: &EnvelopeId) -> bool {
        self.recent.contains_key(id) && !self.bare.contains(id)
    }

    /// Whether something is remembered that its log has no place for.
    pub(super) fn has_no_place(&self, id: &EnvelopeId) -> bool {
        self.placeless.contains(id)
    }

    /// Whether something is not waited for, since who sent what names it does not hold it.
    pub(super) fn is_unavailable(&self, id: &EnvelopeId) -> bool {
        self.unavailable.contains(id)
    }

    /// Remembers that something is not to be had.
    pub(super) fn remember_unavailable(&mut self, id: EnvelopeId) {
        if self.unavailable.len() >= UNAVAILABLE_MAX {
            self.unavailable.clear();
        }
        self.unavailable.insert(id);
    }

    /// Remembers the order of a header below one's floor, which is not appended.
    pub(super) fn remember_bare(&mut self, id: EnvelopeId, order: u64) {
        if !self.recent.contains_key(&id) {
            self.bare.insert(id);
        }
        self.unavailable.remove(&id);
        self.remember(id, order);
    }

    /// Remembers the order of what stands on a branch that has no place.
    pub(super) fn remember_placeless(&mut self, id: EnvelopeId, order: u64) {
        self.remember_bare(id, order);
        self.placeless.insert(id);
    }

    /// Remembers the order of something held.
    pub(super) fn remember(&mut self, id: EnvelopeId, order: u64) {
        if self.recent.insert(id, order).is_none() {
            self.recent_order.push_back(id);
        }
        while self.recent_order.len() > RECENT_MAX {
            let Some(oldest) = self.recent_order.pop_front() else { break };
            if self.heads.contains_key(&oldest) {
                self.recent_order.push_back(oldest);
                if self.heads.len() >= RECENT_MAX {
                    break;
                }
            } else {
                self.recent.remove(&oldest);
                self.bare.remove(&oldest);
                self.placeless.remove(&oldest);
            }
        }
    }

    /// The greatest order that is believed of an envelope of which not all is known that it names.
    pub(super) fn order_max(&self) -> u64 {
        let greatest = self.heads.values().map(|head| head.order).max().unwrap_or(0);
        greatest.max(Timestamp::YEAR_2100.micros()).saturating_add(ORDER_LEAP_MAX)
    }

    /// Everything that nothing held names yet, the oldest first.
    pub(super) fn heads(&self) -> Vec<Head> {
        let mut heads: Vec<_> = self.heads.values().copied().collect();
        heads.sort_unstable_by_key(|head| (head.order, head.tip.id));
        heads
    }

    /// Whether an envelope follows a tip of its log: then there is a place for it.
    pub(super) fn follows_a_tip(&self, header: &Header) -> bool {
        let follows = |tip: Tip| {
            Some(tip.id) == header.previous && tip.number.checked_add(1) == Some(header.sequence)
        };
        header.sequence < u64::MAX && self.frontier.of(&header.sender).any(follows)
    }

    /// Takes in what was appended to the log; `device` is its author's local number. Says whether its
    /// author named something new in the control channel, where a floor may lie.
    pub(super) fn advance(
        &mut self,
        envelope: &Verified,
        device: u32,
        own: bool,
        after_gap: bool,
        batch: &mut Batch,
    ) -> bool {
        let header = envelope.header();
        let tip = envelope.tip();
        self.frontier.append(tip, header.previous.as_ref(), after_gap);
        for named in header.named() {
            self.heads.remove(&named);
            self.unavailable.remove(&named);
        }
        if self.frontier.of(&tip.device).any(|own| own == tip) {
            self.heads.insert(tip.id, Head { tip, order: header.order });
        }
        self.bare.remove(&tip.id);
        self.placeless.remove(&tip.id);
        self.unavailable.remove(&tip.id);
        self.remember(tip.id, header.order);
        self.greatest = self.greatest.max(header.timestamp);
        if own {
            self.own = self.own.max(header.timestamp);
            self.own_order = header.order;
        }
        self.note_fork(envelope, device, batch);
        let names_news = self.note_control(header, device, after_gap, batch);
        let row = HeadsRow {
            heads: self.heads.values().copied().collect(),
            greatest: self.greatest,
            own: self.own,
            own_order: self.own_order,
        };
        batch.put(VIEW, rows::heads_key(self.number), cbor::encode(&row));
        names_news
    }

    /// Notes what the author of this envelope's log had named at each of its tips, if it has several now:
    /// before the envelope counts for its number.
    fn note_fork(&mut self, envelope: &Verified, device: u32, batch: &mut Batch) {
        let header = envelope.header();
        let (log, Some(control)) = (header.sender, &header.control) else { return };
        let tips: Vec<Tip> = self.frontier.of(&log).collect();
        let before = self.forks.remove(&log);
        let key = rows::forks_key(self.number, device);
        if tips.len() < 2 {
            if before.is_some() {
                batch.delete(VIEW, key);
            }
            return;
        }
        let before = before.unwrap_or_default();
        let named = |tip: Tip| {
            let id = tip.id;
            let known = before.iter().find(|named| named.id == id).map(|named| &*named.control);
            let control = match id == envelope.id() {
                true => control.iter().map(|tip| tip.id).collect(),
                false => {
                    known.or_else(|| self.control_at(&log, tip.number)).unwrap_or(&[]).to_vec()
                }
            };
            NamedTip { id, control }
        };
        let row = ForksRow { device: log, tips: tips.into_iter().map(named).collect() };
        batch.put(VIEW, key, cbor::encode(&row));
        self.forks.insert(log, row.tips);
    }

    fn note_control(
        &mut self,
        header: &Header,
        device: u32,
        after_gap: bool,
        batch: &mut Batch,
    ) -> bool {
        let Some(control) = &header.control else { return false };
        let mut control: Vec<_> = control.iter().map(|tip| tip.id).collect();
        let log = self.control.entry(header.sender).or_default();
        let before = log.range(..=header.sequence).next_back();
        // What fills a gap before it may have named something else.
        if !after_gap && before.is_some_and(|(_, named)| *named == control) {
            return false;
        }
        if let Some(named) = log.get(&header.sequence) {
            // A log that forks there: what any of them names.
            control.retain(|id| !named.contains(id));
            if control.is_empty() || named.len() + control.len() > PARENTS_MAX {
                return false;
            }
            control.splice(0..0, named.iter().copied());
        }
        let row =
            ControlRow { device: header.sender, number: header.sequence, control: control.clone() };
        log.insert(header.sequence, control);
        self.news += 1;
        let key = rows::control_key(self.number, device, header.sequence);
        batch.put(VIEW, key, cbor::encode(&row));
        true
    }

    /// Where each log begins for somebody who came in by one of `admits`: at the first envelope whose
    /// control parents have it in their past.
    pub(super) fn floors(&self, dag: &Dag, admits: &[EnvelopeId]) -> Floors {
        let admits: Vec<_> = admits.iter().filter_map(|id| dag.index(id)).collect();
        let begins = |control: &Vec<EnvelopeId>| {
            dag.closure(control)
                .is_ok_and(|past| admits.iter().any(|admit| dag.holds(&past, *admit)))
        };
        self.control
            .iter()
            .filter_map(|(device, log)| {
                let first = log.iter().find(|(_, control)| begins(control))?;
                Some((*device, *first.0 + u64::from(Bug::SharesTooLittle.is_planted())))
            })
            .collect()
    }

    /// Every log from its beginning.
    pub(super) fn floors_of_all(&self) -> Floors {
        self.frontier.tips().map(|tip| (tip.device, 1)).collect()
    }

    /// The time and place of the next envelope of one's own, which names these of its channel.
    pub(super) fn next(&self, device: DeviceId, now: Timestamp, heads: &[Head]) -> Next {
        let own = self.frontier.of(&device).max_by_key(|tip| (tip.number, tip.id));
        let timestamp = stamp(now, self.own, self.greatest);
        let order = order_after(timestamp, heads.iter().map(|head| head.order));
        let parents =
            heads.iter().map(|head| head.tip).filter(|tip| Some(tip.id) != own.map(|own| own.id));
        Next {
            sequence: own.map_or(1, |own| own.number + 1),
            previous: own.map(|own| own.id),
            parents: parents.collect(),
            timestamp,
            order: own
                .map(|own| self.order(&own.id).unwrap_or(self.own_order))
                .map_or(order, |previous| order.max(previous.saturating_add(1))),
        }
    }

    /// What the author of an envelope held had named in the control channel; where their log forks, on any
    /// branch of it.
    pub(super) fn control_at(&self, device: &DeviceId, number: u64) -> Option<&[EnvelopeId]> {
        let (_, named) = self.control.get(device)?.range(..=number).next_back()?;
        Some(named)
    }

    /// The tips that have all of `admits` in their past: what everybody holds who came in by them.
    pub(super) fn tips_above(&self, dag: &Dag, admits: &[EnvelopeId]) -> Vec<Tip> {
        let admits: Vec<_> = admits.iter().filter_map(|id| dag.index(id)).collect();
        let above = |tip: &Tip| {
            let named = match self.forks.get(&tip.device) {
                Some(tips) => tips.iter().find(|named| named.id == tip.id).map(|it| &*it.control),
                None => self.control_at(&tip.device, tip.number),
            };
            named
                .and_then(|control| dag.closure(control).ok())
                .is_some_and(|past| admits.iter().all(|admit| dag.holds(&past, *admit)))
        };
        self.frontier.tips().filter(above).collect()
    }
}

/// Where the next envelope of one's own stands.
#[derive(Debug)]
pub(super) struct Next {
    pub sequence: u64,
    pub previous: Option<EnvelopeId>,
    pub parents: Vec<Tip>,
    pub timestamp: Timestamp,
    pub order: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        base::Secret,
        state::{
            envelope::{PayloadType, VERSION},
            identity::KeyPair,
        },
    };

    const CHANNEL: ChannelId = ChannelId::new([4; 32]);

    /// Of the control channel: `1` is right after `0`.
    fn control(number: u8) -> Tip {
        let (device, id) = (DeviceId::new([9; 32]), EnvelopeId::new([number; 32]));
        Tip { device, number: 1 + u64::from(number), id }
    }

    /// An entry after another, which names this of the control channel.
    fn after(previous: Option<&Verified>, named: u8, branch: u8) -> Verified {
        let keys = KeyPair::from_secret(Secret::new([1; 32]));
        let header = Header {
            version: VERSION,
            channel: CHANNEL,
            sender: DeviceId::new(*keys.public()),
            sequence: previous.map_or(1, |previous| previous.tip().number + 1),
            previous: previous.map(Verified::id),
            parents: Vec::new(),
            control: Some(vec![control(named)]),
            timestamp: Timestamp::from_micros(1),
            order: 1,
            payload_type: PayloadType::Message,
            payload: vec![branch],
            body: None,
        };
        Verified::sign(header, None, &keys).unwrap()
    }

    /// A channel to which these were appended, some of them after a gap, as it is after a restart.
    fn holding(entries: &[(&Verified, bool)]) -> Channel {
        let (mut channel, mut loaded) = (Channel::new(CHANNEL, 1), Loaded::default());
        let mut rows: BTreeMap<_, _> = BTreeMap::new();
        for (entry, after_gap) in entries {
            let mut batch = Batch::new();
            channel.advance(entry, 1, false, *after_gap, &mut batch);
            for change in batch.into_changes() {
                rows.insert(change.key().clone(), change.value().cloned());
            }
        }
        loaded.frontiers.insert(CHANNEL, channel.frontier.clone());
        for (namespace, prefix) in Channel::reads(CHANNEL, 1).prefixes {
            let there = rows.iter().filter(|(key, _)| key.starts_with(&prefix));
            let there = there.filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            let there = there.collect();
            loaded.prefixes.insert((namespace, prefix), there);
        }
        Channel::load(CHANNEL, 1, &loaded)
    }

    #[test]
    fn what_closes_a_gap_changes_nothing_of_what_was_named_after_it() {
        let first = after(None, 0, 0);
        let second = after(Some(&first), 1, 0);
        let third = after(Some(&second), 0, 0);
        let device = first.header().sender;
        for entries in [
            [(&first, false), (&second, false), (&third, false)],
            [(&first, false), (&third, true), (&second, false)],
        ] {
            let channel = holding(&entries);
            let named: Vec<_> = (1..4).map(|at| channel.control_at(&device, at).unwrap()).collect();
            assert_eq!(named, [[control(0).id], [control(1).id], [control(0).id]]);
        }
    }

    #[test]
    fn each_tip_of_a_log_that_forks_is_above_what_its_own_branch_names_in_whatever_order_they_come()
    {
        let mut dag = Dag::new();
        dag.insert(control(0), None, []).unwrap();
        dag.insert(control(1), Some(control(0).id), []).unwrap();
        let first = after(None, 0, 0);
        let old = after(Some(&first), 0, 1);
        let old = [old.clone(), after(Some(&old), 0, 1)];
        let new = after(Some(&first), 1, 2);
        let new = [new.clone(), after(Some(&new), 1, 2)];
        let ([a, b], [c, d]) = (&old, &new);
        let orders =
            [[a, b, c, d], [a, c, b, d], [a, c, d, b], [c, a, b, d], [c, a, d, b], [c, d, a, b]];
        for order in orders {
            let entries: Vec<_> =
                std::iter::once(&first).chain(order).map(|entry| (entry, false)).collect();
            let channel = holding(&entries);
            assert_eq!(channel.frontier.tips().count(), 2);
            assert_eq!(channel.tips_above(&dag, &[control(1).id]), [d.tip()]);
        }
    }
}
