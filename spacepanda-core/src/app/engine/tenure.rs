//! Whether this store may write with its device: what is known, what is found, and the gate.

use std::{collections::BTreeSet, time::Duration};

use minicbor::{Decode, Encode};

use super::{
    continuity::{Continuity, Finding, Hold},
    error::AppError,
    event::Event,
    input::{Call, Command, Input, Reply, Tell},
    machine::{Cx, Machine, Node, Work},
    reads::Loaded,
    rows::{NODE, TENURE},
    server::Server,
};
use crate::{
    base::{ChannelId, DeviceId, MessageId, PeerId, ServerId, Timestamp, cbor},
    state::envelope::Verified,
};

/// How long writing waits for the first member who is met to show this device's logs: one who never
/// does must not keep a store that is sure from writing.
const COMPARE_PATIENCE: Duration = Duration::from_secs(10);
/// Calls that wait for that.
const HELD_MAX: usize = 256;

/// What is known of whether this store may write with its device.
#[derive(Debug)]
pub(super) struct Tenure {
    /// Whether it was said what was found outside the store.
    judged: bool,
    continuity: Continuity,
    /// While unsure: the servers, by local number, in which no member was asked yet.
    unasked: BTreeSet<u32>,
    /// When this run began.
    began: Timestamp,
    /// The device that this run began with, if its store was found to be older than what it wrote.
    gave_up: Option<DeviceId>,
    held: Vec<(Call, Command)>,
}

/// What is kept of it; without a row it is sure.
#[derive(Debug, Encode, Decode)]
#[cbor(array)]
pub(super) struct TenureRow {
    #[n(0)]
    pub continuity: Continuity,
    #[n(1)]
    pub unasked: Vec<u32>,
}

/// Where a command writes in one's own logs.
enum Writes {
    Nowhere,
    In(ServerId),
    InAnother,
}

impl Tenure {
    /// Before anything is loaded; `judged` if nobody will say what was found outside the store.
    pub(super) fn new(judged: bool) -> Self {
        Self {
            judged,
            continuity: Continuity::Sure,
            unasked: BTreeSet::new(),
            began: Timestamp::ZERO,
            gave_up: None,
            held: Vec::new(),
        }
    }

    /// Takes what is kept. Of a row that cannot be read the worst is assumed.
    fn load(&mut self, loaded: &Loaded) {
        let kept = loaded.rows.get(&(NODE, TENURE.into())).and_then(Option::as_ref);
        let Some(row) = kept.map(|row| cbor::decode::<TenureRow>(row)) else { return };
        (self.continuity, self.unasked) = match row {
            Ok(row) => (row.continuity, row.unasked.into_iter().collect()),
            Err(_) => (Continuity::Cloned, BTreeSet::new()),
        };
    }

    pub(super) fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// Why nothing may be written anywhere, not even where this device has written nothing yet.
    fn hold(&self) -> Option<Hold> {
        match self.continuity {
            Continuity::RolledBack => Some(Hold::RolledBack),
            Continuity::Cloned => Some(Hold::Cloned),
            Continuity::Revoked => Some(Hold::Revoked),
            Continuity::Sure | Continuity::Unsure if !self.judged => Some(Hold::Comparing),
            Continuity::Sure | Continuity::Unsure => None,
        }
    }

    pub(super) fn gave_up(&self) -> Option<DeviceId> {
        self.gave_up
    }

    fn put(&self, cx: &mut Cx<'_>) {
        let unasked = self.unasked.iter().copied().collect();
        let row = TenureRow { continuity: self.continuity, unasked };
        match self.continuity {
            Continuity::Sure => cx.fx.batch.delete(NODE, TENURE),
            _ => cx.fx.batch.put(NODE, TENURE, cbor::encode(&row)),
        }
    }
}

impl Node {
    /// Begins anew with a device that has written nothing yet.
    pub(super) fn renew_tenure(&mut self, cx: &mut Cx<'_>) {
        self.tenure.judged = true;
        self.tenure.continuity = Continuity::Sure;
        self.tenure.unasked.clear();
        self.tenure.began = cx.now;
        self.tenure.put(cx);
    }

    /// Begins a run with what is kept, and says again why nothing is written, if nothing is.
    pub(super) fn take_tenure(&mut self, cx: &Cx<'_>) {
        self.tenure.began = cx.now;
        self.tenure.load(cx.loaded);
        if !matches!(self.tenure.continuity, Continuity::Sure | Continuity::Unsure) {
            self.queue(Work::Stopped);
        }
    }

    /// Stops writing for good: kept in the batch that holds the proof.
    pub(super) fn stop_writing(&mut self, why: Continuity, cx: &mut Cx<'_>) {
        let given_up = [Continuity::RolledBack, Continuity::Revoked];
        if given_up.contains(&self.tenure.continuity) || self.tenure.continuity == why {
            return;
        }
        self.tenure.continuity = why;
        self.tenure.unasked.clear();
        self.tenure.put(cx);
        self.work.push_front(Work::Stopped);
    }

