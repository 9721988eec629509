use bytes::Bytes;

use super::{
    commands::PAGE_MAX,
    error::AppError,
    event::{Message, MessageState, Text},
    input::{ChannelSummary, Member, Reply, ServerStatus, ServerSummary, Status},
    join::Join,
    machine::{Cx, Machine, Node},
    reads::{Loaded, Reads},
    server::Server,
};
use crate::{
    base::{Bug, ChannelId, EnvelopeId, IdentityId, ServerId, Tip, cbor},
    state::{
        authority::{Capability, Need, Role},
        crdt::{
            Draft, Entry, Reading,
            timeline::{Cursor, Entries, History, Row, Turn},
        },
        envelope::{Origin, hash},
        mls::Group,
    },
    store::{Namespace, Page},
};

/// The page, or the scan that it lacks.
fn page(
    channel: u32,
    before: Option<&Bytes>,
    limit: usize,
    loaded: &Loaded,
) -> Result<Entries, Box<(Namespace, Page)>> {
    let cursor = before.and_then(Cursor::decode);
    let mut history = History::new(channel, cursor.as_ref(), limit.clamp(1, PAGE_MAX));
    loop {
        let scan = history.scan();
        let Some((_, rows)) = loaded.pages.iter().find(|(page, _)| *page == scan.1) else {
            return Err(Box::new(scan));
        };
        match history.take(rows.clone()) {
            Ok(Turn::Done(entries)) => return Ok(entries),
            Ok(Turn::More(more)) => history = more,
            Err(_) => return Ok(Entries::default()),
        }
    }
}

impl Server {
    /// Whether this node came in once. A join that was refused leaves a control channel, and no more.
    fn has_come_in(&self, me: &IdentityId) -> bool {
        let is_over = self.join.as_ref().is_none_or(Join::is_complete);
        is_over && (self.is_member(me) || !self.kept.is_empty())
    }
}

impl Machine {
    pub(super) fn server_list(&self) -> Vec<ServerSummary> {
        let me = self.node.me().identity();
        self.servers
            .values()
            .map(|server| ServerSummary {
                server: server.id,
                name: server.structure.server_name().unwrap_or_default(),
                channels: server.channel_list(),
                joined: server.has_come_in(&me),
                joining: server.join.as_ref().is_some_and(Join::is_open),
                member: server.is_member(&me),
            })
            .collect()
    }

    pub(super) fn status(&mut self, of: Option<ServerId>) -> Result<Reply, AppError> {
        let server = match of {
            Some(id) => Some(self.servers.get(&id).ok_or_else(|| {
                AppError::new("server.unknown", format!("This node is in no server {id}."))
            })?),
            None => None,
        };
        let pending = self.servers.values().map(Server::pending).sum();
        let account = self.node.me();
        Ok(Reply::Status(Box::new(Status {
            identity: account.identity(),
            device: account.device(),
            addresses: self.node.links.addresses.clone(),
            peers: self.node.links.peers().collect(),
            pending,
            continuity: self.node.tenure.continuity(),
            gave_up: self.node.tenure.gave_up(),
            server: server.map(|server| server.status(&self.node)),
        })))
    }
}

impl Server {
    /// One's own messages that nobody else holds yet.
    fn pending(&self) -> usize {
        let undelivered = self.channels.values().map(|channel| channel.undelivered.len());
        self.unsent().count() + undelivered.sum::<usize>()
    }

    pub(super) fn channel_list(&self) -> Vec<ChannelSummary> {
        let channels = self.structure.channels().into_iter();
        channels.map(|channel| ChannelSummary { channel: channel.id, name: channel.name }).collect()
    }

    pub(super) fn members(&self, node: &Node) -> Vec<Member> {
        let me = node.me().identity();
        let members = self.matrix.by_seniority().into_iter();
        members
            .map(|identity| Member {
                identity,
                name: self.name_of(&identity),
                online: identity == me || node.links.is_online(&identity),
                roles: self.roles_of(&identity),
            })
            .collect()
    }

