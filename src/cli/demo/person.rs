//! Somebody in the story: a node of their own, with a store in a folder of their own.

use std::{path::Path, time::Duration};

use spacepanda::{
    ChannelId, IdentityId, Message, MessageId, MessageState, Node, ServerId, ServerStatus, Text,
    registry::Url,
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::stage::{Failure, check};

/// After how long what a node holds is looked at again, for what it tells nobody about.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Messages that are looked at; there are fewer.
const PAGE_LEN: usize = 100;

/// A person and their node.
pub(super) struct Person {
    pub(super) name: &'static str,
    folder: TempDir,
    node: Node,
}

impl Person {
    pub(super) async fn arrive(name: &'static str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let node = open(name, folder.path()).await?;
        Ok(Self { name, folder, node })
    }

    /// Closes the node; only the folder stays.
    pub(super) async fn close(self) -> Result<Sleeper, Failure> {
        let identity = self.node.identity();
        self.node.close().await?;
        Ok(Sleeper { name: self.name, folder: self.folder, identity })
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn identity(&self) -> IdentityId {
        self.node.identity()
    }

    /// Writes a message.
    pub(super) async fn write(&self, at: Place, text: &str) -> Result<MessageId, Failure> {
        Ok(self.node.send_message(at.server, at.channel, text).await?)
    }

    /// Waits until these texts, and no others, are what the last messages of a channel say.
    pub(super) async fn reads(&self, at: Place, texts: &[&str]) -> Result<(), Failure> {
        self.until(async || {
            let held = self.texts(at).await?;
            Ok((held.iter().map(String::as_str).eq(texts.iter().copied())).then_some(()))
        })
        .await
    }

    /// Waits until one of the own messages is held by somebody else.
    pub(super) async fn delivered(&self, at: Place, id: MessageId) -> Result<(), Failure> {
        self.until(async || {
            let messages = self.messages(at).await?;
            let own = messages.iter().find(|message| message.id == id);
            Ok(own.filter(|own| own.state == MessageState::Delivered).map(|_| ()))
        })
        .await
    }

    /// Waits until exactly these people are the members.
    pub(super) async fn sees_members(&self, at: Place, names: &[&str]) -> Result<(), Failure> {
        self.until(async || {
            let members = self.node.members(at.server).await?;
            Ok(members.iter().map(|of| of.name.as_str()).eq(names.iter().copied()).then_some(()))
        })
        .await
    }

    /// Waits until a server is, for this node, as `holds` says.
    pub(super) async fn sees_server(
        &self,
        at: Place,
        holds: impl Fn(&ServerStatus) -> bool,
    ) -> Result<ServerStatus, Failure> {
        self.until(async || {
            let status = self.node.server_status(at.server).await?;
            Ok(holds(&status).then_some(status))
        })
        .await
    }

    /// What can be read of a channel, oldest first.
    pub(super) async fn texts(&self, at: Place) -> Result<Vec<String>, Failure> {
        let messages = self.messages(at).await?.into_iter();
        Ok(messages
            .filter_map(|message| match message.text {
                Text::Known(text) => Some(text),
                Text::Waiting { .. } | Text::Unreadable { .. } => None,
            })
            .collect())
    }

    async fn messages(&self, at: Place) -> Result<Vec<Message>, Failure> {
        let page = self.node.list_messages(at.server, at.channel, None, PAGE_LEN).await?;
        Ok(page.messages)
    }

    /// Looks again whenever something happens, and now and then, until there is an answer.
    async fn until<T>(
        &self,
        look: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let mut events = self.node.events();
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            if let Ok(None) = timeout(LOOK_AGAIN, events.next()).await {
                return Err(Failure::new(format!("{}'s node has closed", self.name)));
            }
        }
    }
}

/// Somebody whose node is closed.
pub(super) struct Sleeper {
    name: &'static str,
    folder: TempDir,
    identity: IdentityId,
}

impl Sleeper {
    /// Opens the node again, on what its folder holds.
    pub(super) async fn wake(self) -> Result<Person, Failure> {
        let node = open(self.name, self.folder.path()).await?;
        check(node.identity() == self.identity, "the node woke as somebody else")?;
        Ok(Person { name: self.name, folder: self.folder, node })
    }
}

/// Where people talk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) server: ServerId,
    pub(super) channel: ChannelId,
}

async fn open(name: &str, folder: &Path) -> Result<Node, Failure> {
    let file = Url::from_file_path(folder.join("node.db"))
        .map_err(|()| Failure::new("the temporary folder has no absolute name"))?;
    let builder = Node::builder()
        .registry(spacepanda::backends())
        .name(name)
        .store(format!("sqlite://{}", file.path()))
        .listen("quic://127.0.0.1:0")
        .folder(folder)
        .state_folder(folder.join("state"));
    Ok(builder.open().await?)
}
