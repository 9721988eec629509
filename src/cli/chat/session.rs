//! Carries out commands on a node, in the channel that is current.

use std::collections::BTreeSet;

use spacepanda::{
    AppError, ChannelId, IdentityId, Node, ServerId, ServerOptions, ServerSummary, Window,
};

use super::{
    folder::{Folder, Place},
    input::{Command, HELP},
    join::Joining,
    naming::{Kind, find},
    reply::{ChannelLine, HelpLine, Id, MessageLine, Outcome, StatusLine},
};

/// Messages that are asked for at once.
const PAGE_LEN: usize = 100;

/// A person at their node.
pub(super) struct Session {
    node: Node,
    folder: Folder,
    current: Option<Place>,
    /// Joins that go on by themselves: the first to be complete becomes current if nothing is.
    awaited: BTreeSet<ServerId>,
}

impl Session {
    /// Takes up where the last session in the folder ended.
    pub(super) async fn resume(node: Node, folder: Folder) -> Result<Self, AppError> {
        let servers = node.servers().await?;
        let awaited = servers.iter().map(|server| server.server).collect();
        let mut session = Self { node, current: folder.current(), folder, awaited };
        session.take_up(&servers)?;
        session.folder.keep_current(session.current)?;
        Ok(session)
    }

    /// Where messages go.
    pub(super) fn current(&self) -> Option<Place> {
        self.current
    }

    /// Carries out one command.
    pub(super) async fn carry_out(&mut self, command: Command) -> Result<Outcome, AppError> {
        match command {
            Command::CreateServer { name, window_hours } => {
                self.create_server(name, window_hours).await
            }
            Command::Servers => self.servers().await,
            Command::CreateChannel(name) => {
                let server = self.place().await?.server;
                let channel = self.node.create_channel(server, name).await?;
                Ok(Outcome::Channel { channel: Id(channel) })
            }
            Command::Channels => self.channels().await,
            Command::Use(text) => self.use_channel(&text).await,
            Command::Invite => {
                let server = self.place().await?.server;
                Ok(Outcome::Link { link: self.node.create_invite(server).await? })
            }
            Command::Join(link) => self.join(&link).await,
            Command::Message(text) => {
                let Place { server, channel } = self.place().await?;
                let id = self.node.send_message(server, channel, text).await?;
                Ok(Outcome::Message { id: Id(id) })
            }
            Command::History(len) => self.history(len).await,
            Command::Members => {
                let server = self.place().await?.server;
                let members = self.node.members(server).await?;
                Ok(Outcome::Members { members: members.into_iter().map(Into::into).collect() })
            }
            Command::Remove(text) => self.remove(&text).await,
            Command::Revoke(invite) => {
                let server = self.place().await?.server;
                self.node.revoke_invite(server, invite).await?;
                Ok(Outcome::Done {})
            }
            Command::Leave => self.leave().await,
            Command::RenewDevice => {
                Ok(Outcome::Device { device: Id(self.node.renew_device().await?) })
            }
            Command::OnlyCopy => {
                self.node.confirm_only_copy().await?;
                Ok(Outcome::Done {})
            }
            Command::Status => self.status().await,
            Command::Help => Ok(help()),
            Command::Quit => Ok(Outcome::Done {}),
        }
    }

    async fn create_server(
        &mut self,
        name: String,
        window_hours: Option<u16>,
    ) -> Result<Outcome, AppError> {
        let mut window = Window::default();
        window.hours = window_hours.unwrap_or(window.hours);
        let options = ServerOptions { window };
        let (server, channel) = self.node.create_server_with(name, options).await?;
        self.go_to(Place { server, channel })
    }

    async fn join(&mut self, link: &str) -> Result<Outcome, AppError> {
        let joining = Joining::begin(&self.node, link).await?;
        let server = joining.server;
        self.awaited.insert(server);
        let channel = joining.complete(&self.node).await?;
        self.go_to(Place { server, channel })
    }

    async fn servers(&self) -> Result<Outcome, AppError> {
        let servers = self.node.servers().await?;
        Ok(Outcome::Servers { servers: servers.into_iter().map(Into::into).collect() })
    }

    async fn channels(&mut self) -> Result<Outcome, AppError> {
        let server = self.place().await?.server;
        let channels = self.node.channels(server).await?.into_iter();
        let channels =
            channels.map(|of| ChannelLine { channel: Id(of.channel), name: of.name }).collect();
        Ok(Outcome::Channels { channels })
    }

    async fn use_channel(&mut self, text: &str) -> Result<Outcome, AppError> {
        let servers = self.node.servers().await?;
        let place = find_channel(text, self.current.map(|place| place.server), &servers)?;
        self.keep(Some(place))?;
        Ok(Outcome::Channel { channel: Id(place.channel) })
    }

    async fn history(&mut self, len: usize) -> Result<Outcome, AppError> {
        let Place { server, channel } = self.place().await?;
        let (mut pages, mut held, mut before) = (Vec::new(), 0, None);
        while held < len {
            let limit = (len - held).min(PAGE_LEN);
            let page = self.node.list_messages(server, channel, before, limit).await?;
            held += page.messages.len();
            pages.push(page.messages);
            before = page.earlier;
            if before.is_none() {
                break;
            }
        }
        let messages = pages.into_iter().rev().flatten().map(MessageLine::new).collect();
        Ok(Outcome::History { messages })
    }

    async fn remove(&mut self, text: &str) -> Result<Outcome, AppError> {
        let server = self.place().await?.server;
        let members = self.node.members(server).await?.into_iter();
        let identity =
            find(Kind::Member, text, members.map(|member| (member.identity, member.name)))?;
        let open = self.node.remove_member(server, identity).await?.into_iter();
        let open_invites = open.map(|invite| Id(IdentityId::new(invite))).collect();
        Ok(Outcome::Removed { identity: Id(identity), open_invites })
    }

