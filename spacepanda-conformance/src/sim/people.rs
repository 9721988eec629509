use std::time::Duration;

use spacepanda_core::{
    app::engine::{AppError, Call, Command, Event, Input, Reply},
    base::ChannelId,
    state::mls::tree::Window,
};

use super::{
    story::{Action, Asked, Said},
    trace::Kind,
    world::{Happening, World},
};

/// How long somebody waits before they try again.
const AGAIN: Duration = Duration::from_secs(4);

impl World<'_> {
    /// A node answers calls; the founder begins with the first of them.
    pub(super) fn story_begins(&mut self, node: usize) {
        if node == 0 && self.story.server.is_none() {
            self.call(
                0,
                Command::CreateServer { name: "home".into(), window: Window::default() },
                Asked::Server,
            );
        }
    }

    /// Makes a call; the node has steps to make then.
    pub(super) fn call(&mut self, node: usize, command: Command, asked: Asked) {
        self.note(Kind::Command, node, format_args!("{command:?}"));
        let call: Call = self.nodes[node].next_call();
        self.asked.insert((node, call), asked);
        self.nodes[node].push(Input::Command(call, command));
    }

    /// Somebody does something, and says whose node has steps to make because of it.
    pub(super) fn act_out(&mut self, action: Action) -> Option<usize> {
        let server = self.story.server?;
        let node = match action {
            Action::Join(node)
            | Action::Say(node)
            | Action::TryChannel(node)
            | Action::Leave(node) => node,
            Action::MakeChannel | Action::Remove(_) => 0,
            Action::End => {
                self.story.over = true;
                return None;
            }
        };
        if !self.nodes[node].is_started() {
            self.again(action);
            return None;
        }
        let joined = node == 0 || self.story.people[node].joined;
        let command = match action {
            Action::Join(_) => {
                let doubtful = self.story.people[node].doubtful;
                let link = if doubtful { &self.story.single } else { &self.story.link };
                Command::JoinServer { link: link.clone()? }
            }
            Action::Say(_) => return self.say(node),
            Action::MakeChannel => {
                Command::CreateChannel { server, name: format!("c{}", self.story.chance.below(99)) }
            }
            Action::TryChannel(_) if joined => Command::CreateChannel { server, name: "no".into() },
            Action::Leave(_) if joined => {
                self.story.people[node].out = true;
                Command::Leave { server }
            }
            Action::Remove(who) => {
                let (identity, _) = self.nodes[who].ids?;
                Command::RemoveMember { server, identity }
            }
            Action::TryChannel(_) | Action::Leave(_) | Action::End => return None,
        };
        self.call(node, command, Asked::Do(action));
        Some(node)
    }

    fn say(&mut self, node: usize) -> Option<usize> {
        let (server, channels) = (self.story.server?, &self.story.people[node].channels);
        if channels.is_empty() {
            return None;
        }
        let channel = channels[self.story.chance.index(channels.len())];
        self.story.texts += 1;
        let text = format!("text {} of p{node}", self.story.texts);
        let command = Command::SendMessage { server, channel, text: text.clone() };
        self.call(node, command, Asked::Say { channel, text });
        Some(node)
    }

    fn again(&mut self, action: Action) {
        if !matches!(action, Action::Say(_) | Action::TryChannel(_)) {
            self.after(AGAIN, Happening::Act(action));
        }
    }

    /// A call was answered.
    pub(super) fn answered(
        &mut self,
        node: usize,
        asked: Asked,
        reply: Result<Reply, AppError>,
    ) -> Result<(), String> {
        let uncertain = self.story.people[node].out || self.story.people[node].doubtful;
        match (asked, reply) {
            (Asked::Check, answer) => self.story.answer = Some(answer),
            (Asked::Server, Ok(Reply::Server { server, channel: Some(channel) })) => {
                self.story.server = Some(server);
                self.meet_channel(0, channel);
                let invite = |max_uses| Command::CreateInvite { server, max_uses, valid: None };
                self.call(0, invite(None), Asked::Invite);
                if self.story.has_duel() {
                    self.call(0, invite(Some(1)), Asked::SingleUse);
                }
            }
            (Asked::Invite, Ok(Reply::Link(link))) => {
                self.story.link = Some(link);
                self.go_on_if_invited();
            }
            (Asked::SingleUse, Ok(Reply::Link(link))) => {
                self.story.single = Some(link);
                self.go_on_if_invited();
            }
            (Asked::Say { channel, text }, Ok(Reply::Message(id))) => {
                self.outcome.messages += 1;
                self.story.said.push(Said { node, channel, id, text });
            }
            (Asked::Say { .. }, Err(_)) if uncertain => {}
            (Asked::Do(action), reply) => return self.done(node, action, reply),
            (_, reply) => return Err(format!("node {node} is answered {reply:?}")),
        }
        Ok(())
    }

    fn done(
        &mut self,
        node: usize,
        action: Action,
        reply: Result<Reply, AppError>,
    ) -> Result<(), String> {
        let code = reply.as_ref().err().map(AppError::code);
        match (action, &reply, code) {
            (Action::Join(_), Ok(Reply::Server { .. }), _)
            | (Action::Join(_), _, Some("join.member")) => self.story.people[node].begun = true,
            (Action::MakeChannel, Ok(Reply::Channel(channel)), _) => {
                self.meet_channel(node, *channel);
            }
            (Action::TryChannel(_), _, Some("permission.denied")) => {}
            (Action::Remove(who), Ok(Reply::Removed { .. }), _) => {
                self.story.people[who].out = true;
                self.outcome.removals += 1;
                self.after(Duration::ZERO, Happening::Act(Action::Say(node)));
            }
            (Action::Leave(_), Ok(Reply::Done), _) => self.outcome.removals += 1,
            // They are not in yet, or the removal was made and its answer lost.
            (Action::Remove(_), _, Some("member.unknown"))
            | (Action::Leave(_), _, Some("server.not_member")) => {}
            _ => return Err(format!("node {node} does {action:?} and is answered {reply:?}")),
        }
        Ok(())
    }

    fn go_on_if_invited(&mut self) {
        let story = &mut self.story;
        if story.link.is_none() || (story.has_duel() && story.single.is_none()) {
            return;
        }
        for (at, action) in self.story.plan() {
            self.after(at, Happening::Act(action));
        }
        self.begin_faults();
    }

    /// A node tells of an event.
    pub(super) fn told(&mut self, node: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Joined { channel, .. } => {
                self.story.people[node].joined = true;
                self.meet_channel(node, channel);
            }
            Event::ChannelCreated { channel, .. } => self.meet_channel(node, channel),
            // Now that it matters who can read.
            Event::MemberRemoved { .. } => {
                self.after(Duration::ZERO, Happening::Act(Action::Say(node)));
            }
            Event::JoinFailed { code, .. } => {
                let person = &self.story.people[node];
                if !person.out && !person.doubtful {
                    return Err(format!("node {node} is refused: {code}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn meet_channel(&mut self, node: usize, channel: ChannelId) {
        let channels = &mut self.story.people[node].channels;
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }

    /// The calls of a node that crashed are never answered; what matters is done again.
    pub(super) fn forget_calls(&mut self, node: usize) {
        let lost: Vec<_> =
            self.asked.range((node, Call(0))..=(node, Call(u64::MAX))).map(|(at, _)| *at).collect();
        for at in lost {
            if let Some(Asked::Do(action)) = self.asked.remove(&at) {
                if let Action::Remove(who) = action {
                    self.story.people[who].out = true;
                }
                self.again(action);
            }
        }
    }

    /// Everybody who is in says something again.
    pub(super) fn last_words(&mut self) {
        for node in 0..self.nodes.len() {
            if node == 0 || self.story.people[node].joined && !self.story.people[node].out {
                self.after(Duration::ZERO, Happening::Act(Action::Say(node)));
            }
        }
    }

    /// Every node stops and starts again from what it keeps.
    pub(super) fn restart_all(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            self.stop(node, true, true)?;
            self.after(Duration::from_secs(1), Happening::Start(node));
        }
        Ok(())
    }
}
