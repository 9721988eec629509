use std::collections::{BTreeMap, BTreeSet};

use spacepanda_core::{
    base::{
        ChannelId, DeviceId, EnvelopeId, IdentityId, LogEntry, MessageId, StateId, Timestamp, Tip,
    },
    state::{
        crdt::StructureOp,
        envelope::{Envelope, Header, PayloadType},
        mls::{CommitPayload, KeyPackagePayload, MessagePayload, RootPayload, VotePayload},
    },
};

use super::{
    branches::Branches,
    outcome::Totals,
    packages::Packages,
    rules::{Rules, Said},
    set::Set,
};

/// A message's name in the world. A hostile member may use an id in several channels.
pub(super) type Name = (DeviceId, MessageId, ChannelId);

/// Every envelope that any node keeps, as nobody in the world sees them together: what the checks
/// judge by.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: BTreeSet<EnvelopeId>,
    places: BTreeMap<(ChannelId, DeviceId, u64), EnvelopeId>,
    /// The logs that fork: of hostile members, and of devices of which a copy ran.
    forked: BTreeSet<(ChannelId, DeviceId)>,
    pub(super) rules: Rules,
    branches: Branches,
    /// Which nodes keep each envelope of the control channel.
    keepers: BTreeMap<EnvelopeId, Set>,
    /// Which nodes kept only its header, and have not been given its body since.
    bare: BTreeMap<EnvelopeId, Set>,
    /// Nodes that left a branch on which they must have said that they stood, and where on it.
    owed: Vec<(usize, StateId)>,
    founder: Option<DeviceId>,
    /// Devices of which a copy ran.
    pub(super) cloned: BTreeSet<DeviceId>,
    /// The members who mean harm.
    pub(super) hostile: BTreeSet<IdentityId>,
    /// The channels that the founder made.
    pub(super) channels: BTreeSet<ChannelId>,
    /// Each state with the commit's payload that leads to it; none at the root.
    states: BTreeMap<StateId, Option<CommitPayload>>,
    /// A hostile member may use a name more than once.
    messages: BTreeMap<Name, Vec<Written>>,
    /// Of each log's last message, of a hostile member's every one, what its author has named up to
    /// there of the control channel.
    named: BTreeMap<EnvelopeId, Set>,
    /// Of each message, what comes before it in its log.
    previous: BTreeMap<EnvelopeId, EnvelopeId>,
    /// Each state that somebody left, and where they went.
    pub(super) moves: Vec<(StateId, StateId)>,
    packages: Packages,
    commits: usize,
    roots: usize,
    votes: usize,
    pleas: usize,
}

/// A message that was written.
#[derive(Debug)]
struct Written {
    id: EnvelopeId,
    channel: ChannelId,
    number: u64,
    timestamp: Timestamp,
    state: StateId,
    /// What its author knew of the control channel.
    past: Set,
    /// What anything at or before it in its log names of the control channel.
    above: Set,
}

impl Known {
    /// Notes an entry that is durable at some node.
    pub(super) fn note(
        &mut self,
        node: usize,
        channel: &ChannelId,
        entry: &LogEntry,
    ) -> Result<(), String> {
        self.keepers.entry(entry.id).or_default().insert(node);
        if !entry.body_held {
            self.bare.entry(entry.id).or_default().insert(node);
        }
        if !self.ids.insert(entry.id) {
            return Ok(());
        }
        let (device, number) = (entry.device, entry.number);
        let hostile = self.is_hostile(&device);
        if self.places.insert((*channel, device, number), entry.id).is_some() {
            if !self.may_fork(&device) {
                return Err(format!("the log of {device:?} in {channel:?} forks at {number}"));
            }
            self.forked.insert((*channel, device));
        }
        let envelope = Envelope::decode(&entry.bytes)
            .map_err(|error| format!("a kept envelope cannot be read: {error}"))?;
        let header = envelope.header();
        if header.payload_type == PayloadType::Message {
            let noted = self.note_message(entry.id, header);
            // A copy says again what waited when it was made.
            return if self.may_fork(&device) { Ok(()) } else { noted };
        }
        self.rules.add(entry.id, header).ok_or("an envelope is kept without its past")?;
        match self.note_control(entry.id, header) {
            Err(error) if !hostile => Err(format!("{channel:?}: {error}")),
            _ => Ok(()),
        }
    }

