use std::time::Duration;

use super::{
    error::AppError,
    input::{Call, Command, Reply},
    invite::JoinLink,
    machine::{Cx, Machine, Node},
    reads::{Loaded, Reads},
    server::Server,
    start::checked_name,
};
use crate::{
    base::{
        Bug, ChannelId, IdentityId, MessageId, ServerId,
        limits::{ADDRESSES_MAX, CHANNELS_MAX, TEXT_LEN_MAX},
    },
    state::{
        authority::{self, Capability, HeardLine, IssueInvite, Operation, Role},
        crdt::{Draft, StructureOp, Text, timeline},
        envelope::PayloadType,
        identity::KeyPair,
    },
};

/// How long an invite is valid unless said otherwise.
const INVITE_VALID: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Messages in one page.
pub(super) const PAGE_MAX: usize = 1_000;

impl Machine {
    pub(super) fn command_reads(&self, command: &Command, loaded: &Loaded) -> Reads {
        match command {
            Command::ListMessages { server, channel, before, limit } => {
                let server = self.servers.get(server).filter(|server| server.knows(channel));
                let reads = |server: &Server| {
                    server.page_reads(&self.node, channel, before, *limit, loaded)
                };
                server.map(reads).unwrap_or_default()
            }
            _ => Reads::default(),
        }
    }

    pub(super) fn command(&mut self, call: Call, command: Command, cx: &mut Cx<'_>) {
        let Some(command) = self.pass(call, command, cx) else { return };
        let reply = match command {
            Command::CreateServer { name, window } => self.create_server(&name, window, cx),
            Command::JoinServer { link } => return self.join_server(call, &link, cx),
            Command::CreateChannel { server, name } => {
                self.at(server).and_then(|(server, node)| server.create_channel(node, &name, cx))
            }
            Command::CreateInvite { server, max_uses, valid } => self
                .at(server)
                .and_then(|(server, node)| server.create_invite(node, max_uses, valid, cx)),
            Command::RevokeInvite { server, invite } => {
                self.at(server).and_then(|(server, node)| server.revoke_invite(node, &invite, cx))
            }
            Command::SendMessage { server, channel, text } => self
                .at(server)
                .and_then(|(server, node)| server.accept_message(node, channel, text, cx)),
            Command::RemoveMember { server, identity } => {
                self.at(server).and_then(|(server, node)| server.remove_member(node, identity, cx))
            }
            Command::Leave { server } => {
                self.at(server).and_then(|(server, node)| server.leave(node, cx))
            }
            Command::ListMessages { server, channel, before, limit } => self
                .at(server)
                .and_then(|(server, node)| server.list_messages(node, channel, before, limit, cx)),
            Command::Members { server } => {
                self.at(server).map(|(server, node)| Reply::Members(server.members(node)))
            }
            Command::Channels { server } => {
                self.at(server).map(|(server, _)| Reply::Channels(server.channel_list()))
            }
            Command::RenewDevice => Ok(Reply::Device(self.renew_device(cx))),
            Command::Servers => Ok(Reply::Servers(self.server_list())),
            Command::ConfirmOnlyCopy => self.confirm_only_copy(cx),
            Command::Status { server } => self.status(server),
        };
        cx.reply(call, reply);
    }

    /// The server that a call names.
    fn at(&mut self, id: ServerId) -> Result<(&mut Server, &mut Node), AppError> {
        let server = self.servers.get_mut(&id).ok_or_else(|| {
            AppError::new(
                "server.unknown",
                format!("This node is in no server {id}. Nothing was changed; list its servers."),
            )
        })?;
        Ok((server, &mut self.node))
    }
}

impl Server {
    /// Refuses what authority, as known now, does not let oneself do, and says why.
    fn need(&self, node: &Node, capability: Capability) -> Result<(), AppError> {
        let explained = self.authority.explain(&node.me().identity(), None, capability);
        if explained.allowed {
            return Ok(());
        }
        Err(AppError::new(
            "permission.denied",
            format!(
                "You may not do this here: it needs {}, and {}. Nothing was changed.",
                capability.name(),
                explained.because
            ),
        ))
    }

    fn create_channel(
        &mut self,
        node: &mut Node,
        name: &str,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        let name = checked_name(name)?;
        self.need(node, Capability::ManageChannels)?;
        if self.structure.channels().len() >= CHANNELS_MAX {
            return Err(AppError::new(
                "channel.too_many",
                format!("A server has at most {CHANNELS_MAX} channels. Nothing was changed."),
            ));
        }
        let payload = StructureOp::CreateChannel { name }.encode();
        let made = self
            .write_control(node, PayloadType::Structure, payload, cx)
            .ok_or_else(not_written)?;
        self.meet_channels(node, cx);
        Ok(Reply::Channel(ChannelId::new(*made.id().as_bytes())))
    }

