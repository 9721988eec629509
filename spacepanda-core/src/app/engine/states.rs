use super::{
    enter::{NextCommit, Route},
    machine::{Cx, Node, Work},
    reads::{Loaded, Reads},
    rows::{self, MLS, StateRow, TREE},
    server::{Kept, Server},
};
use crate::{
    base::{Bug, ChannelId, EnvelopeId, PeerId, StateId},
    state::{
        authority::authorize,
        crdt::Reason,
        envelope::Verified,
        mls::{
            Group, MlsError, RowChange, ScopeKey,
            tree::{self, Window},
        },
        sync::{Event, SyncEngine},
    },
};

impl Server {
    /// The commit that is next on the way, and its parent's rows if it is to be replayed.
    pub(super) fn reach_reads(&self, node: &Node, state: &StateId) -> Reads {
        match self.route(node, state) {
            Some(Route::Replay(next)) => {
                let mut reads = self.group_reads(&next.parent);
                reads.entries.push((self.control, next.at.tip));
                reads
            }
            Some(Route::Enter(entry)) => self.entry_reads(&entry),
            None => Reads::default(),
        }
    }

    /// Comes one commit nearer to `state`.
    pub(super) fn reach(&mut self, node: &mut Node, state: StateId, cx: &mut Cx<'_>) {
        match self.route(node, &state) {
            Some(Route::Replay(next)) => self.replay(node, state, next, cx),
            Some(Route::Enter(entry)) => self.go_in(node, &entry, cx),
            None if self.stand.is_some() && !self.kept.contains_key(&state) => {
                self.give_up(node, state, Reason::StateUnknown);
            }
            None => {}
        }
    }

    /// Processes the next commit on the path to `state`, on a copy of its parent.
    fn replay(&mut self, node: &mut Node, state: StateId, next: NextCommit, cx: &mut Cx<'_>) {
        let NextCommit { parent, commit, at } = next;
        let Some(envelope) = cx.loaded.envelope(&self.control, &at.tip) else { return };
        if envelope.body().is_none() {
            self.ask_for_body(node, &envelope, cx);
            return;
        }
        if !self.bring_group(&parent, cx.loaded) {
            return;
        }
        match self.process(&parent, &envelope, cx) {
            Ok(group) => {
                self.mark_valid(node, commit, cx);
                self.keep_state(node, at.payload.child, group, cx);
                node.settle(self.id);
            }
            // One's own commit cannot be processed again, so its child was kept or its window passed.
            Err(MlsError::Own | MlsError::Inactive) => {
                self.give_up(node, state, Reason::KeysGone);
            }
            Err(MlsError::Storage) => {}
            Err(error) => {
                // Whatever waits for what comes of it waits in vain.
                self.give_up(node, state, Reason::StateUnknown);
                let is_new = match error {
                    MlsError::Path => self.mark_unreadable(commit),
                    _ => self.mark_invalid(node, commit, cx),
                };
                if is_new {
                    node.settle(self.id);
                }
            }
        }
    }

    /// Notes that nothing kept leads to a state, and says so of the messages that wait for it. Should it
    /// be reached another way, they are opened then.
    fn give_up(&mut self, node: &mut Node, state: StateId, reason: Reason) {
        if self.unreachable.insert(state, reason).is_none() {
            self.open_waiting(node, &state);
        }
    }

    fn process(
        &mut self,
        parent: &StateId,
        envelope: &Verified,
        cx: &mut Cx<'_>,
    ) -> Result<Group, MlsError> {
        let group = self.groups.get(parent).ok_or(MlsError::WrongState)?;
        let (opened, staged) = group.stage(envelope, &cx.chance.secret())?;
        let authorized = authorize(&self.authority, opened).map_err(|_| MlsError::NotAuthorized)?;
        staged.merge(authorized)
    }

    /// Asks one peer for a body that is not held: first the author, then whoever was not asked yet.
    pub(super) fn ask_for_body(&mut self, node: &mut Node, envelope: &Verified, cx: &Cx<'_>) {
        let (channel, author) = (envelope.header().channel, envelope.header().sender);
        let fresh = self.unasked(node, &channel, &envelope.id());
        let asked = self.asked.entry(envelope.id()).or_default();
        let Some(ask) = fresh.iter().find(|peer| **peer == author).or(fresh.first()) else {
            return;
        };
        asked.insert(*ask);
        let event = Event::Want { channel, tip: envelope.tip(), ask: *ask };
        node.sync.handle(event, cx.now);
    }

