use std::collections::BTreeMap;

use bytes::Bytes;

use super::rows::{LOG_NUMBER, LogKey, Owner, corrupt};
use crate::{
    base::{ChannelId, DeviceId, Error, ErrorKind, Result, limits::PAGE_LIMIT_MAX},
    store::{Page, ProviderStorageBackend, checked},
};

/// The local numbers of channels and devices, and the next arrival of each channel.
///
/// A number is given once and never to somebody else, though the batch that would have saved it be
/// dropped; so it need not be taken back.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    channels: BTreeMap<ChannelId, u32>,
    devices: BTreeMap<DeviceId, u32>,
    next: u32,
    arrivals: BTreeMap<u32, u64>,
}

impl Numbers {
    pub(super) async fn load(backend: &dyn ProviderStorageBackend) -> Result<Self> {
        let mut numbers = Self::default();
        let mut page = Page { prefix: Bytes::new(), after: None, limit: PAGE_LIMIT_MAX };
        loop {
            let rows = checked::scan(backend, &LOG_NUMBER, page.clone()).await?;
            for (key, row) in &rows {
                numbers.read(key, row)?;
            }
            if rows.len() < page.limit {
                return Ok(numbers);
            }
            page.after = rows.into_iter().next_back().map(|(key, _)| key);
        }
    }

    fn read(&mut self, key: &[u8], row: &[u8]) -> Result<()> {
        let damaged = || corrupt("local number");
        let number = u32::from_be_bytes(key.try_into().map_err(|_| damaged())?);
        let known = match Owner::decode(row)? {
            Owner::Channel(channel) => self.channels.insert(channel, number),
            Owner::Device(device) => self.devices.insert(device, number),
        };
        self.next = number.checked_add(1).ok_or_else(damaged)?;
        if known.is_some() { Err(damaged()) } else { Ok(()) }
    }

    pub(super) fn channel(&self, channel: &ChannelId) -> Option<u32> {
        self.channels.get(channel).copied()
    }

    pub(super) fn device(&self, device: &DeviceId) -> Option<u32> {
        self.devices.get(device).copied()
    }

    /// The key of a log, if its channel and its device have been met.
    pub(super) fn find(&self, channel: &ChannelId, device: &DeviceId) -> Option<LogKey> {
        Some(LogKey { channel: self.channel(channel)?, device: self.device(device)? })
    }

    /// The key of a log; its channel and device are given numbers where they have none.
    pub(super) fn give(&mut self, channel: &ChannelId, device: &DeviceId) -> Result<LogKey> {
        if self.next > u32::MAX - 2 {
            return Err(Error::new(ErrorKind::TooLarge, "append: all local numbers are given"));
        }
        let Self { channels, devices, next, .. } = self;
        let mut give = || {
            let number = *next;
            *next += 1;
            number
        };
        let channel = *channels.entry(*channel).or_insert_with(&mut give);
        let device = *devices.entry(*device).or_insert_with(&mut give);
        Ok(LogKey { channel, device })
    }

    /// When the next entry of `channel` is appended; `None` until [`begin`](Self::begin) was told.
    pub(super) fn arrive(&mut self, channel: u32) -> Option<u64> {
        let next = self.arrivals.get_mut(&channel)?;
        let arrival = *next;
        *next += 1;
        Some(arrival)
    }

    /// Tells the greatest arrival that is stored of `channel`. Only the first time counts.
    pub(super) fn begin(&mut self, channel: u32, last: u64) {
        self.arrivals.entry(channel).or_insert(last + 1);
    }
}
