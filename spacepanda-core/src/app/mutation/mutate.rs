//! Mutation of samples that knows their structure: as CBOR items where they are CBOR, as bytes else.

mod item;

use item::{Item, TINY};

use crate::base::{decoder::Sampler, limits::ENVELOPE_LEN_MAX};

/// Bytes of a mutant at most: more than any decoder takes.
const LEN_MAX: usize = ENVELOPE_LEN_MAX + 4_096;

/// Items of a flood, and lists of a sample that are flooded.
const FLOOD_LEN: usize = 100_000;
const LISTS_MAX: usize = 4;

/// One to three mutations of one of `samples`.
pub(super) fn mutant(s: &mut Sampler, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = pick(s, samples).clone();
    for _ in 0..=s.below(3) {
        bytes = match Item::parse(&bytes) {
            Some(item) if s.below(4) > 0 => of_items(s, item, samples),
            _ => of_bytes(s, bytes, samples),
        };
        bytes.truncate(LEN_MAX);
    }
    bytes
}

/// A sample with each of its lists in turn replaced by many of one short item.
pub(super) fn floods(sample: &[u8]) -> Vec<Vec<u8>> {
    let Some(root) = Item::parse(sample) else { return Vec::new() };
    let lists = (0..root.count()).filter(|at| root.clone().at(*at).is_list()).take(LISTS_MAX);
    let flood = |(at, tiny): (usize, u8)| {
        let (mut root, mut bytes) = (root.clone(), Vec::new());
        root.at(at).fill(tiny, FLOOD_LEN);
        root.write(&mut bytes);
        bytes
    };
    lists.flat_map(|at| TINY.map(|tiny| (at, tiny))).map(flood).collect()
}

fn pick<'a, T>(s: &mut Sampler, all: &'a [T]) -> &'a T {
    &all[even(s, all.len())]
}

/// How often something is repeated: from once to more than a mutant holds, each magnitude as likely.
fn times(s: &mut Sampler) -> usize {
    let magnitude = even(s, 20);
    even(s, 1 << magnitude).min(LEN_MAX)
}

/// An index below `len`, each as likely.
fn even(s: &mut Sampler, len: usize) -> usize {
    (s.number() % len.max(1) as u64) as usize
}

fn of_items(s: &mut Sampler, mut root: Item, samples: &[Vec<u8>]) -> Vec<u8> {
    let count = root.count();
    let at = even(s, count);
    match s.number() % 12 {
        0 => root.at(at).claim(&[u64::from(u32::MAX) / 2 + 1, 1 << 63, u64::MAX, 1 << 30][..], s),
        1 => {
            let off = if s.below(2) == 0 { 1 } else { u64::MAX };
            let item = root.at(at);
            item.claimed = Some(item.argument().wrapping_add(off));
        }
        2 => root.at(at).widen(),
        3 => {
            let depth = 1 + even(s, 200);
            root.at(at).wrap(depth);
        }
        4 => root.at(at).duplicate(s),
        5 => root.at(at).remove(s),
        6 => root.at(at).swap(s),
        7 => {
            let (from, to) = (root.at(at).clone(), even(s, count));
            *root.at(to) = from;
        }
        8 => {
            if let Some(mut other) = Item::parse(pick(s, samples).as_slice()) {
                let from = even(s, other.count());
                *root.at(at) = other.at(from).clone();
            }
        }
        9 => {
            let (item, times) = (even(s, TINY.len()), times(s));
            root.at(at).fill(TINY[item], times);
        }
        10 => root.at(at).claim(&[0, 1, 23, 24, 255, 1 << 16, u64::MAX >> 1, u64::MAX], s),
        _ => {
            let item = root.at(at);
            item.major = (item.major + 1 + even(s, 7) as u8) % 8;
        }
    }
    let mut bytes = Vec::new();
    root.write(&mut bytes);
    bytes
}

fn of_bytes(s: &mut Sampler, mut bytes: Vec<u8>, samples: &[Vec<u8>]) -> Vec<u8> {
    let at = even(s, bytes.len() + 1);
    match s.number() % 7 {
        0 if at < bytes.len() => bytes[at] ^= 1 << (s.number() % 8),
        1 => bytes.truncate(at),
        2 => bytes.extend(s.blob(64)),
        3 => {
            let other = pick(s, samples);
            let from = even(s, other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        4 => {
            // Lengths as TLS writes them: 30 bits, 14 bits, and a prefix that nobody may use.
            let blown =
                [&[0xbf, 0xff, 0xff, 0xff][..], &[0x80, 0x10, 0, 0], &[0x7f, 0xff], &[0xff; 8]];
            let blown = pick(s, &blown);
            let end = (at + blown.len()).min(bytes.len());
            bytes.splice(at..end, blown.iter().copied());
        }
        5 => {
            let (byte, times) = (s.bytes::<1>()[0] % 4, times(s));
            bytes.splice(at..at, std::iter::repeat_n(byte, times));
        }
        _ => {
            let end = at + even(s, bytes.len() - at + 1);
            let part = bytes[at..end].to_vec();
            let to = even(s, bytes.len() + 1);
            bytes.splice(to..to, part);
        }
    }
    bytes
}