    /// Notes that a member was asked in a server, or that none need be.
    fn vouched(&mut self, server: u32, cx: &mut Cx<'_>) {
        if self.tenure.unasked.remove(&server) {
            if self.tenure.unasked.is_empty() {
                self.tenure.continuity = Continuity::Sure;
                cx.tell(Event::Continuity { continuity: Continuity::Sure });
            }
            self.tenure.put(cx);
        }
    }

    /// Queues the calls that waited to write where `released`.
    fn release(&mut self, released: impl Fn(&Command) -> bool) {
        let held = std::mem::take(&mut self.tenure.held);
        let (go, stay) = held.into_iter().partition(|(_, command)| released(command));
        self.tenure.held = stay;
        let go: Vec<(Call, Command)> = go;
        for (call, command) in go {
            self.queue(Work::Input(Input::Command(call, command)));
        }
    }
}

impl Machine {
    /// Takes what was found outside the store.
    pub(super) fn take_finding(&mut self, finding: Finding, cx: &mut Cx<'_>) {
        let judged = std::mem::replace(&mut self.node.tenure.judged, true);
        match finding {
            // It was about the device that this node has given up meanwhile.
            Finding::Unknown | Finding::Ahead if judged => {}
            Finding::Agrees => {}
            Finding::Unknown => self.doubt(cx),
            Finding::Ahead => self.node.stop_writing(Continuity::RolledBack, cx),
            Finding::Shared => self.node.stop_writing(Continuity::Cloned, cx),
        }
        if self.node.tenure.hold().is_none() {
            cx.fx.tells.push(Tell::Judged);
        }
        self.node.release(|_| true);
        self.look_again();
    }

    /// Begins to be unsure of every server in which this device may have written.
    fn doubt(&mut self, cx: &mut Cx<'_>) {
        let before = self.node.tenure.continuity;
        if !matches!(before, Continuity::Sure | Continuity::Unsure) {
            return;
        }
        let me = self.node.me().identity();
        let may_have = |server: &&Server| server.join.is_some() || server.is_member(&me);
        let unasked = self.servers.values().filter(may_have).map(|server| server.number);
        self.node.tenure.unasked.extend(unasked);
        if self.node.tenure.unasked.is_empty() {
            return;
        }
        self.node.tenure.continuity = Continuity::Unsure;
        self.node.tenure.put(cx);
        if before == Continuity::Sure {
            cx.tell(Event::Continuity { continuity: Continuity::Unsure });
        }
    }

    /// Takes its person's word that there is no other copy of the store.
    pub(super) fn confirm_only_copy(&mut self, cx: &mut Cx<'_>) -> Result<Reply, AppError> {
        if let Some(hold) = self.node.tenure.hold() {
            return Err(refused(hold));
        }
        for server in self.servers.values_mut() {
            server.compared = true;
            self.node.vouched(server.number, cx);
        }
        self.look_again();
        Ok(Reply::Done)
    }

    fn look_again(&mut self) {
        for id in self.servers.keys() {
            self.node.settle(*id);
        }
    }

    /// Tells why nothing is written any more, and does what follows from it.
    pub(super) fn stopped(&mut self, cx: &mut Cx<'_>) {
        match self.node.tenure.continuity {
            Continuity::RolledBack => self.give_up_device(cx),
            continuity => cx.tell(Event::Continuity { continuity }),
        }
    }

    /// Gives this device up: it never writes again, its person is told, and the node goes on as a new
    /// device.
    fn give_up_device(&mut self, cx: &mut Cx<'_>) {
        self.node.tenure.gave_up = Some(self.node.device());
        cx.tell(Event::Continuity { continuity: Continuity::RolledBack });
        self.renew_device(cx);
    }

    /// Lets a command through. One that writes where nothing may be written is refused, or waits if
    /// that is a matter of moments.
    pub(super) fn pass(
        &mut self,
        call: Call,
        command: Command,
        cx: &mut Cx<'_>,
    ) -> Option<Command> {
        let hold = match writes(&command) {
            Writes::Nowhere => None,
            Writes::InAnother => self.node.tenure.hold(),
            Writes::In(server) => self.servers.get(&server).and_then(|at| at.hold(&self.node)),
        };
        match hold {
            None => return Some(command),
            Some(Hold::Comparing) if self.node.tenure.held.len() < HELD_MAX => {
                self.node.tenure.held.push((call, command));
            }
            Some(hold) => cx.reply(call, Err(refused(hold))),
        }
        None
    }
}

impl Server {
    /// Why nothing may be written here now: every envelope of one's own, and every encryption, is asked
    /// for by way of this.
    pub(super) fn hold(&self, node: &Node) -> Option<Hold> {
        let of_all = node.tenure.hold();
        if of_all.is_some() {
            return of_all;
        }
        if node.tenure.unasked.contains(&self.number) {
            return Some(Hold::Unsure);
        }
        let comparing = !self.compared && self.members_met(node).next().is_some();
        comparing.then_some(Hold::Comparing)
    }

