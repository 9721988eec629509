use std::collections::{BTreeMap, BTreeSet};

use spacepanda_core::{
    app::engine::{AppError, Command, Message, MessageState, Reply, ServerStatus, Text},
    base::{ChannelId, DeviceId, IdentityId, MessageId, ServerId, StateId},
};

use super::{story::Asked, trace::Kind, world::World};

/// Messages of one page.
const PAGE_LEN: usize = 50;
/// What may happen while an answer is awaited.
const PATIENCE: usize = 10_000;

/// A message's name in the world.
type Name = (DeviceId, MessageId);

/// What one node shows.
struct View {
    node: usize,
    identity: IdentityId,
    device: DeviceId,
    stand: StateId,
    channels: BTreeMap<ChannelId, Vec<Message>>,
}

impl World<'_> {
    /// Checks what must hold when it is quiet.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if let Some((node, call)) = self.asked.keys().next() {
            return Err(format!("node {node} never answers {call:?}"));
        }
        if let Some(message) = self.known.message_for_removed() {
            return Err(format!("{message:?} is encrypted for somebody known to be removed"));
        }
        let server = self.story.server.ok_or("there is no server")?;
        let members = self.members(server)?;
        let good = self.in_good_standing(server, &members)?;
        self.outcome.members = good.len();
        let stand = self.one_state(server, &good)?;
        let mut views = Vec::new();
        for node in good {
            views.push(self.view(server, node, stand)?);
        }
        for view in &views {
            self.nothing_is_lost(view, &views)?;
            for other in &views {
                self.both_agree(view, other)?;
            }
        }
        for node in 0..self.nodes.len() {
            let ids = self.nodes[node].ids.filter(|(identity, _)| !members.contains(identity));
            if let Some((identity, _)) = ids {
                self.reads_nothing_after(server, node, &identity)?;
            }
        }
        Ok(())
    }

    /// The members, as the founder sees them.
    fn members(&mut self, server: ServerId) -> Result<BTreeSet<IdentityId>, String> {
        match self.ask(0, Command::Members { server })? {
            Ok(Reply::Members(members)) => {
                Ok(members.into_iter().map(|member| member.identity).collect())
            }
            other => Err(format!("the founder lists no members: {other:?}")),
        }
    }

    /// The nodes of the members. All of them are in; nobody who should be is missing.
    fn in_good_standing(
        &mut self,
        server: ServerId,
        members: &BTreeSet<IdentityId>,
    ) -> Result<Vec<usize>, String> {
        let (mut good, mut by_single_use) = (Vec::new(), 0);
        for node in 0..self.nodes.len() {
            let (identity, _) =
                self.nodes[node].ids.ok_or_else(|| format!("node {node} is nobody"))?;
            let person = &self.story.people[node];
            if !members.contains(&identity) {
                if !person.out && !person.doubtful {
                    return Err(format!("node {node} is no member"));
                }
                continue;
            }
            by_single_use += usize::from(person.doubtful);
            let servers = match self.ask(node, Command::Servers)? {
                Ok(Reply::Servers(servers)) => servers,
                other => return Err(format!("node {node} lists no servers: {other:?}")),
            };
            let here = servers.iter().find(|summary| summary.server == server);
            match here.map(|summary| (summary.joined, summary.member)) {
                Some((true, true)) => good.push(node),
                other => {
                    return Err(format!("node {node} is a member; (joined, member) is {other:?}"));
                }
            }
        }
        if by_single_use > 1 {
            return Err("two people came by an invite for one".to_owned());
        }
        Ok(good)
    }

    /// The state that all of `good` stand on, their state hashes being equal.
    fn one_state(&mut self, server: ServerId, good: &[usize]) -> Result<StateId, String> {
        let mut first: Option<ServerStatus> = None;
        for node in good.iter().copied() {
            let status = match self.ask(node, Command::Status { server: Some(server) })? {
                Ok(Reply::Status(status)) => status.server,
                other => return Err(format!("node {node} has no status: {other:?}")),
            };
            let status =
                status.ok_or_else(|| format!("node {node} has no status of the server"))?;
            self.note(
                Kind::State,
                node,
                format_args!("{:?} {:?}", status.stand, status.state_hash),
            );
            if status.stand != status.head {
                return Err(format!(
                    "node {node} stands on another state than the head: {status:?}"
                ));
            }
            match &first {
                None => first = Some(status),
                Some(first) if *first == status => {}
                Some(first) => {
                    return Err(format!("node {node} has {status:?}, node {} {first:?}", good[0]));
                }
            }
        }
        first.and_then(|status| status.stand).ok_or_else(|| "nobody stands anywhere".to_owned())
    }

    fn view(&mut self, server: ServerId, node: usize, stand: StateId) -> Result<View, String> {
        let channels = match self.ask(node, Command::Channels { server })? {
            Ok(Reply::Channels(channels)) => channels,
            other => return Err(format!("node {node} lists no channels: {other:?}")),
        };
        let (identity, device) = self.nodes[node].ids.ok_or("nobody")?;
        let mut view = View { node, identity, device, stand, channels: BTreeMap::new() };
        for channel in channels {
            let messages = self
                .messages(server, node, channel.channel)?
                .map_err(|error| format!("node {node} lists no messages: {error}"))?;
            let mut names = BTreeSet::new();
            if let Some(twice) = messages.iter().find(|message| !names.insert(name(message))) {
                return Err(format!("node {node} lists a message twice: {twice:?}"));
            }
            view.channels.insert(channel.channel, messages);
        }
        Ok(view)
    }

    /// All messages of a channel, oldest first.
    fn messages(
        &mut self,
        server: ServerId,
        node: usize,
        channel: ChannelId,
    ) -> Result<Result<Vec<Message>, AppError>, String> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = Command::ListMessages { server, channel, before, limit: PAGE_LEN };
            match self.ask(node, page)? {
                Ok(Reply::Messages { mut messages, earlier }) => {
                    messages.append(&mut all);
                    all = messages;
                    if earlier.is_none() {
                        return Ok(Ok(all));
                    }
                    before = earlier;
                }
                Ok(other) => return Err(format!("node {node} answers {other:?}")),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// What the person of `view` said stands in it as it was said, and has arrived if it is for
    /// anybody.
    fn nothing_is_lost(&self, view: &View, views: &[View]) -> Result<(), String> {
        let node = view.node;
        for said in self.story.said.iter().filter(|said| said.node == node) {
            let (text, message) = (&said.text, (view.device, said.id));
            if !self.known.is_written(&message) {
                return Err(format!("node {node} accepted {text:?} and never wrote it"));
            }
            let listed = view.channels.get(&said.channel).into_iter().flatten();
            let Some(listed) = listed.into_iter().find(|listed| name(listed) == message) else {
                return Err(format!("node {node} accepted {text:?} and does not list it"));
            };
            if listed.text != Text::Known(text.clone()) {
                return Err(format!("node {node} lists {text:?} as {:?}", listed.text));
            }
            let others = views.iter().filter(|other| other.identity != view.identity);
            let for_anybody =
                others.into_iter().any(|other| self.known.is_for(&message, &other.device));
            if for_anybody && listed.state != MessageState::Delivered {
                return Err(format!("node {node} lists {text:?} as {:?}", listed.state));
            }
        }
        Ok(())
    }

    /// `other` lists everything in `view` that is for it, in the same order, and reads what it can.
    fn both_agree(&self, view: &View, other: &View) -> Result<(), String> {
        let (one, two) = (view.node, other.node);
        if !view.channels.keys().eq(other.channels.keys()) {
            return Err(format!("nodes {one} and {two} list different channels"));
        }
        for (channel, messages) in &view.channels {
            let theirs = &other.channels[channel];
            let by_name: BTreeMap<Name, &Message> =
                theirs.iter().map(|message| (name(message), message)).collect();
            let mut shared = Vec::new();
            for message in messages {
                let at = name(message);
                match by_name.get(&at) {
                    Some(same) => {
                        shared.push(at);
                        self.is_readable(message, same, other)?;
                    }
                    None if self.known.is_for(&at, &other.device) => {
                        return Err(format!("node {two} lacks what node {one} lists: {message:?}"));
                    }
                    None => {}
                }
            }
            let held: BTreeSet<&Name> = shared.iter().collect();
            let order = theirs.iter().map(name).filter(|at| held.contains(at));
            if !order.eq(shared.iter().copied()) {
                return Err(format!("nodes {one} and {two} list {channel:?} in different order"));
            }
        }
        Ok(())
    }

    fn is_readable(&self, message: &Message, same: &Message, other: &View) -> Result<(), String> {
        let node = other.node;
        let readable = matches!(same.text, Text::Known(_));
        if !readable && self.known.is_for(&name(message), &other.device) {
            let stand = other.stand;
            return Err(format!(
                "node {node}, at {stand:?}, cannot read {same:?}, which is for it"
            ));
        }
        match (&message.text, &same.text) {
            (Text::Known(one), Text::Known(two)) if one != two => {
                Err(format!("node {node} reads {two:?} where another reads {one:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Somebody who is no member reads nothing of those who knew that.
    fn reads_nothing_after(
        &mut self,
        server: ServerId,
        node: usize,
        identity: &IdentityId,
    ) -> Result<(), String> {
        let Ok(Reply::Channels(channels)) = self.ask(node, Command::Channels { server })? else {
            return Ok(());
        };
        for channel in channels {
            let messages = self.messages(server, node, channel.channel)?.unwrap_or_default();
            let known = messages.iter().filter(|message| matches!(message.text, Text::Known(_)));
            let mut known = known.filter(|message| message.author != *identity);
            if let Some(message) =
                known.find(|message| self.known.knew_of_removal(&name(message), identity))
            {
                return Err(format!("node {node} is out and reads {message:?}"));
            }
        }
        Ok(())
    }

    fn ask(&mut self, node: usize, command: Command) -> Result<Result<Reply, AppError>, String> {
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
}

fn name(message: &Message) -> Name {
    (message.device, message.id)
}