    /// Forgets what bodies a peer was asked for in vain; whether it was for any.
    pub(super) fn forget_who_lacks_bodies(&mut self, peer: &PeerId) -> bool {
        let mut any = false;
        for asked in self.asked.values_mut() {
            any |= asked.remove(peer);
        }
        any
    }

    /// The peers who share a channel and were not asked for a body of it.
    fn unasked(&self, node: &Node, channel: &ChannelId, id: &EnvelopeId) -> Vec<PeerId> {
        let asked = |peer: &PeerId| self.asked.get(id).is_some_and(|asked| asked.contains(peer));
        node.links.peers().filter(|peer| self.shares_with(peer, channel) && !asked(peer)).collect()
    }

    /// Whether a body is not held though some were asked for it, and there is somebody else to ask.
    pub(super) fn lacks_body(&self, node: &Node, channel: &ChannelId, id: &EnvelopeId) -> bool {
        self.asked.contains_key(id) && !self.unasked(node, channel, id).is_empty()
    }

    /// Has a kept state's group in memory; says whether it has.
    pub(super) fn bring_group(&mut self, state: &StateId, loaded: &Loaded) -> bool {
        if !self.groups.contains_key(state)
            && let Some((group, key)) = self.load_group(state, loaded)
        {
            if let Some(kept) = self.kept.get_mut(state) {
                kept.key = Some(key);
            }
            self.hold_group(*state, group);
        }
        self.groups.contains_key(state)
    }

    /// Keeps a new state: its rows, its node of the tree, and what waited for it is opened.
    pub(super) fn keep_state(
        &mut self,
        node: &mut Node,
        state: StateId,
        mut group: Group,
        cx: &mut Cx<'_>,
    ) {
        let number = node.next_state;
        node.next_state += 1;
        let mut bytes = 0;
        // Rows that cannot be written are a fault of the adapter: the state is not kept.
        let key = ScopeKey::new(cx.chance.secret());
        let Ok(changes) = group.take_changes() else { return };
        let Ok(wrapped) = wrap(&key, changes, cx) else { return };
        cx.fx.batch.put(MLS, rows::state_key(number), key.expose().to_vec());
        for RowChange { key: place, value } in wrapped {
            if let Some(value) = value.filter(|_| !Bug::ForgetsNewStates.is_planted()) {
                bytes += value.len() as u64;
                cx.fx.batch.put(MLS, rows::mls_key(number, &place), value);
            }
        }
        let outlived = group.device() != Some(node.device());
        let (server, left) = (self.number, Some(cx.now));
        let row = StateRow { server, state, left, bytes, stand: false, outlived };
        rows::put_state(&mut cx.fx.batch, number, &row);
        self.unreachable.remove(&state);
        self.kept.insert(state, Kept { number, row, key: Some(key) });
        self.weighed.note_kept();
        self.hold_group(state, group);
        self.open_waiting(node, &state);
    }

    /// Queues what waits for a state that is kept.
    pub(super) fn open_waiting(&self, node: &mut Node, state: &StateId) {
        for (channel, tip) in self.unopened.get(state).into_iter().flatten() {
            node.queue(Work::Open { server: self.id, channel: *channel, tip: *tip });
        }
    }

    /// Saves what a step changed in a kept state's rows; says whether it could. If not, the group is
    /// dropped from memory, and loaded as it was before the step.
    pub(super) fn save_group(&mut self, state: &StateId, cx: &mut Cx<'_>) -> bool {
        let group = self.groups.get_mut(state).zip(self.kept.get(state));
        let Some((group, kept)) = group else { return false };
        let changes = group.take_changes().ok().zip(kept.key.as_ref());
        let wrapped = changes.and_then(|(changes, key)| wrap(key, changes, cx).ok());
        let Some(wrapped) = wrapped else {
            self.groups.remove(state);
            return false;
        };
        for RowChange { key: place, value } in wrapped {
            let place = rows::mls_key(kept.number, &place);
            match value {
                Some(value) => cx.fx.batch.put(MLS, place, value),
                None => cx.fx.batch.delete(MLS, place),
            }
        }
        true
    }