    fn create_invite(
        &mut self,
        node: &mut Node,
        max_uses: Option<u32>,
        valid: Option<Duration>,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        self.need(node, Capability::CreateInvite)?;
        let (invite_key, meeting_secret) = (cx.chance.secret(), cx.chance.secret());
        let public = KeyPair::from_secret(invite_key.clone());
        if max_uses == Some(0) {
            return Err(AppError::new(
                "invite.no_uses",
                "An invite for nobody lets nobody in. Nothing was changed; allow one use or more.",
            ));
        }
        let operation = Operation::IssueInvite(IssueInvite {
            invite_public_key: *public.public(),
            meeting_secret: *meeting_secret.expose(),
            role: Role::Everyone,
            max_uses,
            expires: cx.now.saturating_add(valid.unwrap_or(INVITE_VALID)),
        });
        self.write_control(node, PayloadType::Authority, operation.encode(), cx)
            .ok_or_else(not_written)?;
        let others =
            self.matrix.devices().keys().copied().filter(|device| *device != node.device());
        let addresses = [node.links.addresses.clone()]
            .into_iter()
            .chain(others.filter_map(|device| node.links.addresses_of(&device)))
            .filter(|addresses| !addresses.is_empty())
            .take(ADDRESSES_MAX)
            .collect();
        let link = JoinLink {
            server: self.id,
            invite_key,
            meeting_secret,
            addresses,
            inviter: node.me().identity(),
        };
        Ok(Reply::Link(link.encode()))
    }

    fn revoke_invite(
        &mut self,
        node: &mut Node,
        invite: &[u8; 32],
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        let found =
            self.authority.open_invites().into_iter().find(|open| open.public_key == *invite);
        let invite = found.map(|open| open.issued_by).ok_or_else(|| {
            AppError::new("invite.unknown", "There is no such open invite. Nothing was changed.")
        })?;
        let operation = Operation::RevokeInvite { invite };
        self.check(node, &operation, cx)?;
        self.write_control(node, PayloadType::Authority, operation.encode(), cx)
            .ok_or_else(not_written)?;
        Ok(Reply::Done)
    }

    /// Accepts a text: once the reply is told it is durable, and is sent when it may be.
    fn accept_message(
        &mut self,
        node: &mut Node,
        channel: ChannelId,
        text: String,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        let bytes = text.len();
        let text = Text::new(text).map_err(|_| {
            AppError::new(
                if bytes == 0 { "message.empty" } else { "message.too_long" },
                format!("A message has 1 to {TEXT_LEN_MAX} bytes; this one has {bytes}. Nothing was sent."),
            )
        })?;
        self.check_channel(&channel)?;
        self.need(node, Capability::SendMessages)?;
        let draft = Draft {
            server: self.id,
            channel,
            message: MessageId::new(cx.chance.name()),
            text,
            at: cx.now,
            written: false,
        };
        let id = draft.message;
        let number = node.next_draft;
        node.next_draft += 1;
        if !Bug::SavesNoDraft.is_planted() {
            timeline::put_draft(&mut cx.fx.batch, number, &draft);
        }
        self.drafts.push_back((number, draft));
        node.flush(self.id);
        self.tell_waiting(node, channel, id, cx);
        Ok(Reply::Message(id))
    }

    pub(super) fn check_channel(&self, channel: &ChannelId) -> Result<(), AppError> {
        if *channel != self.control && self.knows(channel) {
            return Ok(());
        }
        Err(AppError::new(
            "channel.unknown",
            format!(
                "This server has no channel {channel}. Nothing was changed; list its channels."
            ),
        ))
    }

    /// Removes somebody, and writes how far they had been heard.
    fn remove_member(
        &mut self,
        node: &mut Node,
        identity: IdentityId,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, AppError> {
        if !self.is_member(&identity) {
            return Err(AppError::new(
                "member.unknown",
                format!("{identity} is no member of this server. Nothing was changed."),
            ));
        }
        self.need(node, Capability::KickMembers)?;
        let mut portions = self.heard(&identity).into_iter();
        let heard = portions.next().unwrap_or_default();
        let kick = Operation::Kick { target: identity, heard };
        self.check(node, &kick, cx)?;
        let removal = self
            .write_control(node, PayloadType::Authority, kick.encode(), cx)
            .ok_or_else(not_written)?
            .id();
        for heard in portions {
            let more = Operation::Heard { removal, heard };
            self.write_control(node, PayloadType::Authority, more.encode(), cx);
        }
        let open = self.authority.open_invites();
        Ok(Reply::Removed { open_invites: open.iter().map(|invite| invite.public_key).collect() })
    }

    /// Refuses an operation that would not count, and says why.
    fn check(&self, node: &Node, operation: &Operation, cx: &Cx<'_>) -> Result<(), AppError> {
        let tips: Vec<_> = self.authority.tips().iter().map(|tip| tip.id).collect();
        let checked = self.authority.check(&node.device(), cx.now, &tips, operation);
        checked.map(|_| ()).map_err(|denied| {
            AppError::new(
                denied.code(),
                format!("This would not count: {denied}. Nothing was changed."),
            )
        })
    }

    /// How far somebody has been heard: in every channel, the control channel first.
    fn heard(&self, identity: &IdentityId) -> Vec<Vec<HeardLine>> {
        let others = self.channels.values().filter(|channel| channel.id != self.control);
        let channels = [self.control_channel()].into_iter().chain(others);
        let devices = self.authority.devices_of(identity);
        authority::heard(&devices, channels.map(|channel| (channel.id, &channel.frontier)))
    }

    fn leave(&mut self, node: &mut Node, cx: &mut Cx<'_>) -> Result<Reply, AppError> {
        if !self.is_member(&node.me().identity()) {
            return Err(AppError::new("server.not_member", "You are no member of this server."));
        }
        self.write_control(node, PayloadType::Authority, Operation::Leave.encode(), cx)
            .ok_or_else(not_written)?;
        Ok(Reply::Done)
    }
}

pub(super) fn internal(error: &dyn std::fmt::Display) -> AppError {
    AppError::new("internal", format!("This could not be done: {error}. Nothing was changed."))
}

fn not_written() -> AppError {
    AppError::new("internal", "The operation could not be written. Nothing was changed.")
}
