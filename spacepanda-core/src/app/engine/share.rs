use std::{collections::BTreeMap, time::Duration};

use super::{
    channel::Channel,
    event::MessageState,
    handover,
    machine::{Cx, Machine, Node, Work},
    reads::Missing,
    server::Server,
};
use crate::{
    base::{
        Bug, ChannelId, DeviceId, Floors, Frontier, IdentityId, LogEntry, PeerId, Timestamp, Tip,
    },
    state::{
        envelope::Envelope,
        sync::{Action, Event, Start, SyncEngine, Ticket},
    },
};

/// How long news may be under way on a link that lives; one that does not is ended by its transport.
const LINK_LAG_MAX: Duration = Duration::from_secs(2 * 60);

/// What a peer may have of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    from: Start,
    up_to: Option<Frontier>,
}

impl Share {
    fn whole() -> Self {
        Self { from: Start::Beginning, up_to: None }
    }

    /// Whether the envelope at a place may be had, whatever is in it.
    pub(super) fn covers(&self, tip: &Tip) -> bool {
        let above = match &self.from {
            Start::Beginning => true,
            Start::Floors(floors) => {
                floors.get(&tip.device).is_some_and(|floor| tip.number >= *floor)
            }
        };
        above && self.up_to.is_none()
    }

    /// With the whole of these devices' logs.
    fn with_logs(mut self, devices: impl IntoIterator<Item = DeviceId>) -> Self {
        if let Start::Floors(floors) = &mut self.from {
            floors.extend(devices.into_iter().map(|device| (device, 1)));
        }
        self
    }

    /// What was written until then.
    fn until(up_to: Frontier) -> Self {
        Self { from: Start::Beginning, up_to: Some(up_to) }
    }

    /// Nothing is given; what comes is taken.
    fn only_taking() -> Self {
        Self { from: Start::Floors(Floors::new()), up_to: None }
    }
}

impl Server {
    /// Tells the sync engine of a channel that was loaded or met.
    pub(super) fn open_for_sync(&self, node: &mut Node, channel: ChannelId, now: Timestamp) {
        let Some(open) = self.channels.get(&channel) else { return };
        let frontier = open.frontier.clone();
        node.sync.handle(Event::Open { channel, frontier }, now);
    }

    /// Shares with every connected peer what authority, as known now, lets it have.
    pub(super) fn share(&mut self, node: &mut Node, cx: &Cx<'_>) {
        let peers: Vec<_> = node.links.peers().collect();
        self.shares.retain(|peer, _| peers.contains(peer));
        self.shared_of.retain(|peer, _| peers.contains(peer));
        self.caught_up.retain(|peer, _| peers.contains(peer));
        let news = self.channels.values().map(|channel| channel.news).sum();
        let of = (self.weighed.facts(), self.channels.len(), news);
        for peer in peers {
            // Of a device that is certified it depends on nothing else.
            let settled =
                self.shares.contains_key(&peer) && self.authority.certified(&peer).is_some();
            if self.shared_of.insert(peer, of) == Some(of) && settled {
                debug_assert_eq!(self.shares.get(&peer), Some(&self.due_to(node, peer)));
                continue;
            }
            let due = self.due_to(node, peer);
            let shared = self.shares.entry(peer).or_default();
            for channel in shared.keys().filter(|id| !due.contains_key(id)) {
                node.sync.handle(Event::Unshare { peer, channel: *channel }, cx.now);
            }
            for (channel, share) in &due {
                if shared.get(channel) != Some(share) {
                    let event = Event::Share {
                        peer,
                        channel: *channel,
                        control: *channel == self.control,
                        from: share.from.clone(),
                        up_to: share.up_to.clone(),
                    };
                    node.sync.handle(event, cx.now);
                }
            }
            *shared = due;
        }
    }

    /// Whether a channel is shared with a peer.
    pub(super) fn shares_with(&self, peer: &PeerId, channel: &ChannelId) -> bool {
        self.shares.get(peer).is_some_and(|shared| shared.contains_key(channel))
    }

    fn due_to(&self, node: &Node, peer: PeerId) -> BTreeMap<ChannelId, Share> {
        let Some(identity) = self.authority.certified(&peer) else {
            let asked =
                node.links.is_for_join(&peer, &self.id) || node.links.claims(&peer, &self.id);
            let share = match self.is_new_device(node, &peer) {
                true => Some(Share::whole()),
                false => asked.then(Share::only_taking),
            };
            return share.map(|share| (self.control, share)).into_iter().collect();
        };
        if !self.is_member(&identity) {
            let share = Share::until(self.authority.ended(&identity));
            return BTreeMap::from([(self.control, share)]);
        }
        if self.authority.is_revoked(&peer) {
            let share = Share::until(self.authority.revoked_at(&peer));
            return BTreeMap::from([(self.control, share)]);
        }
        let channels = self.channels.values().filter(|channel| channel.id != self.control);
        let open = channels.map(|channel| {
            // One's log begins with the next message, perhaps.
            (channel.id, self.due_of(channel, &identity).with_logs([peer]))
        });
        open.chain([(self.control, Share::whole())]).collect()
    }

