//! A server's structure: its name and channels, executed from the log on an Automerge document.
//!
//! Peers never send Automerge bytes. They send [`StructureOp`]s, and every replica executes each on
//! the document as it was at the operation's causal past. So all replicas have the same document,
//! heads included, whatever the order in which they received the operations.
//!
//! Nothing is stored: at start the structure is executed again from the control channel's headers,
//! which are read then in any case. An operation with nothing concurrent costs the same at any size,
//! tens of microseconds; one beside others costs a fork of its past, which grows with the document.
//! So starting, and taking an operation out, costs all operations of the server, which are few.

mod document;
mod op;
mod replica;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, Tip},
    state::{
        authority::Authorized,
        envelope::{Dag, Index},
    },
};

pub use op::{OpError, StructureOp};
use replica::Replica;

/// A channel as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The id of the envelope that made it.
    pub id: ChannelId,
    /// Its name.
    pub name: String,
}

/// What changed for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StructureEvent {
    /// The server has this name now; `None` if what named it was taken out.
    ServerNamed(Option<String>),
    /// A channel is there.
    ChannelAdded(Channel),
    /// A channel is there no more: what made it was taken out, or it is beyond the limit.
    ChannelRemoved(ChannelId),
}

/// Why an operation was not executed. Nothing changed, but for [`StructureError::Stopped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// An operation that was neither applied nor passed over is named.
    #[error("an operation that is named is not known")]
    Missing(EnvelopeId),
    /// The device is not the one that the gate judged.
    #[error("the operation was judged as another device's")]
    Author,
    /// The document could not execute an operation that was allowed: it shows what it showed before,
    /// and takes nothing more. The log is whole; a version that can execute it goes on from there.
    #[error("the structure has stopped at an operation that could not be executed")]
    Stopped,
}

/// An operation that is known: executed, or passed over because it does not count.
#[derive(Debug)]
struct Known {
    id: EnvelopeId,
    device: DeviceId,
    order: u64,
    op: Option<StructureOp>,
}

/// A server's structure, as executed so far.
#[derive(Debug, Default)]
pub struct Structure {
    /// Which operations are in the past of which.
    dag: Dag,
    known: BTreeMap<Index, Known>,
    replica: Replica,
    stopped: bool,
}

impl Structure {
    /// A structure of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Executes an operation that counts, on what `past` says, and tells what changed for people.
    ///
    /// `past` holds the latest structure operations in the causal past of the envelope `id`, whether
    /// they count or not; others of its past may stand among them. One that was passed over is looked
    /// through, to what is behind it. An operation that was executed already does nothing; one that
    /// was passed over or removed counts from now on, by replay.
    ///
    /// The actor is BLAKE3(device), cut to 16 bytes; for all operations of a device of which two are
    /// concurrent, so that its log has forked, the first 16 bytes of the operation's own id.
    ///
    /// # Errors
    /// If `past` is not known, `device` is not the author that was judged, or the document has stopped.
    pub fn apply(
        &mut self,
        id: EnvelopeId,
        device: DeviceId,
        order: u64,
        past: &[EnvelopeId],
        op: Authorized<StructureOp>,
    ) -> Result<Vec<StructureEvent>, StructureError> {
        if self.stopped {
            return Err(StructureError::Stopped);
        }
        if op.origin().device != device {
            return Err(StructureError::Author);
        }
        let is_new = !self.dag.contains(&id);
        let index = self.note(id, device, order, past)?;
        let known = self.known_mut(index);
        if known.op.is_some() {
            return Ok(Vec::new());
        }
        known.op = Some(op.into_content());
        if is_new && !self.replica.is_fork(&self.dag, index, &device) {
            self.execute(index)
        } else {
            self.replay()
        }
    }

    /// Notes an operation that does not count, or that this version does not know, so that those that
    /// have it in their past can name it. One that is known stays as it is.
    ///
    /// # Errors
    /// [`StructureError::Missing`] if `past` is not known.
    pub fn pass_over(
        &mut self,
        id: EnvelopeId,
        device: DeviceId,
        order: u64,
        past: &[EnvelopeId],
    ) -> Result<(), StructureError> {
        self.note(id, device, order, past).map(|_| ())
    }

    /// Takes out operations that no longer count, and tells what changed for people; see
    /// [`Structure::recount`].
    ///
    /// # Errors
    /// [`StructureError::Stopped`].
    pub fn remove(&mut self, ids: &[EnvelopeId]) -> Result<Vec<StructureEvent>, StructureError> {
        self.recount(Vec::new(), ids)
    }

