use std::collections::{BTreeMap, BTreeSet};

use spacepanda_core::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, LogEntry, MessageId, StateId},
    state::{
        authority::Operation,
        envelope::{Envelope, Header, PayloadType},
        mls::{CommitPayload, MessagePayload, RootPayload},
    },
};

/// Every envelope that any node keeps, as nobody in the world sees them together: what the checks
/// judge by.
#[derive(Debug, Default)]
pub(super) struct Known {
    headers: BTreeMap<EnvelopeId, Header>,
    places: BTreeMap<(ChannelId, DeviceId, u64), EnvelopeId>,
    admissions: BTreeMap<DeviceId, BTreeSet<EnvelopeId>>,
    removals: BTreeMap<IdentityId, BTreeSet<EnvelopeId>>,
    identities: BTreeMap<DeviceId, IdentityId>,
    founder: Option<DeviceId>,
    /// Each state with the commit's payload that leads to it; none at the root.
    states: BTreeMap<StateId, Option<CommitPayload>>,
    messages: BTreeMap<(DeviceId, MessageId), (EnvelopeId, StateId)>,
}

impl Known {
    /// Notes an entry that is durable at some node.
    pub(super) fn note(&mut self, channel: &ChannelId, entry: &LogEntry) -> Result<(), String> {
        if self.headers.contains_key(&entry.id) {
            return Ok(());
        }
        let place = (*channel, entry.device, entry.number);
        if self.places.insert(place, entry.id).is_some() {
            let (device, number) = (entry.device, entry.number);
            return Err(format!("the log of {device:?} in {channel:?} forks at {number}"));
        }
        let envelope = Envelope::decode(&entry.bytes)
            .map_err(|error| format!("a kept envelope cannot be read: {error}"))?;
        let header = envelope.header().clone();
        match header.payload_type {
            PayloadType::Authority => self.note_operation(entry.id, &header),
            PayloadType::Root => {
                let root = RootPayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.states.insert(root.state, None);
            }
            PayloadType::Commit => {
                let commit = CommitPayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.states.insert(commit.child, Some(commit));
            }
            PayloadType::Message => {
                let message = MessagePayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.messages.insert((header.sender, message.id), (entry.id, message.state));
            }
            _ => {}
        }
        self.headers.insert(entry.id, header);
        Ok(())
    }

    fn note_operation(&mut self, id: EnvelopeId, header: &Header) {
        match Operation::decode(&header.payload) {
            Ok(Operation::Genesis(genesis)) => {
                self.founder = Some(header.sender);
                if let Some(owner) = genesis.owners.first() {
                    self.identities.insert(header.sender, owner.identity);
                }
            }
            Ok(Operation::Admit(request)) => {
                let certificate = &request.certificate;
                self.identities.insert(certificate.device, certificate.identity);
                self.admissions.entry(certificate.device).or_default().insert(id);
            }
            Ok(Operation::Kick { target, .. }) => {
                self.removals.entry(target).or_default().insert(id);
            }
            Ok(Operation::Leave) => {
                if let Some(identity) = self.identities.get(&header.sender) {
                    self.removals.entry(*identity).or_default().insert(id);
                }
            }
            _ => {}
        }
    }

    /// Whether a message was written, and kept by anybody.
    pub(super) fn is_written(&self, message: &(DeviceId, MessageId)) -> bool {
        self.messages.contains_key(message)
    }

    /// Whether a message is for a device: something at or before it in its log names an admission
    /// of the device in its past, every one that there is.
    pub(super) fn is_for(&self, message: &(DeviceId, MessageId), device: &DeviceId) -> bool {
        if message.0 == *device || self.founder == Some(*device) {
            return true;
        }
        let Some(admissions) = self.admissions.get(device) else { return false };
        let mut at = self.messages.get(message).map(|(id, _)| *id);
        while let Some(header) = at.and_then(|id| self.headers.get(&id)) {
            if self.past(header.control_past()).is_superset(admissions) {
                return true;
            }
            at = header.previous;
        }
        false
    }

    /// Whether the author of a message knew that somebody was removed.
    pub(super) fn knew_of_removal(
        &self,
        message: &(DeviceId, MessageId),
        identity: &IdentityId,
    ) -> bool {
        let header = self.messages.get(message).and_then(|(id, _)| self.headers.get(id));
        let (Some(header), Some(removals)) = (header, self.removals.get(identity)) else {
            return false;
        };
        !self.past(header.control_past()).is_disjoint(removals)
    }

    /// A message that its author encrypted for somebody whom they knew to be removed, if there is one.
    pub(super) fn message_for_removed(&self) -> Option<(DeviceId, MessageId)> {
        let for_removed =
            |(name, (_, state)): &(&(DeviceId, MessageId), &(EnvelopeId, StateId))| {
                let roster = self.roster(state);
                let mut identities = roster.iter().filter_map(|device| self.identities.get(device));
                identities.any(|identity| self.knew_of_removal(name, identity))
            };
        self.messages.iter().find(for_removed).map(|(name, _)| *name)
    }

    /// States that several commits were made on.
    pub(super) fn forks(&self) -> usize {
        let mut children: BTreeMap<StateId, usize> = BTreeMap::new();
        for commit in self.states.values().flatten() {
            *children.entry(commit.parent).or_default() += 1;
        }
        children.values().filter(|children| **children > 1).count()
    }

    /// The devices that have a leaf in a state.
    fn roster(&self, state: &StateId) -> BTreeSet<DeviceId> {
        let mut roster: BTreeSet<_> = self.founder.into_iter().collect();
        for state in self.path(state).iter().rev() {
            let Some(commit) = self.states.get(state).and_then(Option::as_ref) else { continue };
            roster.retain(|device| !commit.removes.contains(device));
            roster.extend(commit.adds.iter().map(|added| added.device));
        }
        roster
    }

    /// The states from `state` up to the root.
    fn path(&self, state: &StateId) -> Vec<StateId> {
        let parent = |state: &StateId| self.states.get(state)?.as_ref().map(|commit| commit.parent);
        std::iter::successors(Some(*state), parent).collect()
    }

    /// Everything in the control channel that `ids` follow, and they themselves.
    fn past(&self, ids: Vec<EnvelopeId>) -> BTreeSet<EnvelopeId> {
        let (mut past, mut next) = (BTreeSet::new(), ids);
        while let Some(id) = next.pop() {
            if past.insert(id) {
                next.extend(self.headers.get(&id).into_iter().flat_map(Header::named));
            }
        }
        past
    }
}