    /// What of a channel is for a member: what was written since they came in, and all they wrote
    /// themselves, so that they are shown what of it has arrived, and have it again after a rollback.
    pub(super) fn due_of(&self, channel: &Channel, identity: &IdentityId) -> Share {
        let admits = self.authority.admits_of(identity);
        if admits.is_empty() || Bug::SharesThePast.is_planted() {
            return Share::whole();
        }
        let floors = channel.floors(self.authority.dag(), &admits);
        let authors = channel.frontier.tips().map(|tip| tip.device);
        let own = authors.filter(|device| self.authority.certified(device) == Some(*identity));
        Share { from: Start::Floors(floors), up_to: None }.with_logs(own)
    }

    /// Whether all is held that a peer showed since the link with it was made.
    pub(super) fn is_caught_up_with(&self, peer: &PeerId) -> bool {
        let shared = self.shares.get(peer).filter(|shared| !shared.is_empty());
        shared.zip(self.caught_up.get(peer)).is_some_and(|(shared, caught_up)| {
            shared.keys().all(|channel| caught_up.contains(channel))
        })
    }

    /// Until when everything is held that some peer had to show: it showed it once, or goes on pushing
    /// what comes over a link that lives.
    pub(super) fn heard_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut live = self.shares.keys();
        let live = live.any(|peer| self.is_caught_up_with(peer));
        self.caught_up_at.max(live.then(|| now.saturating_sub(LINK_LAG_MAX)))
    }

    /// Whether what a peer shows is what the server's members hold: not of a stranger, or of whoever is out,
    /// but before one is in nobody else is known.
    fn speaks_for_the_server(&self, peer: &PeerId) -> bool {
        self.join.as_ref().is_some_and(|join| !join.is_complete())
            || self.authority.certified(peer).is_some_and(|identity| self.is_member(&identity))
    }

    /// Notes that all was held that a peer showed of a channel.
    pub(super) fn note_caught_up(
        &mut self,
        node: &mut Node,
        peer: PeerId,
        channel: ChannelId,
        cx: &mut Cx<'_>,
    ) {
        self.ask_for_gaps(node, channel, peer, cx.now);
        let first_of_all = self.caught_up.keys().all(|other| *other == peer);
        if self.caught_up.entry(peer).or_default().insert(channel) {
            self.handover.catch_up(&peer, &channel, handover::in_a_moment(cx.now));
            // Before it knew who asks it may have said that it holds no body of what it holds.
            if self.forget_who_lacks_bodies(&peer) {
                node.settle(self.id);
            }
        }
        let (shared, caught_up) = (self.shares.get(&peer), &self.caught_up[&peer]);
        let all = shared.is_some_and(|shared| shared.keys().all(|id| caught_up.contains(id)));
        if all && self.speaks_for_the_server(&peer) {
            let first = self.caught_up_at.is_none();
            if first_of_all {
                self.note_absence(cx.now);
            }
            self.caught_up_at = Some(cx.now);
            let key = super::rows::caught_up_key(self.number);
            cx.fx.batch.put(super::rows::VIEW, key, crate::base::cbor::encode(&cx.now));
            cx.tell(super::event::Event::CaughtUp { server: self.id, device: peer });
            if first || self.join.is_some() || self.awaits_comparing(node) {
                node.settle(self.id);
            }
        }
    }
}

impl Machine {
    /// Carries out what the sync engine asks for, until it asks for nothing.
    pub(super) fn pump_sync(&mut self, cx: &mut Cx<'_>) {
        while let Some(action) = self.node.sync.poll() {
            self.sync_action(action, cx);
        }
    }