    /// Somebody's roles, highest first.
    fn roles_of(&self, identity: &IdentityId) -> Vec<String> {
        let roles = self.matrix.member(identity).map(|member| &member.roles);
        let highest_first = roles.into_iter().flatten().rev();
        highest_first
            .map(|role| match role {
                Role::Owner => "owner".to_owned(),
                _ => "everyone".to_owned(),
            })
            .collect()
    }

    /// What a page of a channel's timeline needs: one scan, or several where many share one place in time;
    /// then what was written in logs that fork, where a number alone does not tell what its author knew.
    pub(super) fn page_reads(
        &self,
        node: &Node,
        channel: &ChannelId,
        before: &Option<Bytes>,
        limit: usize,
        loaded: &Loaded,
    ) -> Reads {
        let Some(number) = node.numbers.known_channel(channel) else { return Reads::default() };
        match page(number, before.as_ref(), limit, loaded) {
            Err(scan) => Reads { pages: vec![*scan], ..Reads::default() },
            Ok(found) => {
                let forked = found.entries.iter().filter(|row| self.is_forked(channel, row));
                let entries = forked.map(|row| (*channel, tip_of(row))).collect();
                Reads { entries, ..Reads::default() }
            }
        }
    }

    /// Whether the log in which a message stands has forked.
    fn is_forked(&self, channel: &ChannelId, row: &Row) -> bool {
        let held = self.channels.get(channel);
        held.is_some_and(|held| held.frontier.of(&row.entry.device).nth(1).is_some())
    }

    /// A page of messages, oldest first. Each is judged by its own past as known now; what does not
    /// count is not shown. What was accepted and not sent yet stands at the end of the newest, beside the
    /// limit: no earlier page has a place for what it would push out.
    pub(super) fn list_messages(
        &self,
        node: &Node,
        channel: ChannelId,
        before: Option<Bytes>,
        limit: usize,
        cx: &Cx<'_>,
    ) -> Result<Reply, AppError> {
        self.check_channel(&channel)?;
        let number = node.numbers.known_channel(&channel);
        let found = number.map(|number| page(number, before.as_ref(), limit, cx.loaded));
        let entries = found.and_then(Result::ok).unwrap_or_default();
        let counting = entries.entries.iter().filter(|row| self.counts(&channel, row, cx));
        let mut messages: Vec<_> = counting.map(|row| self.message(channel, row, cx)).collect();
        if before.is_none() {
            let drafts = self.unsent().filter(|draft| draft.channel == channel);
            messages.extend(drafts.map(|draft| self.draft_message(node, draft, cx)));
        }
        let earlier = entries.earlier.map(|cursor| cursor.encode());
        Ok(Reply::Messages { messages, earlier })
    }

    /// Whether a message's author was entitled to it by what its past resolves to, and no removal cuts
    /// it off.
    fn counts(&self, channel: &ChannelId, row: &Row, cx: &Cx<'_>) -> bool {
        let (device, number) = (row.entry.device, row.place.number);
        let forked = self.is_forked(channel, row);
        let written = forked.then(|| cx.loaded.envelope(channel, &tip_of(row))).flatten();
        let past = match written {
            Some(written) => Some(written.header().control_past()),
            None => {
                let held = self.channels.get(channel);
                held.and_then(|held| held.control_at(&device, number)).map(<[_]>::to_vec)
            }
        };
        let Some(past) = past else { return row.entry.counts };
        let origin = Origin { channel: *channel, device, timestamp: row.entry.at, past };
        Bug::ListsWhatDoesNotCount.is_planted()
            || self.authority.counts_as_said(&origin, tip_of(row), &post_need(*channel))
    }