    /// Encrypts at `state` from now on.
    pub(super) fn stand_on(&mut self, node: &mut Node, state: StateId, cx: &mut Cx<'_>) {
        if self.stand == Some(state) || !self.may_stand_on(&state) {
            return;
        }
        if !self.bring_group(&state, cx.loaded) {
            return;
        }
        for (id, stands, left) in self
            .stand
            .map(|old| (old, false, Some(cx.now)))
            .into_iter()
            .chain([(state, true, None)])
        {
            if let Some(kept) = self.kept.get_mut(&id) {
                (kept.row.stand, kept.row.left) = (stands, left);
                rows::put_state(&mut cx.fx.batch, kept.number, &kept.row);
            }
        }
        self.stand = Some(state);
        node.settle(self.id);
    }

    /// How long the group keeps states that were left.
    pub(super) fn group_window(&self) -> Window {
        let group = self.stand_group().or_else(|| self.groups.values().next());
        group.map_or_else(Window::default, |group| group.settings().window())
    }

    /// Lets go of states whose window has passed.
    pub(super) fn window(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        self.window_at = None;
        self.leave_by_now(cx);
        // A new device that nobody has added yet stands nowhere, and keeps what it comes by all the same.
        let newest = self.kept.values().max_by_key(|kept| (kept.row.left, kept.row.state));
        let Some(stand) = self.stand.or(newest.map(|kept| kept.row.state)) else { return };
        let window = self.group_window();
        let kept: Vec<_> = self
            .kept
            .values()
            .map(|kept| tree::Kept {
                state: kept.row.state,
                number: kept.number,
                left_at: kept.row.left,
                bytes: kept.row.bytes,
            })
            .collect();
        let ended = window.ends(&kept, &stand, self.heard_until(cx.now), cx.now);
        // The head is about to be stood on.
        for state in ended.into_iter().filter(|state| Some(*state) != self.head) {
            node.queue(Work::EndState(self.id, state));
        }
        let lasts = window.duration();
        for number in self.outlived_packages(lasts, cx.now) {
            node.queue(Work::ForgetPackage(self.id, number));
        }
        let until = |kept: tree::Kept| kept.left_at.map(|left| left.saturating_add(lasts));
        self.window_at = kept.into_iter().filter_map(until).filter(|until| *until > cx.now).min();
    }

    /// The clock has gone back since some states were left: they count as left now. Else whatever is kept
    /// next would be the oldest of all, and end first.
    fn leave_by_now(&mut self, cx: &mut Cx<'_>) {
        for kept in self.kept.values_mut().filter(|kept| kept.row.left > Some(cx.now)) {
            kept.row.left = Some(cx.now);
            rows::put_state(&mut cx.fx.batch, kept.number, &kept.row);
        }
    }

    pub(super) fn end_reads(&self, state: &StateId) -> Reads {
        let Some(kept) = self.kept.get(state) else { return Reads::default() };
        let mut prefixes = vec![(MLS, rows::state_key(kept.number))];
        let packages = self.packages_of(state).into_iter();
        prefixes.extend(packages.map(|number| (MLS, rows::package_prefix(self.number, number))));
        Reads { prefixes, ..Reads::default() }
    }

    /// Ends a state. The key package for one use that let this device into it goes with it: until then
    /// it could have opened another welcome.
    pub(super) fn end_state(&mut self, state: StateId, cx: &mut Cx<'_>) {
        // A commit of one's own may have made it the head since.
        if self.stand == Some(state) || self.head == Some(state) {
            return;
        }
        let packages = self.packages_of(&state);
        let Some(kept) = self.kept.remove(&state) else { return };
        self.weighed.note_kept();
        self.groups.remove(&state);
        let scope = rows::state_key(kept.number);
        // What the rows are wrapped by goes first.
        cx.fx.batch.delete(MLS, scope.clone());
        for (key, _) in cx.loaded.prefix(&MLS, &scope) {
            cx.fx.batch.delete(MLS, key.clone());
        }
        cx.fx.batch.delete(TREE, scope);
        for number in packages {
            self.forget_package(number, cx);
        }
    }
}

/// Wraps the values of what changed of a state's rows.
fn wrap(
    key: &ScopeKey,
    changes: Vec<RowChange>,
    cx: &mut Cx<'_>,
) -> Result<Vec<RowChange>, MlsError> {
    let wrapped = changes.into_iter().map(|RowChange { key: place, value }| {
        let seed = cx.chance.secret();
        let value = value.map(|value| key.wrap(&place, &value, &seed)).transpose()?;
        Ok(RowChange { key: place, value })
    });
    wrapped.collect()
}
