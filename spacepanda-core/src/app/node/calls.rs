use std::time::Duration;

use bytes::Bytes;

use super::Node;
use crate::{
    app::engine::{
        AppError, ChannelSummary, Command, Event, Member, Message, Reply, ServerStatus,
        ServerSummary, Status,
    },
    base::{ChannelId, DeviceId, IdentityId, MessageId, ServerId},
    state::mls::tree::Window,
};

/// How a server is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerOptions {
    /// How long its group keeps the states it left, for good: what that costs stands at [`Window`].
    pub window: Window,
}

/// How an invite is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InviteOptions {
    /// How many may come by it; `None` for any number.
    pub max_uses: Option<u32>,
    /// For how long it is valid; `None` for 7 days.
    pub valid: Option<Duration>,
}

/// One page of a channel's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// Where the page before ends, for the next [`Node::list_messages`]; `None` at the beginning.
    pub earlier: Option<Bytes>,
}

impl Node {
    /// Makes a server with its first channel, and returns both.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`servers`](Self::servers) lists the server if it was made.
    pub async fn create_server(
        &self,
        name: impl Into<String>,
    ) -> Result<(ServerId, ChannelId), AppError> {
        self.create_server_with(name, ServerOptions::default()).await
    }

    /// Makes a server with its first channel, and returns both.
    ///
    /// # Errors
    /// `window.too_short` for a window below [`Window::SHORTEST`].
    ///
    /// # Cancel safety
    /// As [`create_server`](Self::create_server).
    pub async fn create_server_with(
        &self,
        name: impl Into<String>,
        options: ServerOptions,
    ) -> Result<(ServerId, ChannelId), AppError> {
        let ServerOptions { window } = options;
        match self.call(Command::CreateServer { name: name.into(), window }).await? {
            Reply::Server { server, channel: Some(channel) } => Ok((server, channel)),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Becomes another device of the same identity, and revokes the one that this node was; returns
    /// which device it is now. Nothing is lost: what was written stays, and what is written now is sent
    /// once a member who can be reached has added the new device to each server's group.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`device`](Self::device) says whether it was done.
    pub async fn renew_device(&self) -> Result<DeviceId, AppError> {
        match self.call(Command::RenewDevice).await? {
            Reply::Device(device) => Ok(device),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Makes a channel in a server.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`channels`](Self::channels) lists the channel if it was made.
    pub async fn create_channel(
        &self,
        server: ServerId,
        name: impl Into<String>,
    ) -> Result<ChannelId, AppError> {
        match self.call(Command::CreateChannel { server, name: name.into() }).await? {
            Reply::Channel(channel) => Ok(channel),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Issues an invite for any number of people and 7 days, and returns its link.
    ///
    /// # Cancel safety
    /// As [`create_invite_with`](Self::create_invite_with).
    pub async fn create_invite(&self, server: ServerId) -> Result<String, AppError> {
        self.create_invite_with(server, InviteOptions::default()).await
    }

    /// Issues an invite and returns its link.
    ///
    /// # Cancel safety
    /// If the future is dropped, an invite may have been issued whose link nobody knows: nobody can
    /// come by it. Issue another.
    pub async fn create_invite_with(
        &self,
        server: ServerId,
        options: InviteOptions,
    ) -> Result<String, AppError> {
        let InviteOptions { max_uses, valid } = options;
        match self.call(Command::CreateInvite { server, max_uses, valid }).await? {
            Reply::Link(link) => Ok(link),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Revokes an invite, named by its public key.
    ///
    /// # Cancel safety
    /// If the future is dropped, it may have been revoked; revoke it again.
    pub async fn revoke_invite(&self, server: ServerId, invite: [u8; 32]) -> Result<(), AppError> {
        self.done(Command::RevokeInvite { server, invite }).await
    }

    /// Begins to join by a link, or asks again. That it is complete, or refused, comes as
    /// [`Event::Joined`] or [`Event::JoinFailed`]; who does not let one in meanwhile, as [`Event::JoinRefused`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the join may have begun; join again, which only asks again.
    pub async fn join_server(&self, link: impl Into<String>) -> Result<ServerId, AppError> {
        match self.call(Command::JoinServer { link: link.into() }).await? {
            Reply::Server { server, .. } => Ok(server),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Joins by a link and waits until that is complete, however long the members cannot be reached.
    /// Returns the server and its first channel.
    ///
    /// # Cancel safety
    /// If the future is dropped, the join goes on if it had begun.
    ///
    /// # Errors
    /// As `join_server`; why the join was refused, with the code of [`Event::JoinFailed`].
    pub async fn join(&self, link: impl Into<String>) -> Result<(ServerId, ChannelId), AppError> {
        let mut events = self.events();
        let joining = self.join_server(link).await?;
        if let Some(channel) = self.joined_channel(joining).await? {
            return Ok((joining, channel));
        }
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Joined { server, channel }) if server == joining => {
                    return Ok((server, channel));
                }
                Ok(Event::JoinFailed { server, code, message }) if server == joining => {
                    return Err(AppError::new(code, message));
                }
                // That it is complete may be among what was missed.
                Err(_) | Ok(Event::Reloaded) => match self.joined_channel(joining).await {
                    Ok(Some(channel)) => return Ok((joining, channel)),
                    Err(error) if !error.is_retryable() => return Err(error),
                    // A store that has failed again is told of again.
                    Ok(None) | Err(_) => {}
                },
                Ok(_) => {}
            }
        }
        Err(self.handle.why_ended().await)
    }

    /// The first channel of a server whose join is complete; none while it is under way. Reads only.
    ///
    /// # Errors
    /// `join.failed` if it has ended.
    pub async fn joined_channel(&self, server: ServerId) -> Result<Option<ChannelId>, AppError> {
        let servers = self.servers().await?;
        let Some(summary) = servers.into_iter().find(|of| of.server == server) else {
            return Ok(None);
        };
        if !summary.joined && !summary.joining {
            return Err(AppError::new(
                "join.failed",
                "The join has ended, and nobody has let you in; why was told while nobody listened. \
                 Join once more, or ask for another invite.",
            ));
        }
        let first = summary.channels.first().filter(|_| summary.joined);
        Ok(first.map(|channel| channel.channel))
    }

    /// Accepts a message. When it returns, the message is durable and will be sent.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`list_messages`](Self::list_messages) lists the message if it was
    /// accepted; look there before it is written a second time.
    pub async fn send_message(
        &self,
        server: ServerId,
        channel: ChannelId,
        text: impl Into<String>,
    ) -> Result<MessageId, AppError> {
        match self.call(Command::SendMessage { server, channel, text: text.into() }).await? {
            Reply::Message(id) => Ok(id),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Lists at most `limit` messages, the newest or those that end where `before` says. After the newest
    /// stands what was accepted and not sent yet, however much that is. Reads only.
    pub async fn list_messages(
        &self,
        server: ServerId,
        channel: ChannelId,
        before: Option<Bytes>,
        limit: usize,
    ) -> Result<MessagePage, AppError> {
        match self.call(Command::ListMessages { server, channel, before, limit }).await? {
            Reply::Messages { messages, earlier } => Ok(MessagePage { messages, earlier }),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Lists a server's members, by seniority. Reads only.
    pub async fn members(&self, server: ServerId) -> Result<Vec<Member>, AppError> {
        match self.call(Command::Members { server }).await? {
            Reply::Members(members) => Ok(members),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Removes a member. Returns the open invites by which they could come back, by public key.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`members`](Self::members) lists them no more if they were removed.
    pub async fn remove_member(
        &self,
        server: ServerId,
        identity: IdentityId,
    ) -> Result<Vec<[u8; 32]>, AppError> {
        match self.call(Command::RemoveMember { server, identity }).await? {
            Reply::Removed { open_invites } => Ok(open_invites),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Leaves a server.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`servers`](Self::servers) says whether one is a member still.
    pub async fn leave(&self, server: ServerId) -> Result<(), AppError> {
        self.done(Command::Leave { server }).await
    }

    /// Lists the servers that this node is in, or is joining. Reads only.
    pub async fn servers(&self) -> Result<Vec<ServerSummary>, AppError> {
        match self.call(Command::Servers).await? {
            Reply::Servers(servers) => Ok(servers),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Lists a server's channels, in order. Reads only.
    pub async fn channels(&self, server: ServerId) -> Result<Vec<ChannelSummary>, AppError> {
        match self.call(Command::Channels { server }).await? {
            Reply::Channels(channels) => Ok(channels),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Says how the node is. Reads only.
    pub async fn status(&self) -> Result<Status, AppError> {
        self.status_of(None).await
    }

    /// Says how a server is. Reads only.
    pub async fn server_status(&self, server: ServerId) -> Result<ServerStatus, AppError> {
        let status = self.status_of(Some(server)).await?;
        status.server.ok_or_else(|| unexpected(&Reply::Done))
    }

    /// Says that there is no other copy of the data folder, so that this one may go on although nothing
    /// outside it says so.
    ///
    /// # Cancel safety
    /// If the future is dropped, [`status`](Self::status) says whether it was taken.
    ///
    /// # Errors
    /// `device.rolled_back` and `device.cloned` if it is known that it may not.
    pub async fn confirm_only_copy(&self) -> Result<(), AppError> {
        self.done(Command::ConfirmOnlyCopy).await
    }

    async fn status_of(&self, server: Option<ServerId>) -> Result<Status, AppError> {
        match self.call(Command::Status { server }).await? {
            Reply::Status(status) => Ok(*status),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn done(&self, command: Command) -> Result<(), AppError> {
        match self.call(command).await? {
            Reply::Done => Ok(()),
            reply => Err(unexpected(&reply)),
        }
    }
}

/// The machine answers each command with its own kind of reply: this is a fault of the program.
fn unexpected(reply: &Reply) -> AppError {
    let kind = match reply {
        Reply::Server { .. } => "a server",
        Reply::Channel(_) => "a channel",
        Reply::Link(_) => "a link",
        Reply::Message(_) => "a message",
        Reply::Messages { .. } => "messages",
        Reply::Removed { .. } => "a removal",
        Reply::Device(_) => "a device",
        Reply::Done => "nothing",
        Reply::Members(_) => "members",
        Reply::Servers(_) => "servers",
        Reply::Channels(_) => "channels",
        Reply::Status(_) => "a status",
    };
    AppError::new(
        "node.fault",
        format!(
            "The call was answered with {kind}, which is no answer to it. This is a fault of the program; please report it."
        ),
    )
}
