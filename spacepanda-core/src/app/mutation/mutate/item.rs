//! CBOR as a tree whose heads may lie.

use super::even;
use crate::base::decoder::Sampler;

/// The shortest items: an array of them is what a decoder allocates most for.
pub(super) const TINY: [u8; 6] = [0x00, 0x40, 0x60, 0x80, 0xa0, 0xf6];

const DEPTH_MAX: usize = 12;
/// Items that are taken apart; what holds more is altered as bytes. A list that long is a flood, and a
/// flood is mostly of one item.
const ITEMS_MAX: usize = 4_096;

/// One item. Bytes that are an item themselves are taken apart like an array.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) major: u8,
    /// The argument of the head, if it is not the true one.
    pub(super) claimed: Option<u64>,
    is_wide: bool,
    body: Body,
}

#[derive(Clone)]
enum Body {
    /// An integer, or a simple value.
    Number(u64),
    Bytes(Vec<u8>),
    /// Those of an array or map.
    Items(Vec<Item>),
    /// A byte string that holds an item.
    Nested(Box<Item>),
}

impl Item {
    /// Takes `bytes` apart; `None` unless they are one item.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut left = ITEMS_MAX;
        let (item, rest) = Self::read(bytes, DEPTH_MAX, &mut left)?;
        rest.is_empty().then_some(item)
    }

    /// Reads one item, of at most `left` with those in it.
    fn read<'a>(bytes: &'a [u8], depth: usize, left: &mut usize) -> Option<(Self, &'a [u8])> {
        let depth = depth.checked_sub(1)?;
        *left = left.checked_sub(1)?;
        let (first, rest) = bytes.split_first()?;
        let (major, info) = (first >> 5, first & 31);
        let wide = match info {
            0..=23 => 0,
            24..=27 => 1 << (info - 24),
            _ => return None,
        };
        let (wide, rest) = rest.split_at_checked(wide)?;
        let argument = match info {
            0..=23 => info.into(),
            _ => wide.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
        };
        let len = usize::try_from(argument).ok()?;
        let (body, rest) = match major {
            2 | 3 => {
                let (bytes, rest) = rest.split_at_checked(len)?;
                let nested = (major == 2 && len > 1).then(|| Self::parse(bytes)).flatten();
                let nested = nested.map(|item| Body::Nested(Box::new(item)));
                (nested.unwrap_or_else(|| Body::Bytes(bytes.to_vec())), rest)
            }
            4 | 5 => {
                let (items, rest) =
                    Self::read_items(rest, len.saturating_mul(1 << (major - 4)), depth, left)?;
                (Body::Items(items), rest)
            }
            _ => (Body::Number(argument), rest),
        };
        Some((Self { major, claimed: None, is_wide: false, body }, rest))
    }

    fn read_items<'a>(
        mut bytes: &'a [u8],
        count: usize,
        depth: usize,
        left: &mut usize,
    ) -> Option<(Vec<Self>, &'a [u8])> {
        let mut items = Vec::new();
        for _ in 0..count {
            let (item, rest) = Self::read(bytes, depth, left)?;
            items.push(item);
            bytes = rest;
        }
        Some((items, bytes))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let argument = self.argument();
        let (info, len) = match argument {
            0..24 if !self.is_wide => (argument as u8, 0),
            0..0x100 if !self.is_wide => (24, 1),
            0..0x1_0000 if !self.is_wide => (25, 2),
            0..0x1_0000_0000 if !self.is_wide => (26, 4),
            _ => (27, 8),
        };
        out.push(self.major << 5 | info);
        out.extend_from_slice(&argument.to_be_bytes()[8 - len..]);
        match &self.body {
            Body::Number(_) => {}
            Body::Bytes(bytes) => out.extend_from_slice(bytes),
            Body::Items(items) => items.iter().for_each(|item| item.write(out)),
            Body::Nested(item) => item.write(out),
        }
    }

    pub(super) fn argument(&self) -> u64 {
        self.claimed.unwrap_or_else(|| match &self.body {
            Body::Number(number) => *number,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Items(items) => items.len() as u64 >> u8::from(self.major == 5),
            Body::Nested(item) => {
                let mut bytes = Vec::new();
                item.write(&mut bytes);
                bytes.len() as u64
            }
        })
    }

    /// How many items it is, itself included.
    pub(super) fn count(&self) -> usize {
        1 + match &self.body {
            Body::Number(_) | Body::Bytes(_) => 0,
            Body::Items(items) => items.iter().map(Self::count).sum(),
            Body::Nested(item) => item.count(),
        }
    }

    /// The item with this number, counted from itself on.
    pub(super) fn at(&mut self, number: usize) -> &mut Self {
        let Some(mut number) = number.checked_sub(1) else { return self };
        match &mut self.body {
            Body::Items(items) => {
                for item in items {
                    let count = item.count();
                    if number < count {
                        return item.at(number);
                    }
                    number -= count;
                }
                unreachable!("numbers are below the count")
            }
            Body::Nested(item) => item.at(number),
            Body::Number(_) | Body::Bytes(_) => unreachable!("numbers are below the count"),
        }
    }

    pub(super) fn is_list(&self) -> bool {
        self.major == 4
    }

    pub(super) fn claim(&mut self, arguments: &[u64], s: &mut Sampler) {
        self.claimed = Some(arguments[even(s, arguments.len())]);
    }

    /// Writes the head longer than it need be.
    pub(super) fn widen(&mut self) {
        self.is_wide = true;
    }

    /// Puts it into so many arrays of one.
    pub(super) fn wrap(&mut self, depth: usize) {
        for _ in 0..depth {
            let array = Self { major: 4, claimed: None, is_wide: false, body: Body::Number(0) };
            let inner = std::mem::replace(self, array);
            self.body = Body::Items(vec![inner]);
        }
    }

    pub(super) fn duplicate(&mut self, s: &mut Sampler) {
        if let Body::Items(items) = &mut self.body
            && !items.is_empty()
        {
            let at = even(s, items.len());
            items.insert(at, items[at].clone());
        }
    }

    pub(super) fn remove(&mut self, s: &mut Sampler) {
        match &mut self.body {
            Body::Items(items) if !items.is_empty() => drop(items.remove(even(s, items.len()))),
            Body::Bytes(bytes) => drop(bytes.pop()),
            _ => {}
        }
    }

    pub(super) fn swap(&mut self, s: &mut Sampler) {
        if let Body::Items(items) = &mut self.body {
            let (a, b) = (even(s, items.len()), even(s, items.len()));
            if !items.is_empty() {
                items.swap(a, b);
            }
        }
    }

    /// Makes it an array of so many of one of [`TINY`].
    pub(super) fn fill(&mut self, tiny: u8, times: usize) {
        self.major = 4;
        self.claimed = Some(times as u64);
        self.body = Body::Bytes(vec![tiny; times]);
    }
}
