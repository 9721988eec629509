use bytes::Bytes;

use crate::{
    base::{EnvelopeId, MessageId},
    store::Namespace,
};

/// Where entries are kept.
pub const TIMELINE: Namespace = Namespace::new("timeline");
/// Where it is kept which envelope has a message's name.
pub const NAMES: Namespace = Namespace::new("name");

const PLAIN_LEN: usize = 4 + 8 + 4 + 8;
const BESIDE_LEN: usize = PLAIN_LEN + 8;

/// Where a message stands, in local numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The local number of its channel.
    pub channel: u32,
    /// Its envelope's `order`.
    pub order: u64,
    /// The local number of its device.
    pub device: u32,
    /// Its envelope's number in the device's log.
    pub number: u64,
}

impl Place {
    /// Reads the place off an entry's key; `None` if that is no such key.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        if key.len() != PLAIN_LEN && key.len() != BESIDE_LEN {
            return None;
        }
        let (channel, rest) = key.split_first_chunk()?;
        let (order, rest) = rest.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let number = rest.first_chunk()?;
        Some(Self {
            channel: u32::from_be_bytes(*channel),
            order: !u64::from_be_bytes(*order),
            device: u32::from_be_bytes(*device),
            number: u64::from_be_bytes(*number),
        })
    }
}

/// What the keys of a channel's entries begin with.
pub fn prefix(channel: u32) -> Bytes {
    Bytes::copy_from_slice(&channel.to_be_bytes())
}

/// The key of the entry at `place`.
pub fn row_key(place: &Place) -> Bytes {
    plain(place).into()
}

/// The key of an entry whose place was taken by another branch of its log. Eight bytes of the id tell
/// such entries apart; no key of a log that never forked holds any.
pub(super) fn beside_key(place: &Place, id: &EnvelopeId) -> Bytes {
    let mut key = plain(place);
    key.extend_from_slice(&id.as_bytes()[..BESIDE_LEN - PLAIN_LEN]);
    key.into()
}

/// After every key with this `order`, and before those with lower ones.
pub(super) fn after_order(channel: u32, order: u64) -> Bytes {
    let order = !order;
    let end = [0xff; BESIDE_LEN];
    [&channel.to_be_bytes()[..], &order.to_be_bytes(), &end].concat().into()
}

/// The key under which it is kept which envelope has a name. The name is 16 random bytes.
pub fn name_key(channel: u32, device: u32, message: &MessageId) -> Bytes {
    [&channel.to_be_bytes()[..], &device.to_be_bytes(), message.as_bytes()].concat().into()
}

fn plain(place: &Place) -> Vec<u8> {
    let mut key = Vec::with_capacity(BESIDE_LEN);
    key.extend_from_slice(&place.channel.to_be_bytes());
    key.extend_from_slice(&(!place.order).to_be_bytes());
    key.extend_from_slice(&place.device.to_be_bytes());
    key.extend_from_slice(&place.number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_of_a_key_are_pinned() {
        let place = Place { channel: 1, order: 2, device: 3, number: 4 };
        let plain = "00000001fffffffffffffffd000000030000000000000004";
        assert_eq!(hex::encode(row_key(&place)), plain);
        let beside = beside_key(&place, &EnvelopeId::new([7; 32]));
        assert_eq!(hex::encode(beside), format!("{plain}0707070707070707"));
        let name = name_key(1, 3, &MessageId::new([9; 16]));
        assert_eq!(hex::encode(name), format!("0000000100000003{}", "09".repeat(16)));
    }

    proptest! {
        #[test]
        fn newer_places_have_lower_keys(channel: u32, a: u64, b: u64, device: u32, number: u64) {
            let place = |order| Place { channel, order, device, number };
            let (key_a, key_b) = (row_key(&place(a)), row_key(&place(b)));
            prop_assert_eq!(a.cmp(&b), key_b.cmp(&key_a));
            prop_assert_eq!(after_order(channel, a) < key_b, b < a);
            prop_assert!(key_a.starts_with(&prefix(channel)));
        }

        #[test]
        fn a_place_is_read_back_from_either_key(
            channel: u32, order: u64, device: u32, number: u64, id: [u8; 32],
        ) {
            let place = Place { channel, order, device, number };
            let beside = beside_key(&place, &EnvelopeId::new(id));
            prop_assert_eq!(Place::of_key(&row_key(&place)), Some(place));
            prop_assert_eq!(Place::of_key(&beside), Some(place));
            prop_assert!(beside < after_order(channel, order));
        }

        #[test]
        fn hostile_keys_never_panic(key in proptest::collection::vec(any::<u8>(), 0..40)) {
            let known = Place::of_key(&key).is_some();
            prop_assert_eq!(known, key.len() == PLAIN_LEN || key.len() == BESIDE_LEN);
        }
    }
}