    fn note_control(&mut self, id: EnvelopeId, header: &Header) -> Result<(), String> {
        match header.payload_type {
            PayloadType::Root => {
                let root = RootPayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.founder = self.founder.or(Some(header.sender));
                if !self.is_hostile(&header.sender) {
                    self.roots += 1;
                    self.branches.add_root(header.sender, root.state);
                    self.states.insert(root.state, None);
                }
            }
            PayloadType::Commit => {
                let commit = CommitPayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.commits += 1;
                self.packages.note_commit(header.sender, &commit);
                self.branches.add_commit(id, header.sender, commit.clone());
                // What a hostile member says of a state that somebody else made is not so.
                if self.is_hostile(&header.sender) {
                    self.states.entry(commit.child).or_insert(Some(commit));
                } else {
                    self.states.insert(commit.child, Some(commit));
                }
            }
            PayloadType::Vote => {
                self.votes += 1;
                if let Ok(vote) = VotePayload::decode(&header.payload) {
                    self.branches.add_vote(id, header.sender, vote.state);
                }
            }
            PayloadType::KeyPackage => {
                let payload =
                    KeyPackagePayload::decode(&header.payload).map_err(|e| e.to_string())?;
                self.pleas += usize::from(payload.lost.is_some());
                self.packages.note(&payload);
            }
            PayloadType::Structure if self.is_founder(&header.sender) => {
                if let Ok(StructureOp::CreateChannel { .. }) = StructureOp::decode(&header.payload)
                {
                    self.channels.insert(ChannelId::new(*id.as_bytes()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that a node holds the body now of what it kept without.
    pub(super) fn note_filled(&mut self, node: usize, id: &EnvelopeId) {
        if let Some(nodes) = self.bare.get_mut(id) {
            nodes.remove(node);
        }
    }

    fn note_message(&mut self, id: EnvelopeId, header: &Header) -> Result<(), String> {
        let payload = MessagePayload::decode(&header.payload).map_err(|e| e.to_string())?;
        let past = self.rules.closure(&header.control_past()).ok_or("a past is missing")?;
        let above = header.previous.and_then(|previous| match self.may_fork(&header.sender) {
            true => self.named.get(&previous).cloned(),
            false => self.named.remove(&previous),
        });
        let mut above = above.unwrap_or_default();
        above.add(&past);
        self.named.insert(id, above.clone());
        self.previous.extend(header.previous.map(|previous| (id, previous)));
        let written = Written {
            id,
            channel: header.channel,
            number: header.sequence,
            timestamp: header.timestamp,
            state: payload.state,
            past,
            above,
        };
        let name = (header.sender, payload.id, header.channel);
        let (first, last) = (ChannelId::new([0; 32]), ChannelId::new([0xff; 32]));
        let ids = (header.sender, payload.id, first)..=(header.sender, payload.id, last);
        let is_new = self.messages.range(ids).next().is_none();
        self.messages.entry(name).or_default().push(written);
        match is_new {
            true => Ok(()),
            false => Err(format!("{name:?} names two messages")),
        }
    }

    /// Whether a device is one of the founder's.
    fn is_founder(&self, device: &DeviceId) -> bool {
        self.rules.person(device).is_some_and(|person| self.rules.is_founder(&person))
    }

    /// Whether a device is a hostile member's.
    pub(super) fn is_hostile(&self, device: &DeviceId) -> bool {
        self.rules.person(device).is_some_and(|person| self.hostile.contains(&person))
    }

    /// Whether more than one may write as a device: a hostile member's, or one of which a copy ran.
    pub(super) fn may_fork(&self, device: &DeviceId) -> bool {
        self.is_hostile(device) || self.cloned.contains(device)
    }

    /// Whether a message was written, and kept by anybody.
    pub(super) fn is_written(&self, message: &Name) -> bool {
        self.messages.contains_key(message)
    }

    /// Whether a node ever kept a message with its body.
    pub(super) fn is_kept_at(&self, message: &Name, node: usize) -> bool {
        let has = |of: &BTreeMap<_, Set>, id| of.get(id).is_some_and(|nodes| nodes.has(node));
        self.all_named(message)
            .any(|written| has(&self.keepers, &written.id) && !has(&self.bare, &written.id))
    }

    /// Notes that what these nodes alone hold is gone with them; and what a hostile member wrote and none but
    /// `aside` hold beside these, who tell nobody of it.
    pub(super) fn note_gone(&mut self, gone: &[usize], aside: &[usize]) {
        let Self { rules, keepers, hostile, .. } = self;
        rules.note_lost(|id, author| {
            let means_harm = author.is_some_and(|author| hostile.contains(author));
            let is_none =
                |keeper: usize| gone.contains(&keeper) || (means_harm && aside.contains(&keeper));
            keepers.get(id).is_some_and(|keepers| keepers.iter().all(is_none))
        });
    }

    /// Whether a message has its name alone.
    pub(super) fn is_named_once(&self, message: &Name) -> bool {
        self.all_named(message).count() == 1
    }

    fn all_named(&self, message: &Name) -> impl Iterator<Item = &Written> {
        self.messages.get(message).into_iter().flatten()
    }

    /// Whether a message counts, by the rules of authority; of one in a log that forks, whether it can.
    pub(super) fn counts(&self, message: &Name) -> bool {
        self.all_named(message)
            .any(|written| self.does_count(message, written, |tip| written.number <= tip.number))
    }

    /// Whether a message counts whichever branch of its log it stands on.
    pub(super) fn counts_surely(&self, message: &Name) -> bool {
        let forks = self.forked.contains(&(message.2, message.0));
        self.all_named(message).any(|written| {
            self.does_count(message, written, |tip| {
                written.number <= tip.number && (!forks || self.leads_to(tip, written))
            })
        })
    }

    fn does_count(
        &self,
        message: &Name,
        written: &Written,
        is_up_to: impl Fn(&Tip) -> bool,
    ) -> bool {
        self.rules.counts(&Said {
            device: message.0,
            channel: written.channel,
            timestamp: written.timestamp,
            past: &written.past,
            is_up_to: &is_up_to,
        })
    }

    /// Whether a log leads from `tip` back to a message.
    fn leads_to(&self, tip: &Tip, written: &Written) -> bool {
        let mut back = std::iter::successors(Some(tip.id), |id| self.previous.get(id).copied());
        back.any(|id| id == written.id)
    }

    /// Whether a message is for a device: it has every admission of the device that there is in its past.
    /// Of who means harm something earlier may have had them, and this no more.
    pub(super) fn is_for(&self, message: &Name, device: &DeviceId) -> bool {
        if message.0 == *device || self.is_founder(device) {
            return true;
        }
        let admissions = self.rules.admissions(device);
        let is_after = |written: &Written| admissions.iter().all(|at| written.past.has(*at));
        !admissions.is_empty() && self.all_named(message).any(is_after)
    }

    /// Whether a log has forked.
    pub(super) fn has_forks(&self) -> bool {
        !self.forked.is_empty()
    }

    /// Whether everything that a device of a node wrote is kept by another node.
    pub(super) fn is_shared(&self, node: usize, device: &DeviceId) -> bool {
        self.is_kept(device, |keepers| keepers.iter().any(|keeper| keeper != node))
    }

    /// Whether everything that a device wrote is kept by all of these nodes.
    pub(super) fn is_held_by(&self, nodes: &[usize], device: &DeviceId) -> bool {
        self.is_kept(device, |keepers| nodes.iter().all(|node| keepers.has(*node)))
    }

    /// Whether everything that a device wrote is kept by such nodes.
    fn is_kept(&self, device: &DeviceId, by: impl Fn(&Set) -> bool) -> bool {
        let mut of = self.places.iter().filter(|((_, author, _), _)| author == device);
        of.all(|(_, id)| self.keepers.get(id).is_some_and(&by))
    }

    /// Whether a message has one name and one place for everybody: not so if its author means harm and
    /// uses a name twice, or forks their log, of which whoever comes in later holds one branch only.
    pub(super) fn is_one(&self, message: &Name) -> bool {
        !self.forked.contains(&(message.2, message.0)) && self.all_named(message).count() < 2
    }

    /// Whether the author of a message knew that somebody was out.
    pub(super) fn knew_of_removal(&self, message: &Name, identity: &IdentityId) -> bool {
        !self.is_hostile(&message.0)
            && self
                .all_named(message)
                .any(|written| self.rules.was_removed(identity, &written.past))
    }

    /// A message that its author encrypted for somebody whom they knew to be out, if there is one.
    pub(super) fn message_for_removed(&self) -> Option<Name> {
        let mut rosters: BTreeMap<StateId, BTreeSet<IdentityId>> = BTreeMap::new();
        let mut for_removed = |written: &Written| {
            let roster =
                rosters.entry(written.state).or_insert_with(|| self.roster(&written.state));
            roster.iter().any(|identity| self.rules.was_removed(identity, &written.past))
        };
        let ours = self.messages.iter().filter(|(name, _)| !self.is_hostile(&name.0));
        let mut messages = ours.flat_map(|(name, all)| all.iter().map(move |one| (name, one)));
        messages.find(|(_, written)| for_removed(written)).map(|(name, _)| *name)
    }

    /// How many requests there were to be let in anew.
    pub(super) fn pleas(&self) -> usize {
        self.pleas
    }

    /// Every message, by channel.
    pub(super) fn tips(&self) -> BTreeMap<ChannelId, Vec<Tip>> {
        let mut tips: BTreeMap<ChannelId, Vec<Tip>> = BTreeMap::new();
        for ((device, _, channel), all) in &self.messages {
            let tip = |one: &Written| Tip { device: *device, number: one.number, id: one.id };
            tips.entry(*channel).or_default().extend(all.iter().map(tip));
        }
        tips
    }

    /// A message, unless it may be handed over to a device: it is not from before its time, and was not
    /// written by who knew that its person is out. What others write who mean harm is nobody's.
    pub(super) fn not_for(&self, device: &DeviceId, message: &EnvelopeId) -> Option<Name> {
        let mut written = self.messages.iter().filter(|(name, _)| !self.is_hostile(&name.0));
        let (name, _) = written.find(|(_, all)| all.iter().any(|one| one.id == *message))?;
        let is_out = |person| self.knew_of_removal(name, &person);
        let is_out = self.rules.person(device).is_some_and(is_out);
        (is_out || self.is_before(name, device)).then_some(*name)
    }

    /// A state on which somebody stood, or one above it, though every commit that leads there does what
    /// its author's past does not call for.
    pub(super) fn unlawful(&self) -> Option<StateId> {
        let mut seen = BTreeSet::new();
        for (_, stood) in &self.moves {
            for state in self.path(stood) {
                if !seen.insert(state) {
                    break;
                }
                if !self.branches.is_called_for(&self.rules, &state) {
                    return Some(state);
                }
            }
        }
        None
    }

    /// Notes that a node went from a state, on which it stood as on its head, to another.
    pub(super) fn note_move(
        &mut self,
        node: usize,
        ids: (IdentityId, DeviceId),
        left: &StateId,
        to: &StateId,
    ) {
        let wrote = self.places.keys().any(|(_, device, _)| *device == ids.1);
        if let Some(child) = self.branches.owed(&self.rules, &ids.0, left, to).filter(|_| wrote) {
            self.owed.push((node, child));
        }
    }

    /// The nodes that left a branch on which they must have said that they stood, and where on it they
    /// never did.
    pub(super) fn unsaid(
        &self,
        who: impl Fn(usize) -> Option<IdentityId>,
    ) -> Option<(usize, StateId)> {
        let mut owed = self.owed.iter().copied();
        owed.find(|(node, child)| {
            who(*node).is_some_and(|who| !self.branches.stood(&self.rules, &who, child))
        })
    }

    /// The head that a node has to choose by what it keeps, if the rules alone say that.
    pub(super) fn head(&self, node: usize) -> Option<StateId> {
        let keeps = |id: &EnvelopeId| self.keepers.get(id).is_some_and(|keepers| keepers.has(node));
        self.branches.head(&self.rules, keeps)
    }

    /// Whether a message was written before the time of a device: it is not for it.
    pub(super) fn is_before(&self, message: &Name, device: &DeviceId) -> bool {
        let admissions = self.rules.admissions(device);
        let after = |written: &Written| admissions.iter().any(|at| written.above.has(*at));
        let known = self.is_written(message) && !admissions.is_empty();
        known && message.0 != *device && !self.all_named(message).any(after)
    }

    /// Adds what is known to what a run counts.
    pub(super) fn count(&self, totals: &mut Totals) {
        let mut children: BTreeMap<StateId, usize> = BTreeMap::new();
        for commit in self.states.values().flatten() {
            *children.entry(commit.parent).or_default() += 1;
        }
        totals.forks = children.values().filter(|children| **children > 1).count();
        totals.commits = self.commits;
        totals.votes = self.votes;
        totals.pleas = self.pleas;
        totals.restarts = self.roots.saturating_sub(1);
        totals.packages_reused = self.packages.reused();
        totals.last_resorts_renewed = self.packages.renewed_last_resorts(|state| {
            let path = self.path(state).into_iter();
            path.filter_map(|state| self.states.get(&state)?.as_ref()).collect()
        });
        for (left, to) in &self.moves {
            let path = self.path(to);
            let depth = self.path(left).iter().take_while(|state| !path.contains(state)).count();
            totals.switches += usize::from(depth > 0);
            totals.deepest_switch = totals.deepest_switch.max(depth);
        }
    }

    /// The people who have a leaf in a state.
    pub(super) fn roster(&self, state: &StateId) -> BTreeSet<IdentityId> {
        let mut roster: BTreeSet<_> = self.founder.into_iter().collect();
        for state in self.path(state).iter().rev() {
            let Some(commit) = self.states.get(state).and_then(Option::as_ref) else { continue };
            roster.retain(|device| !commit.removes.contains(device));
            roster.extend(commit.adds.iter().map(|added| added.device));
        }
        roster.iter().filter_map(|device| self.rules.person(device)).collect()
    }

    /// The states from `state` up to the root.
    fn path(&self, state: &StateId) -> Vec<StateId> {
        let parent = |state: &StateId| self.states.get(state)?.as_ref().map(|commit| commit.parent);
        std::iter::successors(Some(*state), parent).collect()
    }
}
