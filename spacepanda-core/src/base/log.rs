use std::collections::BTreeMap;

use bytes::Bytes;

use super::{DeviceId, EnvelopeId};

/// One place in one device's log, and the envelope there: found by place, decided by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tip {
    /// Whose log.
    pub device: DeviceId,
    /// The place in it, from 1.
    pub number: u64,
    /// The envelope at that place.
    pub id: EnvelopeId,
}

impl<C> minicbor::Encode<C> for Tip {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(3)?.encode(self.device)?.u64(self.number)?.encode(self.id)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Tip {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.array()? != Some(3) {
            return Err(minicbor::decode::Error::message("a tip has three parts"));
        }
        Ok(Self { device: d.decode()?, number: d.u64()?, id: d.decode()? })
    }
}

/// Per channel: the tips of each device's log that is held. A log that forked has several, and so has
/// one with a gap in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    logs: BTreeMap<DeviceId, BTreeMap<EnvelopeId, u64>>,
    /// What is missing right before the entries that end with a tip; few logs have a gap.
    gaps: BTreeMap<Tip, Gap>,
}

/// What is missing in a log, and whether it is for the reader: else the log begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    missing: Tip,
    open: bool,
}

impl Frontier {
    /// The frontier of a channel of which nothing is held.
    pub fn new() -> Self {
        Self::default()
    }

    /// All tips, by device, then by id.
    pub fn tips(&self) -> impl Iterator<Item = Tip> + '_ {
        self.logs.iter().flat_map(|(device, tips)| {
            tips.iter().map(|(id, number)| Tip { device: *device, number: *number, id: *id })
        })
    }

    /// The tips of one device's log; none if nothing of it is held.
    pub fn of(&self, device: &DeviceId) -> impl Iterator<Item = Tip> + '_ {
        let device = *device;
        self.logs.get(&device).into_iter().flatten().map(move |(id, number)| Tip {
            device,
            number: *number,
            id: *id,
        })
    }

    /// The devices whose logs have at least so many tips.
    pub fn forked(&self, tips_min: usize) -> impl Iterator<Item = DeviceId> + '_ {
        let many = self.logs.iter().filter(move |(_, tips)| tips.len() >= tips_min);
        many.map(|(device, _)| *device)
    }

    /// The greatest number held of one device's log; 0 if nothing is.
    pub fn number(&self, device: &DeviceId) -> u64 {
        self.of(device).map(|tip| tip.number).max().unwrap_or(0)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Whether the log of `device` has a gap: something in it is not held, and something after that.
    pub fn has_gap(&self, device: &DeviceId) -> bool {
        let from = Tip { device: *device, number: 0, id: EnvelopeId::new([0; 32]) };
        let mut of_log = self.gaps.range(from..).take_while(|(tip, _)| tip.device == *device);
        of_log.any(|(_, gap)| gap.open)
    }

    /// What is missing right before the entries that end with `tip`, if there is a gap.
    pub fn gap_before(&self, tip: &Tip) -> Option<Tip> {
        self.gaps.get(tip).filter(|gap| gap.open).map(|gap| gap.missing)
    }

    /// What is missing in each log that has a gap, right before what is held again.
    pub fn gaps(&self) -> impl Iterator<Item = Tip> + '_ {
        self.gaps.values().filter(|gap| gap.open).map(|gap| gap.missing)
    }

    /// There is no gap where `missing` stands: the log begins right after it. Whether there was one.
    pub fn begin_after(&mut self, missing: &Tip) -> bool {
        let mut was_open = false;
        for gap in self.gaps.values_mut().filter(|gap| gap.missing == *missing) {
            was_open |= std::mem::replace(&mut gap.open, false);
        }
        was_open
    }

    /// Adds what was appended: it follows `previous`, or stands after a gap in which that is missing.
    pub fn append(&mut self, tip: Tip, previous: Option<&EnvelopeId>, after_gap: bool) {
        match previous.filter(|_| after_gap).zip(tip.number.checked_sub(1)) {
            Some((id, number)) => self.advance_after_gap(tip, Tip { number, id: *id, ..tip }),
            None => self.advance(tip, previous),
        }
    }

    /// Adds `tip`, which replaces the tip `previous` if that is one. If it is what is missing in a gap,
    /// that is closed.
    ///
    /// Of a fork in a log that has gaps it is not known here behind which of them it begins: it counts as
    /// behind the last that may be before it.
    pub fn advance(&mut self, tip: Tip, previous: Option<&EnvelopeId>) {
        let tips = self.logs.entry(tip.device).or_default();
        let followed = previous.and_then(|id| {
            let number = tips.remove(id)?;
            Some(Tip { device: tip.device, number, id: *id })
        });
        let gap = match followed {
            Some(followed) => self.gaps.remove(&followed),
            None if previous.is_some() => self.last_gap_before(&tip),
            None => None,
        };
        self.add(tip, gap);
    }

    /// Adds `tip`, the last of entries before which `missing` is not held.
    pub fn advance_after_gap(&mut self, tip: Tip, missing: Tip) {
        self.add(tip, Some(Gap { missing, open: true }));
    }

    fn last_gap_before(&self, tip: &Tip) -> Option<Gap> {
        let of_log = self.gaps.values().filter(|gap| gap.missing.device == tip.device);
        let before = of_log.filter(|gap| gap.missing.number + 1 < tip.number);
        before.max_by_key(|gap| (gap.missing.number, gap.missing.id)).copied()
    }

    fn add(&mut self, tip: Tip, gap: Option<Gap>) {
        let after = self.gaps.iter().filter(|(_, gap)| gap.missing == tip).map(|(after, _)| *after);
        let after: Vec<Tip> = after.collect();
        for after in &after {
            self.set_gap(*after, gap);
        }
        if after.is_empty() {
            self.logs.entry(tip.device).or_default().insert(tip.id, tip.number);
            self.set_gap(tip, gap);
        }
    }

    fn set_gap(&mut self, tip: Tip, gap: Option<Gap>) {
        match gap {
            Some(gap) => self.gaps.insert(tip, gap),
            None => self.gaps.remove(&tip),
        };
    }
}