    /// Takes operations in and out, as authority's recount says, by one replay, and tells what changed
    /// for people. What counts now was passed over or removed before; of what no longer counts, one that
    /// is not known, or is out already, is no error.
    ///
    /// # Errors
    /// If what counts now is not known or was judged as another device's, and then nothing changed; or
    /// [`StructureError::Stopped`].
    pub fn recount(
        &mut self,
        now_count: Vec<(EnvelopeId, Authorized<StructureOp>)>,
        no_longer: &[EnvelopeId],
    ) -> Result<Vec<StructureEvent>, StructureError> {
        if self.stopped {
            return Err(StructureError::Stopped);
        }
        let now_count = now_count
            .into_iter()
            .map(|(id, op)| Ok((self.judged(&id, &op)?, op.into_content())))
            .collect::<Result<Vec<_>, StructureError>>()?;
        let mut changed = false;
        for id in no_longer {
            let known = self.dag.index(id).map(|index| self.known_mut(index));
            changed |= known.is_some_and(|known| known.op.take().is_some());
        }
        for (index, op) in now_count {
            changed |= self.known_mut(index).op.replace(op).is_none();
        }
        if changed { self.replay() } else { Ok(Vec::new()) }
    }

    /// Every operation that was applied or passed over, parents first.
    pub fn operations(&self) -> impl Iterator<Item = EnvelopeId> + '_ {
        self.known.values().map(|known| known.id)
    }

    /// The server's name, if it has one.
    pub fn server_name(&self) -> Option<String> {
        self.replica.server_name()
    }

    /// The channels, by the (`order`, id) of what made them: of a server that has more than
    /// [`CHANNELS_MAX`](crate::base::limits::CHANNELS_MAX), the first so many.
    pub fn channels(&self) -> Vec<Channel> {
        self.replica.channels()
    }

    /// The hashes of the document's heads, ascending: the same on every replica that has executed the
    /// same operations.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.replica.heads()
    }

    fn note(
        &mut self,
        id: EnvelopeId,
        device: DeviceId,
        order: u64,
        past: &[EnvelopeId],
    ) -> Result<Index, StructureError> {
        if let Some(index) = self.dag.index(&id) {
            return Ok(index);
        }
        let latest = self.latest(past)?;
        // The graph is of structure operations alone, where a place in the device's log says nothing.
        let tip = Tip { device, number: order, id };
        let (first, others) = match latest.split_first() {
            Some((first, others)) => (Some(*first), others),
            None => (None, &[][..]),
        };
        let index =
            self.dag.insert(tip, first, others.iter().copied()).map_err(StructureError::Missing)?;
        self.known.insert(index, Known { id, device, order, op: None });
        Ok(index)
    }

    /// The operation that `op` is, if it is known and its device's.
    fn judged(
        &self,
        id: &EnvelopeId,
        op: &Authorized<StructureOp>,
    ) -> Result<Index, StructureError> {
        let index = self.dag.index(id).ok_or(StructureError::Missing(*id))?;
        let is_authors = op.origin().device == self.known[&index].device;
        is_authors.then_some(index).ok_or(StructureError::Author)
    }

    fn known_mut(&mut self, index: Index) -> &mut Known {
        self.known.get_mut(&index).expect("what is in the graph is known")
    }

    /// Of `past`, what is in the past of nothing else in it, the last known first.
    fn latest(&self, past: &[EnvelopeId]) -> Result<Vec<EnvelopeId>, StructureError> {
        let mut indices = past
            .iter()
            .map(|id| self.dag.index(id).ok_or(StructureError::Missing(*id)))
            .collect::<Result<Vec<_>, _>>()?;
        indices.sort_unstable_by(|a, b| b.cmp(a));
        indices.dedup();
        let mut latest: Vec<Index> = Vec::new();
        for index in indices {
            if !latest.iter().any(|later| self.dag.is_before(index, *later)) {
                latest.push(index);
            }
        }
        Ok(latest.into_iter().map(|index| self.dag.tip(index).id).collect())
    }

    fn execute(&mut self, index: Index) -> Result<Vec<StructureEvent>, StructureError> {
        let done = self.replica.execute(&self.dag, index, &self.known[&index]);
        self.stopped = done.is_err();
        done.map_err(|()| StructureError::Stopped)
    }

    fn replay(&mut self) -> Result<Vec<StructureEvent>, StructureError> {
        match Replica::replayed(&self.dag, &self.known) {
            Ok(replica) => {
                let before = std::mem::replace(&mut self.replica, replica);
                Ok(self.replica.since(&before))
            }
            Err(()) => {
                self.stopped = true;
                Err(StructureError::Stopped)
            }
        }
    }
}
