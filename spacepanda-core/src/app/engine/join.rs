mod refused;

use std::{collections::BTreeMap, time::Duration};

use super::{
    error::AppError,
    event::{Event, JoinStep},
    frames::{JoinReply, JoinRequestFrame, Refusal},
    input::{Call, Reply},
    invite::JoinLink,
    machine::{Cx, Machine, Node},
    packages,
    rows::{self, JoinRow, VIEW},
    server::Server,
};
use crate::{
    base::{Bug, PeerId, ServerId, Timestamp, cbor},
    state::{
        authority::{JoinRequest, PermissionMatrix},
        identity::KeyPair,
        link::Kind,
        mls::{Group, PackageUse},
    },
};

/// After how long a request goes also to the next member who can be reached.
const NEXT_MEMBER: Duration = Duration::from_secs(5);
/// The same once somebody has said that we are let in, until somebody adds us: who says so may have written
/// nothing, or what nobody else holds.
const ADMITTED: Duration = Duration::from_secs(30);
/// How long others may still answer after somebody has refused: one who lies keeps nobody out.
const OTHERS_ANSWER: Duration = Duration::from_secs(10);
/// After how long the addresses of the link are dialled again, at the beginning.
const REDIAL: Duration = Duration::from_secs(10);
/// Later they are dialled again, and who was asked is asked again, after this part of the time for which
/// nobody has let us in: some never will, as they do not know the invite and nobody tells them of it.
const AGAIN_PART_OF_WAIT: u32 = 256;
/// And never later than after this, however long nobody has let us in.
const AGAIN_MAX: Duration = Duration::from_secs(30 * 60);

/// A join that is under way, or was completed.
#[derive(Debug)]
pub(super) struct Join {
    pub link: JoinLink,
    row: JoinRow,
    /// The last step that was told.
    step: Option<JoinStep>,
    /// Whether it was told that it failed. Should an admission turn out to count, it goes on.
    failed: bool,
    /// Who was asked, and when last.
    asked: BTreeMap<PeerId, Timestamp>,
    /// How many requests each has still to answer on the link there is, and how many of these belong to
    /// earlier joins: answers come in the order of the requests.
    owed: BTreeMap<PeerId, u32>,
    former: BTreeMap<PeerId, u32>,
    /// Who has answered that they do not let anybody in, or not so, and what last; of these `refusal` was the
    /// first that nothing can change.
    answered: BTreeMap<PeerId, Refusal>,
    refusal: Option<Refusal>,
    /// Until when others may answer otherwise.
    refused_at: Option<Timestamp>,
    /// Until when only those who were asked have to answer.
    next_ask: Option<Timestamp>,
    /// When the first of those who were asked is asked again.
    again_at: Option<Timestamp>,
    redial_at: Option<Timestamp>,
    /// Since when nobody has let us in, or added us, or since our person has last tried again.
    tried_since: Option<Timestamp>,
}