impl FromIterator<Tip> for Frontier {
    fn from_iter<I: IntoIterator<Item = Tip>>(tips: I) -> Self {
        let mut frontier = Self::new();
        for tip in tips {
            frontier.advance(tip, None);
        }
        frontier
    }
}

/// Per device: the first number of its log that is for one reader. A device that is absent has none
/// for that reader.
pub type Floors = BTreeMap<DeviceId, u64>;

/// An entry of a log as carriers see it: where it stands, and opaque bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Whose log.
    pub device: DeviceId,
    /// The place in it, from 1.
    pub number: u64,
    /// The envelope's id.
    pub id: EnvelopeId,
    /// The entry before it in the same log; `None` at number 1.
    pub previous: Option<EnvelopeId>,
    /// Whether `bytes` include the body.
    pub body_held: bool,
    /// The envelope as it travels.
    pub bytes: Bytes,
}

impl LogEntry {
    /// Where it stands.
    pub fn tip(&self) -> Tip {
        Tip { device: self.device, number: self.number, id: self.id }
    }

    /// Where the entry before it stands.
    pub fn before(&self) -> Option<Tip> {
        let number = self.number.checked_sub(1)?;
        self.previous.map(|id| Tip { device: self.device, number, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(number: u64) -> Tip {
        let id = EnvelopeId::new([number.to_le_bytes()[0]; 32]);
        Tip { device: DeviceId::new([1; 32]), number, id }
    }

    fn advance(frontier: &mut Frontier, numbers: &[u64]) {
        for number in numbers {
            let previous = (*number > 1).then(|| tip(number - 1).id);
            frontier.advance(tip(*number), previous.as_ref());
        }
    }

    #[test]
    fn what_was_missing_closes_a_gap() {
        let mut gapped = Frontier::new();
        advance(&mut gapped, &[1, 2]);
        gapped.advance_after_gap(tip(5), tip(4));
        advance(&mut gapped, &[6]);
        gapped.advance_after_gap(tip(9), tip(8));
        assert_eq!(gapped.tips().collect::<Vec<_>>(), [tip(2), tip(6), tip(9)]);
        assert_eq!(gapped.gap_before(&tip(6)), Some(tip(4)));
        assert_eq!(gapped.gap_before(&tip(9)), Some(tip(8)));
        assert!(gapped.has_gap(&tip(1).device));

        gapped.advance_after_gap(tip(4), tip(3));
        assert_eq!(gapped.gap_before(&tip(6)), Some(tip(3)));
        // A fork behind the gap is behind it, whatever it follows there.
        let fork = Tip { id: EnvelopeId::new([99; 32]), ..tip(6) };
        let mut forked = gapped.clone();
        forked.advance(Tip { id: EnvelopeId::new([98; 32]), ..tip(6) }, Some(&tip(5).id));
        forked.advance(fork, Some(&tip(5).id));
        assert_eq!(forked.gap_before(&fork), Some(tip(3)));
        // What turned out not to be for the reader may come all the same.
        let mut begun = gapped.clone();
        begun.begin_after(&tip(3));
        assert_eq!(begun.gap_before(&tip(6)), None);
        begun.advance(tip(3), Some(&tip(2).id));
        assert!(!begun.tips().any(|it| it == tip(3)));

        advance(&mut gapped, &[7, 3, 8]);
        assert!(!gapped.has_gap(&tip(1).device));
        assert_eq!(gapped, Frontier::from_iter([tip(9)]));
    }
}