    /// Whether messages wait. Who meets nobody loses nothing by encrypting later, and a copy that was
    /// restored while what is outside the store lagged behind it uses no key twice.
    pub(super) fn holds_messages(&self, node: &Node) -> bool {
        let here = |(_, command): &(Call, Command)| writes_in(command, self.id);
        !self.compared || self.hold(node).is_some() || node.tenure.held.iter().any(here)
    }

    /// Compares again: a message that was accepted may stand in the log of a device that this node was.
    pub(super) fn compare_anew(&mut self) {
        (self.compared, self.compare_by) = (false, None);
    }

    /// Notes whether a member has shown no more of this device's logs than is held, once in a run.
    pub(super) fn compare(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if !self.awaits_comparing(node) {
            return;
        }
        let unasked = node.tenure.unasked.contains(&self.number);
        if self.has_compared(node) {
            self.compared = true;
            node.vouched(self.number, cx);
        } else if !unasked && self.is_only_member(node) {
            self.compared = true;
        } else if self.members_met(node).next().is_some() {
            let until = *self.compare_by.get_or_insert(cx.now.saturating_add(COMPARE_PATIENCE));
            self.compared |= until <= cx.now;
        } else {
            self.compare_by = None;
        }
        if self.hold(node) != Some(Hold::Comparing) {
            let server = self.id;
            node.release(|command| writes_in(command, server));
        }
    }

    /// Whether a member who is caught up with makes a difference to what may be written.
    pub(super) fn awaits_comparing(&self, node: &Node) -> bool {
        !self.compared || node.tenure.unasked.contains(&self.number)
    }

    /// Tells that a message which was accepted waits, unless that is a matter of moments.
    pub(super) fn tell_waiting(
        &self,
        node: &Node,
        channel: ChannelId,
        id: MessageId,
        cx: &mut Cx<'_>,
    ) {
        if let Some(hold) = self.hold(node).filter(|hold| *hold != Hold::Comparing) {
            cx.tell(Event::MessageHeld { server: self.id, channel, id, hold });
        }
    }

    /// When waiting for a member to show this device's logs ends.
    pub(super) fn compare_deadline(&self) -> Option<Timestamp> {
        self.compare_by.filter(|_| !self.compared)
    }

    /// Whether everything is held that some member showed.
    fn has_compared(&self, node: &Node) -> bool {
        self.members_met(node).any(|peer| self.is_caught_up_with(&peer))
    }

    fn members_met<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = PeerId> + 'a {
        node.links.peers().filter(|peer| {
            self.authority.certified(peer).is_some_and(|identity| self.is_member(&identity))
        })
    }

    fn is_only_member(&self, node: &Node) -> bool {
        self.is_member(&node.me().identity()) && self.matrix.members().len() == 1
    }

    /// Stops writing once another device of this node's identity has revoked its own.
    pub(super) fn look_at_revocation(&self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.authority.is_revoked(&node.device()) {
            node.stop_writing(Continuity::Revoked, cx);
        }
    }

    /// Looks at an envelope of this device's own that is not held: somebody wrote it with this device,
    /// and it was not this store.
    pub(super) fn look_at_own(&self, node: &mut Node, envelope: &Verified, cx: &mut Cx<'_>) {
        let header = envelope.header();
        if header.sender != node.device() {
            return;
        }
        let channel = self.channels.get(&header.channel);
        let held = channel.map_or(0, |channel| channel.frontier.number(&header.sender));
        let before = header.sequence > held && header.timestamp < node.tenure.began;
        node.stop_writing(if before { Continuity::RolledBack } else { Continuity::Cloned }, cx);
    }
}

fn writes(command: &Command) -> Writes {
    match command {
        Command::CreateServer { .. } | Command::JoinServer { .. } => Writes::InAnother,
        Command::CreateChannel { server, .. }
        | Command::CreateInvite { server, .. }
        | Command::RevokeInvite { server, .. }
        | Command::RemoveMember { server, .. }
        | Command::Leave { server } => Writes::In(*server),
        // What is accepted is written when it may be.
        Command::SendMessage { .. } => Writes::Nowhere,
        Command::ListMessages { .. }
        | Command::Members { .. }
        | Command::Servers
        | Command::Channels { .. }
        | Command::ConfirmOnlyCopy
        | Command::RenewDevice
        | Command::Status { .. } => Writes::Nowhere,
    }
}

fn writes_in(command: &Command, server: ServerId) -> bool {
    matches!(writes(command), Writes::In(of) if of == server)
}

fn refused(hold: Hold) -> AppError {
    let sentence = format!("Nothing was changed: {}.", hold.explain());
    match hold {
        Hold::Comparing => AppError::retryable(hold.code(), sentence),
        _ => AppError::new(hold.code(), sentence),
    }
}