    fn message(&self, channel: ChannelId, row: &Row, cx: &Cx<'_>) -> Message {
        let (entry, tip) = (&row.entry, tip_of(row));
        Message {
            id: entry.message,
            channel,
            device: entry.device,
            author: entry.identity,
            name: self.name_of(&entry.identity),
            text: self.text_of(&channel, entry, &tip),
            at: entry.at.min(cx.now),
            state: if entry.own {
                self.state_of(&channel, &entry.device, row.place.number)
            } else {
                MessageState::Delivered
            },
        }
    }

    fn text_of(&self, channel: &ChannelId, entry: &Entry, tip: &Tip) -> Text {
        let own = entry.own.then(|| self.words_of(channel, &entry.message)).flatten();
        match (&entry.reading, own) {
            (Reading::Text { text, .. }, _) | (_, Some(text)) => {
                Text::Known(text.as_str().to_owned())
            }
            (Reading::Waiting, None) => Text::Waiting { asked: self.asked_for(channel, tip) },
            (Reading::Unreadable { reason }, None) => Text::Unreadable {
                reason: reason.text().to_owned(),
                asked: self.asked_for(channel, tip),
            },
        }
    }

    fn draft_message(&self, node: &Node, draft: &Draft, cx: &Cx<'_>) -> Message {
        let author = node.me().identity();
        Message {
            id: draft.message,
            channel: draft.channel,
            device: node.device(),
            author,
            name: self.name_of(&author),
            text: Text::Known(draft.text.as_str().to_owned()),
            at: draft.at.min(cx.now),
            state: MessageState::Queued,
        }
    }

    fn status(&self, node: &Node) -> ServerStatus {
        let (unopened, asked) = self.unopened_now(&node.me().identity());
        ServerStatus {
            epoch: self.stand_group().map(Group::epoch),
            stand: self.stand,
            head: self.head,
            healing: self.comeback.waiting(),
            members: self.matrix.members().len(),
            state_hash: self.state_hash(),
            unopened,
            asked,
            missing: self.missing(),
            hold: self.hold(node),
        }
    }

    /// One hash of what members who have converged hold alike. Of a log that forks they need not hold
    /// the same: who came in after the fork may lack a branch.
    fn state_hash(&self) -> [u8; 32] {
        let admits: Vec<EnvelopeId> =
            self.matrix.members().keys().flat_map(|id| self.authority.admits_of(id)).collect();
        let others = self.channels.values().filter(|channel| channel.id != self.control);
        let channels = others
            .map(|channel| (channel.id, channel.tips_above(self.authority.dag(), &admits)))
            .collect();
        self.hash_with(channels)
    }

    /// The same without what was said in channels: the control channel and what follows from it.
    pub(super) fn control_hash(&self) -> [u8; 32] {
        self.hash_with(Vec::new())
    }

    fn hash_with(&self, channels: Vec<(ChannelId, Vec<Tip>)>) -> [u8; 32] {
        let control: Vec<_> = self.control_channel().frontier.tips().collect();
        let matrix = self.matrix.hash();
        let structure = self.structure.heads().iter().map(|head| head.to_vec()).collect();
        let bytes = cbor::encode(&Converged {
            control,
            matrix: matrix.to_vec(),
            structure,
            head: self.head,
            channels,
        });
        hash("spacepanda-state-hash-v1", &bytes)
    }
}

fn tip_of(row: &Row) -> Tip {
    Tip { device: row.entry.device, number: row.place.number, id: row.entry.envelope }
}

/// What writing a message needs.
fn post_need(channel: ChannelId) -> Need {
    Need::Capability {
        capability: Capability::SendMessages,
        channel: Some(channel),
        touches: Vec::new(),
    }
}

/// What members who have converged hold alike.
#[derive(minicbor::Encode)]
#[cbor(array)]
struct Converged {
    #[n(0)]
    control: Vec<Tip>,
    #[cbor(n(1), with = "minicbor::bytes")]
    matrix: Vec<u8>,
    #[n(2)]
    structure: Vec<Vec<u8>>,
    #[n(3)]
    head: Option<crate::base::StateId>,
    #[n(4)]
    channels: Vec<(ChannelId, Vec<Tip>)>,
}