impl Join {
    /// A join goes on where its row left it; `None` if the row cannot be read.
    pub(super) fn load(row: JoinRow) -> Option<Self> {
        let link = JoinLink::decode(&row.link).ok()?;
        let step = row.complete.then_some(JoinStep::Joined);
        Some(Self {
            link,
            step,
            failed: false,
            asked: BTreeMap::new(),
            owed: BTreeMap::new(),
            former: BTreeMap::new(),
            answered: BTreeMap::new(),
            refusal: None,
            refused_at: None,
            next_ask: None,
            again_at: None,
            redial_at: (!row.complete).then_some(Timestamp::ZERO),
            tried_since: None,
            row,
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.row.complete
    }

    /// Whether it goes on: neither complete nor told to have failed.
    pub(super) fn is_open(&self) -> bool {
        !self.row.complete && !self.failed
    }

    /// The link, as it was given.
    pub(super) fn link_text(&self) -> String {
        self.row.link.clone()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if !self.is_open() {
            return None;
        }
        let next = [self.next_ask, self.again_at].into_iter().flatten();
        let next = next.filter(|_| self.asks());
        let refused = self.refused_at.filter(|_| !self.is_granted());
        self.redial_at.into_iter().chain(next).chain(refused).min()
    }

    /// Whether somebody has said that we are let in: then nobody's refusal ends it.
    fn is_granted(&self) -> bool {
        self.step >= Some(JoinStep::Admitted)
    }

    /// Whether members are asked: until one has added this device.
    fn asks(&self) -> bool {
        self.is_open() && self.step < Some(JoinStep::Tree)
    }

    /// When something done at a time is done again: the later, the longer nobody has let us in.
    fn again(&self, done: Timestamp, least: Duration) -> Timestamp {
        let tried = self.tried_since.map(|since| done.since(since)).unwrap_or_default();
        next_try(done, tried, least)
    }
}

/// When something done at a time is done again: the later, the longer it was `tried` in vain.
pub(super) fn next_try(done: Timestamp, tried: Duration, least: Duration) -> Timestamp {
    done.saturating_add((tried / AGAIN_PART_OF_WAIT).clamp(least, AGAIN_MAX))
}

impl Machine {
    /// Begins to join by a link: makes a key package and a request that survive a restart, and dials.
    pub(super) fn join_server(&mut self, call: Call, text: &str, cx: &mut Cx<'_>) {
        let begun = self.begin_join(text, cx);
        cx.reply(call, begun);
    }

    pub(super) fn begin_join(&mut self, text: &str, cx: &mut Cx<'_>) -> Result<Reply, AppError> {
        let link = JoinLink::decode(text)?;
        let id = link.server;
        let me = self.node.me().identity();
        if let Some(server) = self.servers.get_mut(&id) {
            if server.is_member(&me) && server.join.as_ref().is_none_or(Join::is_complete) {
                return Err(AppError::new("join.member", "You are in this server already."));
            }
            let same = |join: &&mut Join| join.is_open() && join.row.link == text;
            if let Some(join) = server.join.as_mut().filter(same) {
                join.tried_since = None;
                self.dial_for_join(&id, cx);
                return Ok(Reply::Server { server: id, channel: None });
            }
        }
        let number = self.node.numbers.server(id, &mut cx.fx.batch);
        let account = self.node.me();
        let made = packages::make(account, PackageUse::Once, cx).map_err(|error| failed(&error))?;
        let request = JoinRequest::sign(
            id,
            account.name.clone(),
            &account.certificate,
            made.package.clone(),
            cx.chance.name(),
            &KeyPair::from_secret(link.invite_key.clone()),
            &account.device_key,
        )
        .map_err(|error| failed(&error))?;
        let row = JoinRow {
            link: text.trim().to_owned(),
            request: request.encode(),
            reference: made.reference,
            complete: false,
        };
        cx.fx.batch.put(VIEW, rows::join_key(number), cbor::encode(&row));
        if !self.servers.contains_key(&id) {
            let server = Server::begin(&mut self.node, id, cx);
            self.servers.insert(id, server);
        }
        let server = self.servers.get_mut(&id).expect("it was just made");
        server.keep_package(&made, PackageUse::Once, None, cx);
        let owed = server.join.take().map(|former| former.owed).unwrap_or_default();
        server.join = Join::load(row).map(|join| Join { owed: owed.clone(), former: owed, ..join });
        self.dial_for_join(&id, cx);
        Ok(Reply::Server { server: id, channel: None })
    }

    /// Asks those one is connected with, and dials everybody whom the link names.
    pub(super) fn dial_for_join(&mut self, id: &ServerId, cx: &mut Cx<'_>) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let Some(join) = server.join.as_mut().filter(|join| join.is_open()) else {
            return;
        };
        join.tried_since.get_or_insert(cx.now);
        join.redial_at = Some(join.again(cx.now, REDIAL));
        let secret = join.link.meeting_secret.clone();
        for addresses in join.link.addresses.clone() {
            self.node.links.dial_to_join(*id, addresses, secret.clone(), cx);
        }
        server.tell_step(JoinStep::Dialling, cx);
        server.request(&mut self.node, cx);
    }

    /// A member's answer to the request.
    pub(super) fn join_replied(&mut self, peer: PeerId, reply: &JoinReply, cx: &mut Cx<'_>) {
        let Some(server) = self.servers.get_mut(&reply.server) else { return };
        let Some(join) = server.join.as_mut() else { return };
        let Some(owed) = join.owed.get_mut(&peer).filter(|owed| **owed > 0) else { return };
        *owed -= 1;
        if let Some(former) = join.former.get_mut(&peer).filter(|former| **former > 0) {
            *former -= 1;
            return;
        }
        if join.is_complete() {
            return;
        }
        match reply.refused {
            None => {
                if !join.is_granted() {
                    join.tried_since = Some(cx.now);
                }
                join.redial_at = Some(cx.now.saturating_add(REDIAL));
                join.next_ask = Some(cx.now.saturating_add(ADMITTED));
                server.tell_step(JoinStep::Admitted, cx);
            }
            Some(refusal) => server.note_refusal(&mut self.node, peer, refusal, cx),
        }
    }
}

impl Server {
    fn tell_step(&mut self, step: JoinStep, cx: &mut Cx<'_>) {
        let server = self.id;
        let Some(join) = self.join.as_mut() else { return };
        if join.step < Some(step) {
            join.step = Some(step);
            cx.tell(Event::JoinProgress { server, step });
        }
    }

