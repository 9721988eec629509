//! Every decoder, and what hostile bytes make of it.
#![allow(clippy::unwrap_used)]

mod mutate;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use mutate::{floods, mutant};

use super::engine::decoders;
use crate::base::decoder::{Decoder, Form, Sampler, allocation_max};

/// Mutants of each decoder, unless `SPACEPANDA_CASES` says how many.
const CASES: u64 = 100;
/// Mutants of one decoder that are made in one go. Each turn has its own chance, so that a mutant is the
/// same whatever ran before it.
const TURN: u64 = 1_000;
/// Seeds from which samples are made.
const SEEDS: u64 = 4;

fn cases() -> u64 {
    std::env::var("SPACEPANDA_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

fn samples(decoder: &Decoder) -> Vec<Vec<u8>> {
    (0..SEEDS).flat_map(|seed| (decoder.samples)(&mut Sampler::new(seed))).collect()
}

/// Decodes, and says what went wrong: a panic, too much memory, other bytes.
fn fault(decoder: &Decoder, bytes: &[u8]) -> Option<String> {
    let mut judged = None;
    let info = allocation_counter::measure(|| {
        judged = Some(catch_unwind(AssertUnwindSafe(|| decoder.judge(bytes))));
    });
    let max = allocation_max(bytes.len());
    match judged {
        Some(Ok(Ok(()))) if info.bytes_max <= max => None,
        Some(Ok(Ok(()))) => Some(format!("{} bytes at once, of {max}", info.bytes_max)),
        Some(Ok(Err(broken))) => Some(broken.into()),
        Some(Err(_)) | None => Some("a panic".into()),
    }
}

/// The first mutants of a turn that a decoder does not bear, for reading.
fn faults(decoder: &Decoder, samples: &[Vec<u8>], turn: u64, cases: u64) -> Vec<String> {
    let mut s = Sampler::new(turn);
    let cases = turn * TURN..cases.min((turn + 1) * TURN);
    let mutants = cases.map(|case| (case, mutant(&mut s, samples)));
    let faults = mutants.filter_map(|(case, bytes)| {
        let fault = fault(decoder, &bytes)?;
        let (len, head) = (bytes.len(), hex::encode(&bytes[..bytes.len().min(200)]));
        Some(format!("{}, case {case}, {len} bytes {head}: {fault}", decoder.name))
    });
    faults.take(3).collect()
}

#[test]
fn no_mutant_panics_allocates_beyond_its_size_or_has_a_second_form() {
    let (table, cases) = (decoders(), cases());
    let samples: Vec<_> = table.iter().map(samples).collect();
    let turns: Vec<_> = (0..cases.div_ceil(TURN))
        .flat_map(|turn| (0..table.len()).map(move |decoder| (decoder, turn)))
        .collect();
    let next = AtomicUsize::new(0);
    // Allocations are counted by thread.
    let work = || {
        let turn = || turns.get(next.fetch_add(1, Ordering::Relaxed));
        let faults = std::iter::from_fn(turn)
            .flat_map(|(at, turn)| faults(&table[*at], &samples[*at], *turn, cases));
        faults.collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let faults: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    // Shown with `--nocapture`.
    println!("{} decoders, {cases} mutants each", table.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn lists_of_the_shortest_items_allocate_no_more_than_others() {
    for decoder in decoders() {
        let sample = samples(&decoder).into_iter().max_by_key(Vec::len).unwrap();
        for flood in floods(&sample) {
            assert_eq!(fault(&decoder, &flood), None, "{}, {} bytes", decoder.name, flood.len());
        }
    }
}

/// A vector as MLS writes it (RFC 9420, 2.1.2).
fn vector(item: &[u8], times: usize) -> Vec<u8> {
    let len = u32::try_from(item.len() * times).unwrap();
    [&(len | 1 << 31).to_be_bytes()[..], &item.repeat(times)].concat()
}

#[test]
fn trees_and_commits_of_the_shortest_items_allocate_no_more_than_others() {
    let of = |name: &str| decoders().into_iter().find(|decoder| decoder.name == name).unwrap();
    let (tree, commit) = (of("mls tree"), of("mls commit"));
    // No node; a parent with empty fields; a parent with unmerged leaves.
    let parent = [1, 2, 0, 0, 0];
    let unmerged = [&[1, 2, 0, 0][..], &vector(&[0; 4], 100_000)].concat();
    let nodes = [vector(&[0], 4_000_000), vector(&parent, 800_000), vector(&unmerged, 9)];
    for nodes in nodes {
        assert_eq!(fault(&tree, &nodes), None, "a tree of {} bytes", nodes.len());
    }
    // What stands before a commit's proposals, then references of no bytes, removals of oneself,
    // proposals of no known kind, and removals.
    let before = &samples(&commit)[2][..59];
    for proposal in [&[2, 0][..], &[1, 0, 10], &[1, 0xfa, 0xfa, 0], &[1, 0, 3, 0, 0, 0, 0]] {
        let flood = [before, &vector(proposal, 260_000 / proposal.len())].concat();
        assert_eq!(fault(&commit, &flood), None, "proposals of {proposal:?}");
    }
}

#[test]
fn every_sample_is_decoded_and_comes_back_as_it_was() {
    for decoder in decoders() {
        for sample in samples(&decoder) {
            assert_eq!(fault(&decoder, &sample), None, "{}", decoder.name);
            if decoder.form != Form::Foreign {
                assert_eq!((decoder.decode)(&sample), Some(sample), "{}", decoder.name);
            }
        }
    }
}

#[test]
fn the_table_names_each_decoder_once() {
    let mut names: Vec<_> = decoders().iter().map(|decoder| decoder.name).collect();
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
}
