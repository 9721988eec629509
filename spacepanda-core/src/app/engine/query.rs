use bytes::Bytes;

use super::{
    commands::PAGE_MAX,
    error::AppError,
    event::{Message, MessageState, Text},
    input::{ChannelSummary, Member, Reply, ServerStatus, ServerSummary, Status},
    join::Join,
    machine::{Cx, Machine, Node},
    reads::Reads,
    server::Server,
};
use crate::{
    base::{ChannelId, EnvelopeId, ServerId, Tip, cbor},
    state::{
        authority::Need,
        crdt::timeline::{self, Content, Entry},
        envelope::hash,
    },
};

/// A page of a channel's timeline.
pub(super) fn page_reads(channel: u32, before: Option<Bytes>, limit: usize) -> Reads {
    let (namespace, page) = timeline::page(channel, before, limit.min(PAGE_MAX));
    Reads { pages: vec![(namespace, page)], ..Reads::default() }
}

impl Machine {
    pub(super) fn server_list(&self) -> Vec<ServerSummary> {
        let me = self.node.me().identity();
        self.servers
            .values()
            .map(|server| ServerSummary {
                server: server.id,
                name: server.structure.server_name().unwrap_or_default().to_owned(),
                channels: server.channel_list(),
                joined: server.join.as_ref().is_none_or(Join::is_complete),
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
            server: server.map(Server::status),
        })))
    }
}

impl Server {
    /// One's own messages that nobody else holds yet.
    fn pending(&self) -> usize {
        let undelivered = self.channels.values().map(|channel| channel.undelivered.len());
        self.drafts.len() + undelivered.sum::<usize>()
    }

    pub(super) fn channel_list(&self) -> Vec<ChannelSummary> {
        let channels = self.structure.channels().into_iter();
        channels
            .map(|channel| ChannelSummary { channel: channel.id, name: channel.name.to_string() })
            .collect()
    }

    pub(super) fn members(&self, node: &Node) -> Vec<Member> {
        let me = node.me().identity();
        self.matrix
            .members()
            .map(|identity| Member {
                identity,
                name: self.matrix.name_of(&identity),
                online: identity == me || node.links.is_online(&identity),
                roles: self.matrix.roles_of(&identity),
            })
            .collect()
    }

    /// A page of messages, oldest first. Each is judged by its own past as known now; what does not
    /// count is not shown. What was accepted and not sent yet stands at the end.
    pub(super) fn list_messages(
        &mut self,
        node: &Node,
        channel: ChannelId,
        before: Option<Bytes>,
        limit: usize,
        cx: &Cx<'_>,
    ) -> Result<Reply, AppError> {
        self.check_channel(&channel)?;
        let newest = before.is_none();
        let number = node.numbers.known_channel(&channel);
        let asked = number.map(|number| timeline::page(number, before, limit.min(PAGE_MAX)).1);
        let rows = cx.loaded.pages.iter().find(|(page, _)| Some(page) == asked.as_ref());
        let page = timeline::read_page(rows.map_or(&[], |(_, rows)| rows.as_slice()), limit.min(PAGE_MAX));
        let shown = page.entries.iter().filter(|entry| self.counts(entry));
        let mut messages: Vec<_> = shown.map(|entry| self.message(node, channel, entry, cx)).collect();
        if newest {
            let drafts = self.drafts.iter().filter(|(_, draft)| draft.channel == channel);
            messages.extend(drafts.map(|(_, draft)| Message {
                id: draft.id,
                channel,
                device: node.device(),
                author: node.me().identity(),
                name: self.matrix.name_of(&node.me().identity()),
                text: Text::Known(draft.text.clone()),
                at: Self::shown(draft.at, cx.now),
                state: MessageState::Queued,
            }));
            let surplus = messages.len().saturating_sub(limit);
            messages.drain(..surplus);
        }
        Ok(Reply::Messages { messages, earlier: page.earlier })
    }

    /// Whether a message's author was entitled to it, and no removal cuts it off.
    fn counts(&self, entry: &Entry) -> bool {
        self.authority.counts(&timeline::origin(entry), &Need::Capability {
            capability: crate::state::authority::Capability::SendMessages,
            channel: None,
            touches: Vec::new(),
        })
    }

    fn message(&self, node: &Node, channel: ChannelId, entry: &Entry, cx: &Cx<'_>) -> Message {
        let own = entry.device == node.device();
        Message {
            id: entry.message,
            channel,
            device: entry.device,
            author: entry.author,
            name: self.matrix.name_of(&entry.author),
            text: match &entry.content {
                Content::Text(text) => Text::Known(text.clone()),
                Content::Waiting => Text::Waiting,
                Content::Unreadable(reason) => Text::Unreadable(reason.clone()),
            },
            at: Self::shown(entry.at, cx.now),
            state: if own { self.state_of(&channel, entry.number) } else { MessageState::Delivered },
        }
    }

    fn status(&self) -> ServerStatus {
        ServerStatus {
            epoch: self.stand_group().map(crate::state::mls::Group::epoch),
            stand: self.stand,
            head: self.head,
            members: self.matrix.members().count(),
            state_hash: self.state_hash(),
        }
    }

    /// One hash of what members who have converged hold alike (FORMATS 4).
    pub(super) fn state_hash(&self) -> [u8; 32] {
        let admits: Vec<EnvelopeId> =
            self.matrix.members().flat_map(|id| self.authority.admits_of(&id)).collect();
        let others = self.channels.values().filter(|channel| channel.id != self.control);
        let channels: Vec<(ChannelId, Vec<Tip>)> =
            others.map(|channel| (channel.id, channel.tips_above(self.authority.dag(), &admits))).collect();
        let control: Vec<_> = self.control_channel().frontier.tips().collect();
        let matrix = self.matrix.hash();
        let structure: Vec<Bytes> =
            self.structure.heads().into_iter().map(|head| Bytes::copy_from_slice(&head)).collect();
        let structure: Vec<_> = structure.iter().map(|head| head.to_vec()).collect();
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
