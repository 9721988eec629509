use std::cmp::Reverse;

use super::{
    Denied, Standing,
    facts::{Facts, Way},
    log::{Log, Refused},
    view::{Beside, View},
};
use crate::state::envelope::{Index, Past};

/// Judges by its past alone: the best way, and the standing by it.
pub(super) fn entitled(view: &View<'_>, facts: &Facts) -> Result<(Way, Standing), Denied> {
    if view.is_spent(facts) {
        return Err(Denied::Spent);
    }
    let mut best: Result<(Way, Standing), Denied> = Err(Denied::Unnamed);
    for way in &facts.ways {
        let writer = way.writer.is_none_or(|writer| view.person(&writer).is_some());
        let judged = if writer { view.standing(way) } else { Err(Denied::NotMember) };
        match (&best, judged) {
            (Ok((_, before)), Ok(standing)) if standing <= *before => {}
            (_, Ok(standing)) => best = Ok((way.clone(), standing)),
            (Err(Denied::Unnamed), Err(why)) => best = Err(why),
            _ => {}
        }
    }
    best
}

/// What does not count in the closure of `heads`.
pub(super) fn judge(log: &Log, heads: &[Index]) -> Refused {
    match heads {
        [] => Refused::new(),
        [only] => log.op(*only).refused.clone(),
        many => judge_merge(log, &log.closure(many)),
    }
}

/// How many operations the closure of `heads` holds.
pub(super) fn size(log: &Log, heads: &[Index]) -> usize {
    match heads {
        [] => 0,
        [only] => log.op(*only).size,
        many => {
            let set = log.closure(many);
            log.ops.keys().filter(|index| log.dag.holds(&set, **index)).count()
        }
    }
}

/// Judges what lies above the last operation that all agree on: from the founder downwards, and
/// among equals upwards in causality, each once.
fn judge_merge(log: &Log, set: &Past) -> Refused {
    let (mut refused, mut window) = window(log, set);
    window.sort_unstable_by_key(|index| (Reverse(log.op(*index).standing), *index));
    for index in window {
        if !counts(log, set, &refused, index) {
            refused.insert(index);
        }
    }
    refused
}

/// Whether it still counts beside the rest, given what does not count of all that must be judged before.
pub(super) fn counts(log: &Log, set: &Past, refused: &Refused, index: Index) -> bool {
    let op = log.op(index);
    let Some(level) = op.standing else { return false };
    if op.facts.is_final {
        return true;
    }
    let Some(way) = &op.way else { return false };
    let beside = Some(Beside { subject: index, set });
    let view = View { log, past: log.dag.past_of(index), refused, level, beside };
    view.standing(way).is_ok_and(|standing| standing >= level)
}

/// The operations above the latest one that is in the past of everything after it and has everything
/// before it in its own, and what does not count up to there: nothing above can change that.
fn window(log: &Log, set: &Past) -> (Refused, Vec<Index>) {
    let held: Vec<_> = log.ops.keys().copied().filter(|index| log.dag.holds(set, *index)).collect();
    for (place, base) in held.iter().enumerate().rev() {
        let op = log.op(*base);
        let later = &held[place + 1..];
        if op.size == place + 1 && later.iter().rev().all(|next| log.dag.is_before(*base, *next)) {
            return (op.refused.clone(), later.to_vec());
        }
    }
    (Refused::new(), held)
}