    async fn leave(&mut self) -> Result<Outcome, AppError> {
        let server = self.place().await?.server;
        self.node.leave(server).await?;
        self.awaited.remove(&server);
        self.keep(None)?;
        Ok(Outcome::Left { server: Id(server) })
    }

    async fn status(&mut self) -> Result<Outcome, AppError> {
        let place = self.place().await.ok();
        let status = self.node.status().await?;
        let server = match place {
            Some(Place { server, .. }) => Some((server, self.node.server_status(server).await?)),
            None => None,
        };
        let channel = place.map(|place| place.channel);
        Ok(Outcome::Status(Box::new(StatusLine::new(status, server, channel))))
    }

    /// The current channel, or that of a join which was awaited and is complete.
    async fn place(&mut self) -> Result<Place, AppError> {
        if self.current.is_none() && !self.awaited.is_empty() {
            let servers = self.node.servers().await?;
            self.take_up(&servers)?;
        }
        self.current.ok_or_else(|| {
            AppError::new(
                "channel.none",
                "No channel is current, so nothing was done. Make a server with `/server create \
                 NAME`, join one with `/join LINK`, or choose a channel with `/use NAME-OR-ID`.",
            )
        })
    }

    fn take_up(&mut self, servers: &[ServerSummary]) -> Result<(), AppError> {
        if self.current.is_some() {
            return Ok(());
        }
        let mut complete = servers.iter().filter(|server| {
            server.joined && server.member && self.awaited.contains(&server.server)
        });
        let place = complete.find_map(|server| {
            let channel = server.channels.first()?.channel;
            Some(Place { server: server.server, channel })
        });
        match place {
            Some(place) => self.keep(Some(place)),
            None => Ok(()),
        }
    }

    fn go_to(&mut self, place: Place) -> Result<Outcome, AppError> {
        self.keep(Some(place))?;
        Ok(Outcome::Server { server: Id(place.server), channel: Id(place.channel) })
    }

    fn keep(&mut self, place: Option<Place>) -> Result<(), AppError> {
        if let Some(place) = place {
            self.awaited.remove(&place.server);
        }
        self.current = place;
        self.folder.keep_current(place)
    }
}

/// A channel by its id; by its name in the current server; by that in any; or as `SERVER/CHANNEL`.
fn find_channel(
    text: &str,
    current: Option<ServerId>,
    servers: &[ServerSummary],
) -> Result<Place, AppError> {
    let channels = |of: Option<ServerId>| {
        servers
            .iter()
            .filter(move |server| of.is_none_or(|of| server.server == of))
            .flat_map(|server| server.channels.iter())
            .map(|channel| (channel.channel, channel.name.clone()))
    };
    let here = current.map(|current| find(Kind::Channel, text, channels(Some(current))));
    let channel = match here {
        Some(Ok(channel)) => Ok(channel),
        Some(Err(error)) if error.code() == "name.ambiguous" => Err(error),
        _ => find(Kind::Channel, text, channels(None)).or_else(|error| {
            if error.code() == "name.ambiguous" { Err(error) } else { find_path(text, servers) }
        }),
    }?;
    let server =
        servers.iter().find(|server| server.channels.iter().any(|of| of.channel == channel));
    let server = server.expect("the channel was found among theirs").server;
    Ok(Place { server, channel })
}

fn find_path(text: &str, servers: &[ServerSummary]) -> Result<ChannelId, AppError> {
    let paths = servers.iter().flat_map(|server| {
        let path = |name: &str| format!("{}/{name}", server.name);
        server.channels.iter().map(move |channel| (channel.channel, path(&channel.name)))
    });
    find(Kind::Channel, text, paths)
}

fn help() -> Outcome {
    let commands = HELP.iter().map(|&(usage, does)| HelpLine { usage, does }).collect();
    Outcome::Help { commands }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use spacepanda::ChannelSummary;

    use super::*;

    fn server(number: u8, name: &str, channels: &[(u8, &str)]) -> ServerSummary {
        ServerSummary {
            server: ServerId::new([number; 32]),
            name: name.to_owned(),
            channels: channels
                .iter()
                .map(|&(number, name)| ChannelSummary {
                    channel: ChannelId::new([number; 32]),
                    name: name.to_owned(),
                })
                .collect(),
            joined: true,
            joining: false,
            member: true,
        }
    }

    #[test]
    fn a_channel_is_found_here_first_then_anywhere_then_by_its_server() {
        let servers = [
            server(1, "Pandas", &[(11, "general"), (12, "bamboo"), (13, "bamboo")]),
            server(2, "Bears", &[(21, "general"), (22, "honey")]),
        ];
        let here = Some(ServerId::new([1; 32]));
        let found = |text: &str, here| {
            find_channel(text, here, &servers)
                .map(|place| (place.server.as_bytes()[0], place.channel.as_bytes()[0]))
                .map_err(|error| error.code())
        };
        assert_eq!(found("general", here), Ok((1, 11)));
        assert_eq!(found("general", None), Err("name.ambiguous"));
        assert_eq!(found("honey", here), Ok((2, 22)));
        assert_eq!(found("Bears/general", here), Ok((2, 21)));
        assert_eq!(found("bamboo", here), Err("name.ambiguous"));
        assert_eq!(found(&"0d".repeat(32), here), Ok((1, 13)));
        assert_eq!(found("salmon", here), Err("channel.unknown"));
    }
}
