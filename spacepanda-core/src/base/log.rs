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

/// Per channel: the tips of each device's log that is held. A log that forked has several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    logs: BTreeMap<DeviceId, BTreeMap<EnvelopeId, u64>>,
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

    /// The greatest number held of one device's log; 0 if nothing is.
    pub fn number(&self, device: &DeviceId) -> u64 {
        self.of(device).map(|tip| tip.number).max().unwrap_or(0)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Adds `tip`, which replaces the tip `previous` if that is one.
    pub fn advance(&mut self, tip: Tip, previous: Option<&EnvelopeId>) {
        let tips = self.logs.entry(tip.device).or_default();
        if let Some(previous) = previous {
            tips.remove(previous);
        }
        tips.insert(tip.id, tip.number);
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
}
