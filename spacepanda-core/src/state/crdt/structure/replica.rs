use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use automerge::ChangeHash;

use super::{
    Channel, Known, StructureEvent, StructureOp,
    document::{Actor, Document, ExecuteError, Write},
};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, limits::CHANNELS_MAX},
    state::envelope::{Dag, Index},
};

/// Where a channel stands among the others: (`order`, id).
type Place = (u64, ChannelId);

/// A document and what was executed on it.
#[derive(Default)]
pub(super) struct Replica {
    /// Made with the first operation.
    document: Option<Document>,
    /// Per operation that was executed, its change.
    changes: BTreeMap<Index, ChangeHash>,
    /// Per device, the last of its operations that was executed.
    last: BTreeMap<DeviceId, Index>,
    /// Devices whose operations have an actor each.
    forked: BTreeSet<DeviceId>,
    /// All channels, also those beyond the limit.
    channels: BTreeMap<Place, String>,
}

impl Replica {
    /// Executes from the start everything that counts.
    pub(super) fn replayed(dag: &Dag, known: &BTreeMap<Index, Known>) -> Result<Self, ()> {
        let mut replica = Self { forked: forked(dag, known), ..Self::default() };
        for (index, known) in known.iter().filter(|(_, known)| known.op.is_some()) {
            replica.execute(dag, *index, known)?;
        }
        Ok(replica)
    }

    /// Whether an operation is the first to show that its device's log has forked: then everything must
    /// be executed again, with other actors.
    pub(super) fn is_fork(&self, dag: &Dag, index: Index, device: &DeviceId) -> bool {
        let last = self.last.get(device);
        !self.forked.contains(device) && last.is_some_and(|last| !dag.is_before(*last, index))
    }

    /// Executes one operation, whose past has been executed as far as it counts.
    pub(super) fn execute(
        &mut self,
        dag: &Dag,
        index: Index,
        known: &Known,
    ) -> Result<Vec<StructureEvent>, ()> {
        let Some(op) = &known.op else { return Ok(Vec::new()) };
        let before = self.server_name();
        self.change(dag, index, known, op).map_err(|error| {
            tracing::error!(%error, "an operation on structure could not be executed");
        })?;
        self.last.insert(known.device, index);
        match op {
            StructureOp::SetServerName { .. } => {
                let name = self.server_name();
                let renamed = name != before;
                Ok(renamed.then_some(StructureEvent::ServerNamed(name)).into_iter().collect())
            }
            StructureOp::CreateChannel { .. } => Ok(self.show(known)),
        }
    }

    pub(super) fn server_name(&self) -> Option<String> {
        self.document.as_ref()?.server_name()
    }

    pub(super) fn channels(&self) -> Vec<Channel> {
        self.shown().map(|((_, id), name)| Channel { id: *id, name: name.clone() }).collect()
    }

    pub(super) fn heads(&self) -> Vec<[u8; 32]> {
        self.document.as_ref().map_or_else(Vec::new, Document::heads)
    }

    /// What changed for people since `before`.
    pub(super) fn since(&self, before: &Self) -> Vec<StructureEvent> {
        let name = self.server_name();
        let renamed = name != before.server_name();
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (before.shown().collect(), self.shown().collect());
        let removed = old.keys().filter(|place| !new.contains_key(*place));
        let added = new.iter().filter(|(place, _)| !old.contains_key(*place));
        let renamed = renamed.then_some(StructureEvent::ServerNamed(name));
        let removed = removed.map(|(_, id)| StructureEvent::ChannelRemoved(*id));
        let added = added.map(|((_, id), name)| added_event(*id, name));
        renamed.into_iter().chain(removed).chain(added).collect()
    }

    fn shown(&self) -> impl Iterator<Item = (&Place, &String)> {
        self.channels.iter().take(CHANNELS_MAX)
    }

    fn change(
        &mut self,
        dag: &Dag,
        index: Index,
        known: &Known,
        op: &StructureOp,
    ) -> Result<(), ExecuteError> {
        let past = self.changes_before(dag, index);
        let actor = self.actor(known);
        let write = match op {
            StructureOp::SetServerName { name } => Write::ServerName(name.as_str()),
            StructureOp::CreateChannel { name } => {
                let id = channel_id(&known.id);
                Write::Channel { id, order: known.order, name: name.as_str() }
            }
        };
        let document = match self.document.take() {
            Some(document) => document,
            None => Document::new()?,
        };
        let change = self.document.insert(document).execute(&past, actor, &write)?;
        self.changes.insert(index, change);
        Ok(())
    }

    /// The changes that an operation was made on: that of each operation it names, or, of one that does
    /// not count, those behind it.
    fn changes_before(&self, dag: &Dag, index: Index) -> Vec<ChangeHash> {
        let mut changes = Vec::new();
        let mut seen = BTreeSet::new();
        let mut ahead = dag.named(index).to_vec();
        while let Some(named) = ahead.pop() {
            if !seen.insert(named) {
                continue;
            }
            match self.changes.get(&named) {
                Some(change) => changes.push(*change),
                None => ahead.extend_from_slice(dag.named(named)),
            }
        }
        changes
    }

    fn actor(&self, known: &Known) -> Actor {
        let whole = if self.forked.contains(&known.device) {
            *known.id.as_bytes()
        } else {
            blake3::hash(known.device.as_bytes()).into()
        };
        *whole.first_chunk().expect("32 bytes hold 16")
    }

    /// Shows a channel that was just made, unless it is beyond the limit.
    fn show(&mut self, known: &Known) -> Vec<StructureEvent> {
        let id = channel_id(&known.id);
        let name = self.document.as_ref().and_then(|document| document.channel_name(&id));
        let Some(name) = name else { return Vec::new() };
        let place = (known.order, id);
        let added = added_event(id, &name);
        self.channels.insert(place, name);
        match self.channels.keys().nth(CHANNELS_MAX) {
            None => vec![added],
            Some(beyond) if *beyond <= place => Vec::new(),
            Some((_, beyond)) => vec![StructureEvent::ChannelRemoved(*beyond), added],
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replica({} changes, {} channels)", self.changes.len(), self.channels.len())
    }
}

/// The devices of which two operations that count are concurrent. Parents come first in `known`, so a
/// chain is one whose every operation has the one before it in its past.
fn forked(dag: &Dag, known: &BTreeMap<Index, Known>) -> BTreeSet<DeviceId> {
    let mut last: BTreeMap<DeviceId, Index> = BTreeMap::new();
    let mut forked = BTreeSet::new();
    for (index, known) in known.iter().filter(|(_, known)| known.op.is_some()) {
        let before = last.insert(known.device, *index);
        if before.is_some_and(|before| !dag.is_before(before, *index)) {
            forked.insert(known.device);
        }
    }
    forked
}

fn channel_id(envelope: &EnvelopeId) -> ChannelId {
    ChannelId::new(*envelope.as_bytes())
}

fn added_event(id: ChannelId, name: &str) -> StructureEvent {
    StructureEvent::ChannelAdded(Channel { id, name: name.to_owned() })
}
