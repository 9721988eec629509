use std::collections::BTreeSet;

use super::{
    Authority, Capability, CommitHeader, Explanation, Operation, Said, Standing, log::of, policy,
    resolve, view::View,
};
use crate::base::{Bug, ChannelId, DeviceId, EnvelopeId, IdentityId, Tip};

/// An operation as it was judged.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Who wrote it.
    pub author: IdentityId,
    /// Its standing; `None` if its author was not entitled by its past.
    pub standing: Option<Standing>,
    /// Whether it counts, as of the last [`Authority::settle`].
    pub counts: bool,
    /// What it says.
    pub operation: &'a Operation,
}

impl Authority {
    /// An operation that is here, by its envelope.
    pub fn operation(&self, id: &EnvelopeId) -> Option<Judged<'_>> {
        let counts = self.counts(id)?;
        let op = self.log.op(self.log.dag.index(id)?);
        let operation = op.operation()?;
        Some(Judged { author: op.author, standing: op.standing, counts, operation })
    }

    /// Whether an operation or the making of a channel counts, as of the last [`Self::settle`];
    /// `None` if there is none of this id.
    pub fn counts(&self, id: &EnvelopeId) -> Option<bool> {
        let index = self.log.dag.index(id).filter(|index| self.log.ops.contains_key(index))?;
        let here = self.log.dag.holds(&self.settled.past, index);
        Some(here && !self.settled.silent.contains(&index))
    }

    /// Whether a removal's line cuts off what was said, as of the last [`Self::settle`].
    ///
    /// `is_heard(said, heard)` says whether an entry of a log is that tip or comes before it there:
    /// [`super::is_up_to`] where the log has not forked. What names something that is not here is cut
    /// off.
    pub fn is_cut(&self, said: &Said<'_>, is_heard: impl Fn(Tip, Tip) -> bool) -> bool {
        let Some(cuts) = self.settled.cuts.get(&said.identity) else { return false };
        let Ok(past) = self.log.dag.closure(said.past) else { return true };
        cuts.iter().any(|cut| cut.cuts(&self.log, said, &past, &is_heard))
    }

    /// The same for an entry of the control channel itself, whose forks are known here.
    pub fn is_cut_here(&self, said: &Said<'_>) -> bool {
        self.is_cut(said, |said, heard| resolve::is_in_log(&self.log, said, heard))
    }

    /// Whether a counting removal of its author did not know an envelope of the control channel, so
    /// that it supports no state. A later admission in its past frees it.
    pub fn is_outrun(&self, author: &IdentityId, id: &EnvelopeId) -> bool {
        let Some(cuts) = self.settled.cuts.get(author) else { return false };
        let Some(index) = self.log.dag.index(id) else { return true };
        cuts.iter().any(|cut| cut.outruns(&self.log, index))
    }

    /// Whose device it is, by a genesis, an admission or its own introduction in the closure of `past`,
    /// counting or not: the test of what is kept.
    pub fn certifies(&self, past: &[EnvelopeId], device: &DeviceId) -> Option<IdentityId> {
        let past = self.log.dag.closure(past).ok()?;
        self.log.certifies(&past, device)
    }

    /// The place in time of an envelope of the control channel; `None` if it is not here.
    pub fn order_of(&self, id: &EnvelopeId) -> Option<u64> {
        let node = self.log.nodes.get(&self.log.dag.index(id)?)?;
        Some(node.order)
    }

    /// Whose device wrote an envelope of the control channel, by its own past: the same everywhere and for
    /// ever. `None` if it is not here.
    pub fn author_of(&self, id: &EnvelopeId) -> Option<IdentityId> {
        let index = self.log.dag.index(id)?;
        self.certified_at(id, &self.log.dag.device(index))
    }

    /// Whose device it is, by the past of an envelope of the control channel, itself included.
    pub fn certified_at(&self, id: &EnvelopeId, device: &DeviceId) -> Option<IdentityId> {
        let dag = &self.log.dag;
        self.log.certifies(dag.past_of(dag.index(id)?), device)
    }

    /// Whether what a commit's header says is forbidden by what the commit's own past resolves to: the
    /// same everywhere and for ever, and known without the commit's body or its parent. The group is the
    /// server's. `false` if the envelope is not here.
    pub fn forbids(&self, commit: &EnvelopeId, header: &CommitHeader<'_>) -> bool {
        // A commit is no operation: it resolves to what its past does.
        !Bug::MergesAnyCommit.is_planted()
            && self.resolve(&[*commit]).is_ok_and(|past| policy::forbids(&past, header))
    }

    /// The admissions of somebody that count, as of the last [`Self::settle`], by id: what a floor
    /// begins with.
    pub fn admissions_of(&self, identity: &IdentityId) -> Vec<EnvelopeId> {
        self.ids(resolve::admissions(&self.settled_view(), identity))
    }

    /// The admissions in the closure of `past` that name this device, counting or not, by id.
    pub fn admissions_in(&self, past: &[EnvelopeId], device: &DeviceId) -> Vec<EnvelopeId> {
        let Ok(past) = self.log.dag.closure(past) else { return Vec::new() };
        let named = of(&self.log.certificates, device);
        self.ids(named.filter(|index| self.log.dag.holds(&past, *index)))
    }

    /// Whether an envelope lies in the closure of `past`.
    pub fn holds(&self, past: &[EnvelopeId], id: &EnvelopeId) -> bool {
        let Some(index) = self.log.dag.index(id) else { return false };
        self.log.dag.closure(past).is_ok_and(|past| self.log.dag.holds(&past, index))
    }

    /// What ended somebody's membership, as of the last [`Self::settle`]: they get the control
    /// channel up to these and nothing after. Empty for a member and for a stranger.
    pub fn ended_by(&self, identity: &IdentityId) -> BTreeSet<EnvelopeId> {
        resolve::ended_by(&self.settled_view(), identity)
    }

    /// Whether an envelope is here.
    pub fn contains(&self, id: &EnvelopeId) -> bool {
        self.log.dag.contains(id)
    }

    /// The tips of the control channel: what one's next envelope names.
    pub fn tips(&self) -> Vec<Tip> {
        self.log.dag.heads()
    }

    /// Says whether somebody may do something now, and why. `channel` may be the control channel.
    pub fn explain(
        &self,
        identity: &IdentityId,
        channel: Option<&ChannelId>,
        capability: Capability,
    ) -> Explanation {
        let channel = channel.and_then(|channel| self.beyond_control(channel));
        self.settled.matrix.explain(identity, channel, capability)
    }

    /// The channel, unless it is the control channel, where the server's own rules hold.
    pub(super) fn beyond_control<'a>(&self, channel: &'a ChannelId) -> Option<&'a ChannelId> {
        Some(channel).filter(|channel| **channel != self.control)
    }

    fn settled_view(&self) -> View<'_> {
        View::whole(&self.log, &self.settled.past, &self.settled.refused)
    }
}