    /// Forgets what a peer was asked: the link on which it was is gone, and what was on its way too.
    pub(super) fn forget_asked(&mut self, peer: &PeerId) {
        self.forget_trees(peer);
        let Some(join) = self.join.as_mut().filter(|join| !join.is_complete()) else { return };
        join.owed.remove(peer);
        join.former.remove(peer);
        if join.asked.remove(peer).is_some() {
            join.next_ask = None;
        }
    }

    /// Sends the request on the first link that proves itself, after a while also on the next, and when all
    /// were asked again on each.
    pub(super) fn request(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let Some(join) = self.join.as_mut() else { return };
        if !join.asks() {
            return;
        }
        if join.next_ask.is_some_and(|at| at > cx.now) {
            return;
        }
        (join.next_ask, join.again_at) = (None, None);
        let matrix = &self.matrix;
        let next =
            may_let_in(node, self.id, matrix).min_by_key(|peer| join.asked.get(peer).copied());
        let Some(peer) = next else { return };
        let least = if join.is_granted() { ADMITTED } else { NEXT_MEMBER };
        let asked = join.asked.get(&peer).map(|asked| (*asked).min(cx.now));
        let again = asked.map(|asked| join.again(asked, least));
        if again.is_some_and(|at| at > cx.now) {
            join.again_at = again;
            return;
        }
        join.asked.insert(peer, cx.now);
        *join.owed.entry(peer).or_default() += 1;
        join.next_ask = Some(cx.now.saturating_add(least));
        let frame = JoinRequestFrame { server: self.id, request: join.row.request.clone() };
        node.send(peer, Kind::JoinRequest, &cbor::encode(&frame), cx);
        self.tell_step(JoinStep::Requested, cx);
    }

    /// Takes a join as far as what is known allows.
    pub(super) fn go_on_joining(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        let me = node.me().identity();
        if self.join.as_ref().is_none_or(Join::is_complete) {
            return;
        }
        if !self.is_member(&me) {
            return self.find_outdone(cx);
        }
        self.tell_step(JoinStep::Syncing, cx);
        let is_in = self.stand.is_some()
            && self.stand == self.head
            && self.stand_group().is_some_and(Group::is_active);
        if !is_in {
            self.tell_step(JoinStep::Adding, cx);
            let route = self.head.and_then(|head| self.route(node, &head));
            if route.is_some() {
                self.tell_step(JoinStep::Tree, cx);
            }
            return;
        }
        if !self.caught_up.is_empty() && self.caught_up_at.is_some() {
            self.complete(cx);
        }
    }

    fn complete(&mut self, cx: &mut Cx<'_>) {
        let Some(channel) = self.structure.channels().first().map(|channel| channel.id) else {
            return;
        };
        self.tell_step(JoinStep::Joined, cx);
        let Some(join) = self.join.as_mut() else { return };
        join.row.complete = true;
        join.redial_at = None;
        if !Bug::ForgetsTheJoin.is_planted() {
            cx.fx.batch.put(VIEW, rows::join_key(self.number), cbor::encode(&join.row));
        }
        cx.tell(Event::Joined { server: self.id, channel });
    }

    /// What time calls for while a join is under way; says whether to dial again.
    pub(super) fn tick_join(&mut self, node: &mut Node, cx: &mut Cx<'_>) -> bool {
        self.request(node, cx);
        let Some(join) = self.join.as_mut().filter(|join| !join.is_complete()) else {
            return false;
        };
        if join.refused_at.is_some_and(|at| at <= cx.now) {
            join.refused_at = None;
            if let Some(refusal) = join.refusal.filter(|_| !join.is_granted()) {
                self.fail_join(refusal.code(), refusal.message(), cx);
            }
        }
        let Some(join) = self.join.as_ref() else { return false };
        join.redial_at.is_some_and(|at| at <= cx.now)
    }
}

/// Those one has a link with who may let one in: whom the invite led to, and members.
fn may_let_in<'a>(
    node: &'a Node,
    server: ServerId,
    matrix: &'a PermissionMatrix,
) -> impl Iterator<Item = PeerId> + 'a {
    let links = &node.links;
    let may =
        move |peer: &PeerId| links.is_for_join(peer, &server) || matrix.device(peer).is_some();
    links.peers().filter(may)
}

fn failed(error: &dyn std::fmt::Display) -> AppError {
    AppError::new(
        "join.failed",
        format!("The request to join could not be made: {error}. Nothing was changed."),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
