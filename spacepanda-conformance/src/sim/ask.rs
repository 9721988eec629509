use spacepanda_core::{
    app::engine::{AppError, Command, Message, Reply},
    base::{ChannelId, ServerId},
};

use super::{story::Asked, world::World};

/// Messages of one page.
const PAGE_LEN: usize = 50;
/// What may happen while an answer is awaited.
const PATIENCE: usize = 10_000;

/// Asking nodes what they show.
impl World<'_> {
    pub(super) fn ask(
        &mut self,
        node: usize,
        command: Command,
    ) -> Result<Result<Reply, AppError>, String> {
        self.story.answer = None;
        self.call(node, command, Asked::Check);
        self.drive(node)?;
        for _ in 0..PATIENCE {
            if let Some(answer) = self.story.answer.take() {
                return Ok(answer);
            }
            self.happen(None)?;
        }
        Err(format!("node {node} does not answer"))
    }

    /// All messages of a channel, oldest first; none if the node does not list them.
    pub(super) fn messages(
        &mut self,
        server: ServerId,
        node: usize,
        channel: ChannelId,
    ) -> Result<Option<Vec<Message>>, String> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let command = Command::ListMessages { server, channel, before, limit: PAGE_LEN };
            match self.ask(node, command)? {
                Ok(Reply::Messages { mut messages, earlier }) => {
                    messages.append(&mut all);
                    all = messages;
                    if earlier.is_none() {
                        return Ok(Some(all));
                    }
                    before = earlier;
                }
                Ok(other) => return Err(format!("node {node} answers {other:?}")),
                Err(_) => return Ok(None),
            }
        }
    }

    pub(super) fn channels(
        &mut self,
        server: ServerId,
        node: usize,
    ) -> Result<Option<Vec<ChannelId>>, String> {
        match self.ask(node, Command::Channels { server })? {
            Ok(Reply::Channels(channels)) => {
                Ok(Some(channels.iter().map(|channel| channel.channel).collect()))
            }
            Ok(other) => Err(format!("node {node} answers {other:?}")),
            Err(_) => Ok(None),
        }
    }
}