    fn sync_action(&mut self, action: Action, cx: &mut Cx<'_>) {
        match action {
            Action::Load { ticket, channel, floors, bare_below, have, limit, bytes_max } => {
                let reads = Missing { channel, floors, have, limit, bytes_max };
                self.node.queue(Work::SyncLoad { ticket, reads, bare_below });
            }
            Action::Probe { ticket, channel, tips } => {
                self.node.queue(Work::SyncProbe { ticket, channel, tips });
            }
            Action::LoadEntry { ticket, peer, channel, tip, bare } => {
                self.node.queue(Work::SyncEntry { ticket, peer, channel, tip, bare });
            }
            Action::Deliver { peer, channel, bytes } => self.delivered(peer, channel, None, &bytes),
            Action::DeliverBody { peer, channel, tip, bytes } => {
                self.delivered(peer, channel, Some(tip), &bytes);
            }
            Action::NotHeld { said, peer, channel, tip } => {
                let Some(server) = self.node.channels.get(&channel).copied() else { return };
                if let Some(server) = self.servers.get_mut(&server).filter(|_| said) {
                    server.note_not_held(&mut self.node, channel, tip, peer);
                }
                self.node.settle(server);
            }
            Action::Send { peer, bytes } => self.node.send_sync(peer, &bytes, cx),
            Action::CaughtUp { peer, channel } => {
                let Some(server) = self.node.channels.get(&channel).copied() else { return };
                if let Some(server) = self.servers.get_mut(&server) {
                    server.note_caught_up(&mut self.node, peer, channel, cx);
                }
            }
            Action::Covered { peer, channel, tips } => self.covered(peer, channel, &tips, cx),
            Action::Fault { peer, .. } => self.node.close_peer(peer, cx),
        }
    }

    fn delivered(
        &mut self,
        from: PeerId,
        channel: ChannelId,
        wanted: Option<Tip>,
        bytes: &bytes::Bytes,
    ) {
        let Some(server) = self.node.channels.get(&channel).copied() else { return };
        let Ok(envelope) = Envelope::decode(bytes).and_then(Envelope::verify) else { return };
        if envelope.header().channel != channel {
            return;
        }
        self.node.queue(match wanted {
            Some(tip) => Work::Body { server, channel, tip, envelope, from },
            None => Work::Keep { server, envelope, from: Some(from) },
        });
    }

    fn covered(&mut self, peer: PeerId, channel: ChannelId, tips: &[Tip], cx: &mut Cx<'_>) {
        let Some(server) = self.node.channels.get(&channel) else { return };
        let Some(server) = self.servers.get_mut(server) else { return };
        let of_another = server
            .authority
            .certified(&peer)
            .is_some_and(|identity| identity != self.node.me().identity());
        if of_another {
            let (node, tips) = (&mut self.node, tips.iter().copied());
            server.note_progress(node, channel, tips, MessageState::Delivered, cx);
        }
    }

    pub(super) fn sync_loaded(
        &mut self,
        ticket: Ticket,
        reads: &Missing,
        bare_below: &Floors,
        cx: &mut Cx<'_>,
    ) {
        let found = cx.loaded.missing.iter().find(|(missing, _)| missing == reads);
        let mut entries: Vec<LogEntry> =
            found.map(|(_, entries)| entries.clone()).unwrap_or_default();
        let is_bare = |entry: &LogEntry| {
            bare_below.get(&entry.device).is_some_and(|floor| entry.number < *floor)
        };
        let server = self.node.channels.get(&reads.channel);
        if let Some(server) = server.and_then(|id| self.servers.get_mut(id)) {
            let whole = entries.iter().filter(|entry| !is_bare(entry));
            let (node, tips) = (&mut self.node, whole.map(LogEntry::tip));
            server.note_progress(node, reads.channel, tips, MessageState::Sent, cx);
        }
        for entry in entries.iter_mut().filter(|entry| is_bare(entry)) {
            // What cannot be stripped keeps its body, and the engine serves none of that.
            if let Ok(envelope) = Envelope::decode(&entry.bytes).and_then(Envelope::trust) {
                *entry = envelope.without_body().log_entry();
            }
        }
        self.node.sync.handle(Event::Loaded { ticket, entries }, cx.now);
    }

    pub(super) fn sync_probed(
        &mut self,
        ticket: Ticket,
        channel: ChannelId,
        tips: Vec<Tip>,
        cx: &mut Cx<'_>,
    ) {
        let held =
            tips.into_iter().filter(|tip| cx.loaded.entry(&channel, tip).is_some()).collect();
        self.node.sync.handle(Event::Probed { ticket, held }, cx.now);
    }

    /// Serves a single envelope: with its body, or, below the peer's floor, its header alone.
    pub(super) fn sync_entry(
        &mut self,
        ticket: Ticket,
        peer: PeerId,
        channel: ChannelId,
        tip: Tip,
        bare: bool,
        cx: &mut Cx<'_>,
    ) {
        let entry = cx.loaded.entry(&channel, &tip).cloned().and_then(|entry| {
            let shared = self.servers.values().any(|server| server.shares_with(&peer, &channel));
            if !shared {
                return None;
            }
            if !bare {
                return Some(entry);
            }
            Some(cx.loaded.envelope(&channel, &tip)?.without_body().log_entry())
        });
        self.node.sync.handle(Event::LoadedEntry { ticket, entry }, cx.now);
    }
}
