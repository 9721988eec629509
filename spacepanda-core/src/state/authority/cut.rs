use std::collections::BTreeMap;

use super::{
    HeardLine, Operation, heard,
    log::{Log, of},
    view::View,
};
use crate::{
    base::{ChannelId, EnvelopeId, IdentityId, Timestamp, Tip},
    state::envelope::{Index, Past},
};

/// Something said: all that a removal's line is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Who said it.
    pub identity: IdentityId,
    /// Where.
    pub channel: ChannelId,
    /// Its place in its log.
    pub tip: Tip,
    /// The author's clock.
    pub timestamp: Timestamp,
    /// The ids in the control channel whose closure its author knew.
    pub past: &'a [EnvelopeId],
}

/// Whether the entry `said` is the tip `heard` or comes before it in its log, if that log has not
/// forked. Of a forked one, whoever holds it must ask the log itself.
pub fn is_up_to(said: Tip, heard: Tip) -> bool {
    said.device == heard.device && (said.number < heard.number || said.id == heard.id)
}

/// What one removal cuts off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) removal: EnvelopeId,
    timestamp: Timestamp,
    /// Per channel with a line: what was heard, by the removal and every `Heard` that counts.
    lines: BTreeMap<ChannelId, Vec<Tip>>,
    /// The counting grants after the removal: what has one in its past is not cut off.
    later: Vec<Index>,
}

impl Cut {
    /// Whether it cuts off what was `said`, knowing `past`.
    pub(super) fn cuts(
        &self,
        log: &Log,
        said: &Said<'_>,
        past: &Past,
        is_heard: impl Fn(Tip, Tip) -> bool,
    ) -> bool {
        if self.later.iter().any(|grant| log.dag.holds(past, *grant)) {
            return false;
        }
        match self.lines.get(&said.channel) {
            Some(tips) => !tips.iter().any(|heard| is_heard(said.tip, *heard)),
            None => said.timestamp > self.timestamp,
        }
    }

    /// Whether the removal did not know an envelope of the control channel.
    pub(super) fn outruns(&self, log: &Log, index: Index) -> bool {
        let known =
            log.dag.index(&self.removal).is_some_and(|removal| log.dag.is_before(index, removal));
        !known && !self.later.iter().any(|grant| log.dag.is_before(*grant, index))
    }
}

/// Every counting removal of a person, with its lines.
pub(super) fn cuts_of(view: &View<'_>, person: &IdentityId) -> Vec<Cut> {
    let mut cuts: Vec<_> = of(&view.log.kicks, person)
        .filter(|kick| view.sees(*kick))
        .map(|kick| cut(view, person, kick))
        .collect();
    cuts.sort_unstable_by_key(|cut| cut.removal);
    cuts
}

fn cut(view: &View<'_>, person: &IdentityId, kick: Index) -> Cut {
    let log = view.log;
    let op = log.op(kick);
    let hearings = of(&log.hearings, &op.id).filter(|index| view.sees(*index));
    let lines = std::iter::once(kick).chain(hearings).flat_map(|index| lines(view, index));
    let mut later: Vec<_> = of(&log.admissions, person)
        .filter(|grant| view.sees(*grant) && log.dag.is_before(kick, *grant))
        .collect();
    later.sort_unstable();
    Cut { removal: op.id, timestamp: op.timestamp, lines: heard::union(lines), later }
}

fn lines<'a>(view: &View<'a>, index: Index) -> &'a [HeardLine] {
    match view.log.op(index).operation() {
        Some(Operation::Kick { heard, .. } | Operation::Heard { heard, .. }) => heard,
        _ => &[],
    }
}
