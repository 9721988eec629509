//! What is measured.

use spacepanda_core::{
    base::Secret,
    state::{
        envelope::Verified,
        mls::{Change, Group, Rows, ScopeKey},
    },
};

use crate::{
    clock::ms_per_time,
    table::Row,
    world::{Filled, follow},
};

/// How many commits below its nearest kept ancestor the state of a switch lies.
const DEPTH: usize = 3;

/// A state's rows as they are kept: each wrapped.
struct KeptState {
    key: ScopeKey,
    rows: Vec<(Vec<u8>, bytes::Bytes)>,
}

impl KeptState {
    /// Wraps all rows of a state, as when it is first kept.
    fn of(group: &mut Group, seed: &Secret<32>) -> Self {
        let key = ScopeKey::new(seed.clone());
        let rows = group.rows().unwrap();
        let wrap = |(place, value): (&[u8], &bytes::Bytes)| {
            (place.to_vec(), key.wrap(place, value, seed).unwrap())
        };
        let rows = rows.iter().map(wrap).collect();
        Self { key, rows }
    }

    fn load(&self) -> Group {
        let rows: Rows = self
            .rows
            .iter()
            .map(|(place, value)| (place.clone(), self.key.unwrap(place, value).unwrap()))
            .collect();
        Group::load(rows).unwrap()
    }

    fn bytes(&self) -> usize {
        self.rows.iter().map(|(place, value)| place.len() + value.len()).sum()
    }
}

/// In a group of 100: a switch to another branch, and what a kept state takes.
pub(crate) fn of_100(times: u32) -> Vec<Row> {
    let Filled { mut world, mut groups, raw } = Filled::of(100);
    let (reader, rest) = groups.split_last_mut().unwrap();
    let seed = world.seed();
    let ancestor = KeptState::of(&mut reader.1, &seed);
    let missed: Vec<Verified> = (0..DEPTH)
        .map(|at| {
            let (number, group) = &rest[at];
            let (sent, child) = world.commit(*number, group, &Change::default());
            follow(&mut world, rest, &sent, Some((at, child)));
            sent
        })
        .collect();
    let switch = |start: &KeptState| {
        missed.iter().fold(start.load(), |group, sent| {
            let mut child = world.apply(&group, sent, &seed);
            KeptState::of(&mut child, &seed);
            child
        })
    };
    let ours = ms_per_time(times, || (), |()| switch(&ancestor));
    let raw_switch = |()| {
        let mut copy = raw.copy();
        missed.iter().for_each(|sent| copy.follow(sent));
        copy
    };
    let floor = ms_per_time(times, || (), raw_switch);
    vec![
        Row {
            name: format!("a switch at depth {DEPTH} in a group of 100, with wrapping"),
            unit: "ms",
            ours,
            floor,
            target: Some(300.0),
        },
        Row {
            name: "a kept state at 100 members, wrapped".into(),
            unit: "bytes",
            ours: ancestor.bytes() as f64,
            floor: raw.stored_bytes() as f64,
            target: Some(150_000.0),
        },
    ]
}

/// In a large group: applying a commit, and opening a node that stands in it.
pub(crate) fn of_many(count: u32, times: u32) -> Vec<Row> {
    let Filled { mut world, mut groups, raw } = Filled::of(count);
    let (reader, rest) = groups.split_last_mut().unwrap();
    let (number, group) = &rest[1];
    let (renewed, _) = world.commit(*number, group, &Change::default());
    let seed = world.seed();
    let kept = KeptState::of(&mut reader.1, &seed);
    let reader = &reader.1;
    let ours = ms_per_time(times, || (), |()| world.apply(reader, &renewed, &seed));
    let floor = ms_per_time(times, || raw.copy(), |mut copy| copy.follow(&renewed));
    let opening = ms_per_time(times, || (), |()| kept.load());
    let raw_opening = ms_per_time(times, || raw.copy(), |mut copy| copy.load(&raw));
    vec![
        Row {
            name: format!(
                "applying a commit of {} bytes at {count} members",
                renewed.body().map_or(0, |body| body.len())
            ),
            unit: "ms",
            ours,
            floor,
            target: Some(35.0),
        },
        Row {
            name: format!("loading the stand's group at {count} members, unwrapping"),
            unit: "ms",
            ours: opening,
            floor: raw_opening,
            target: Some(500.0),
        },
    ]
}
