use std::time::Duration;

use spacepanda_core::{
    app::engine::{
        AppError, Call, Command, Continuity, Event, Input, JoinLink, JoinStep, Reply, ServerSummary,
    },
    base::{ChannelId, ServerId},
    state::{identity::KeyPair, mls::tree::Window},
};

use super::{
    plan::Step,
    profile::COMING_BACK,
    story::{Asked, Invite, Said},
    trace::Kind,
    world::{BEGIN, Happening, World},
};

/// What the founder calls the server, and nobody else calls otherwise.
pub(super) const SERVER_NAME: &str = "home";
/// How long somebody waits before they try again.
const AGAIN: Duration = Duration::from_secs(4);
/// Later it is this part of the time that has passed.
const AGAIN_PART_OF_ALL: u32 = 256;
/// How long an invite is valid: longer than any run.
const VALID: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
/// How long somebody reads that a copy of their device has written before they take another device.
const RENEWED_AFTER: Duration = Duration::from_secs(5);
/// Messages of a page that somebody looks at.
const LOOK_LEN: usize = 20;

/// What people do. Whoever cannot do it now does it later, if it matters.
impl World<'_> {
    /// A node answers calls; the founder begins with the first of them.
    pub(super) fn story_begins(&mut self, node: usize) {
        if self.nodes[node].life > 1 && !self.knows_it_is_in(node) {
            return self.call(node, Command::Servers, Asked::Where);
        }
        if node == 0 && self.story.invites.is_empty() {
            self.found();
        }
    }

    fn knows_it_is_in(&self, node: usize) -> bool {
        if node == 0 { self.story.server.is_some() } else { self.story.people[node].joined }
    }

    /// Somebody looks where they are, who was not told before the node stopped.
    fn looks_round(&mut self, node: usize, servers: &[ServerSummary]) {
        let Some(here) = servers.iter().find(|summary| summary.joined) else {
            if node == 0 {
                self.found();
            }
            return;
        };
        self.story.people[node].joined = true;
        here.channels.iter().for_each(|channel| self.meet_channel(node, channel.channel));
        if node == 0 {
            self.story.server = Some(here.server);
            self.found();
        }
    }

    /// The founder makes the server, and the first invite.
    fn found(&mut self) {
        match self.story.server {
            None => {
                let (name, window) = (SERVER_NAME.into(), Window::default());
                self.call(0, Command::CreateServer { name, window }, Asked::Server);
            }
            Some(_) => self.invite(0, 0, None, true),
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
    pub(super) fn act_out(&mut self, step: Step) -> Option<usize> {
        let who = step.who();
        let person = self.story.people.get(who)?;
        if self.nodes[who].gone || self.nodes[who].is_guest() {
            return None;
        }
        let server = self.story.server?;
        let comes = matches!(step, Step::Join { .. });
        if comes && person.out && !COMING_BACK {
            return None;
        }
        if !self.nodes[who].is_started() || (who != 0 && !person.joined && !comes) {
            self.again(step);
            return None;
        }
        match step {
            Step::Join { by, .. } => {
                let link = self.story.invite(by)?;
                let command = Command::JoinServer { link: self.story.invites[link].link.clone() };
                self.story.people[who].joins += 1;
                self.call(who, command, Asked::Join { step, link });
            }
            Step::Say { .. } => self.say(who, server)?,
            Step::Look { .. } => self.look(who, server)?,
            Step::Channel { .. } => {
                let name = format!("c{}", self.story.chance.below(99));
                self.call(who, Command::CreateChannel { server, name }, Asked::Do(step));
            }
            Step::Invite { uses, .. } => self.invite(who, uses, Some(step), false),
            Step::Revoke { whose, .. } => {
                let newest =
                    self.story.invites.iter().skip(1).rfind(|invite| invite.by == whose)?;
                let link = JoinLink::decode(&newest.link).ok()?;
                let invite = *KeyPair::from_secret(link.invite_key).public();
                self.call(who, Command::RevokeInvite { server, invite }, Asked::Do(step));
            }
            Step::Remove { whom, .. } => {
                let (identity, _) = self.nodes.get(whom)?.ids?;
                self.story.people[whom].out |= who == 0;
                self.call(who, Command::RemoveMember { server, identity }, Asked::Do(step));
            }
            Step::Leave { .. } if who == 0 => return None,
            Step::Leave { .. } => {
                self.story.people[who].out = true;
                self.call(who, Command::Leave { server }, Asked::Do(step));
            }
            Step::Renew { .. } => self.call(who, Command::RenewDevice, Asked::Do(step)),
        }
        Some(who)
    }

    fn say(&mut self, who: usize, server: ServerId) -> Option<()> {
        let channel = self.some_channel(who)?;
        let text = self.story.text(self.clones.original(who));
        let command = Command::SendMessage { server, channel, text: text.clone() };
        self.call(who, command, Asked::Say { channel, text });
        Some(())
    }

    fn look(&mut self, who: usize, server: ServerId) -> Option<()> {
        let channel = self.some_channel(who)?;
        let command = Command::ListMessages { server, channel, before: None, limit: LOOK_LEN };
        self.call(who, command, Asked::Do(Step::Look { who }));
        Some(())
    }

    fn some_channel(&mut self, who: usize) -> Option<ChannelId> {
        let channels = &self.story.people[who].channels;
        let at = self.story.chance.index(channels.len().max(1));
        channels.get(at).copied()
    }

    pub(super) fn invite(&mut self, who: usize, uses: u32, step: Option<Step>, sure: bool) {
        let Some(server) = self.story.server else { return };
        let max_uses = (uses > 0).then_some(uses);
        let command = Command::CreateInvite { server, max_uses, valid: Some(VALID) };
        self.call(who, command, Asked::Invite { step, sure });
    }

    fn again(&mut self, step: Step) {
        if step.matters() && !self.story.over {
            self.after(self.pause(), Happening::Do(step));
        }
    }

    /// How long to wait before what cannot be done now is tried again. Somebody may sleep for months: who
    /// waits for them looks less and less often.
    pub(super) fn pause(&self) -> Duration {
        AGAIN.max(self.now.since(BEGIN) / AGAIN_PART_OF_ALL)
    }

    /// A call was answered.
    pub(super) fn answered(
        &mut self,
        node: usize,
        asked: Asked,
        reply: Result<Reply, AppError>,
    ) -> Result<(), String> {
        let sure = self.story.is_sure(node);
        let code = reply.as_ref().err().map(AppError::code);
        let cloned = self.outcome.clones > 0
            && matches!(code, Some("device.cloned" | "device.revoked" | "device.unsure"));
        // Who went on from an older copy, beside which nothing says that it is one, must meet somebody first.
        let unsure = code == Some("device.unsure") && self.nodes[node].restored.is_some();
        match (asked, reply) {
            (_, Err(error)) if error.code() == "internal" => {
                return Err(format!("node {node} is answered {error}"));
            }
            // A copy does not know every channel that its person knows.
            (Asked::Say { .. } | Asked::Do(Step::Look { .. }), Err(_))
                if code == Some("channel.unknown") && self.nodes[node].restored.is_some() => {}
            // Until the device is another one.
            (
                Asked::Do(step) | Asked::Join { step, .. } | Asked::Invite { step: Some(step), .. },
                Err(_),
            ) if cloned || unsure => self.again(step),
            (Asked::Where, Ok(Reply::Servers(servers))) => self.looks_round(node, &servers),
            (Asked::Check, answer) => self.story.answer = Some(answer),
            (Asked::Server, Ok(Reply::Server { server, channel: Some(channel) })) => {
                self.story.server = Some(server);
                self.meet_channel(0, channel);
                self.invite(0, 0, None, true);
            }
            (Asked::Invite { sure, .. }, Ok(Reply::Link(link))) => {
                self.story.invites.push(Invite { by: node, link, sure });
                if self.story.invites.len() == 1 {
                    self.begin_plan();
                }
            }
            (Asked::Say { channel, text }, Ok(Reply::Message(id))) => {
                self.outcome.messages += 1;
                let at = self.now;
                self.story.said.push(Said { node, channel, id, text, at });
            }
            (Asked::Join { link, .. }, Ok(Reply::Server { .. })) => {
                self.story.people[node].by = Some(link);
            }
            (Asked::Join { step, link }, Err(_)) if code == Some("join.member") => {
                // It may not have heard that it is out.
                if self.story.people[node].out {
                    self.again(step);
                } else {
                    self.story.people[node].by.get_or_insert(link);
                }
            }
            (Asked::Say { .. } | Asked::Invite { .. }, Err(_)) if !sure => {}
            (Asked::Do(step), reply) => return self.done(node, step, reply),
            (_, reply) => return Err(format!("node {node} is answered {reply:?}")),
        }
        Ok(())
    }

    fn done(
        &mut self,
        node: usize,
        step: Step,
        reply: Result<Reply, AppError>,
    ) -> Result<(), String> {
        let (founder, sure) = (node == 0, self.story.is_sure(node));
        let code = reply.as_ref().err().map(AppError::code);
        match (step, &reply) {
            (Step::Channel { .. }, Ok(Reply::Channel(channel))) if founder => {
                self.meet_channel(node, *channel);
            }
            (Step::Remove { .. }, Ok(Reply::Removed { .. })) if founder => {
                self.outcome.removals += 1;
                self.after(Duration::ZERO, Happening::Do(Step::Say { who: node }));
            }
            (Step::Leave { .. }, Ok(Reply::Done)) => self.outcome.removals += 1,
            (Step::Look { .. }, Ok(Reply::Messages { messages, .. })) => {
                return self.look_at(node, messages);
            }
            (Step::Revoke { .. }, Ok(Reply::Done)) | (Step::Renew { .. }, Ok(_)) => {}
            // What nobody but the founder may, and what whoever may be out cannot.
            (Step::Channel { .. } | Step::Remove { .. }, Err(_)) if !founder => {}
            (Step::Leave { .. } | Step::Revoke { .. }, Err(_)) => {}
            (Step::Look { .. }, Err(_)) if !sure => {}
            // They are not in yet, or the removal was made and its answer lost.
            (Step::Remove { .. }, Err(_)) if code == Some("member.unknown") => {}
            _ => return Err(format!("node {node} does {step:?} and is answered {reply:?}")),
        }
        Ok(())
    }

    /// A node tells of an event.
    pub(super) fn told(&mut self, node: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Joined { channel, .. } => {
                let person = &mut self.story.people[node];
                person.joined = true;
                // So is a copy, and a new device.
                let one = self.clones.original(node) == node && self.nodes[node].devices.len() < 2;
                match person.joins.checked_sub(1) {
                    Some(left) => person.joins = left,
                    None if one => return Err(format!("node {node} is told twice that it is in")),
                    None => {}
                }
                self.meet_channel(node, channel);
            }
            Event::ChannelCreated { channel, .. } => self.meet_channel(node, channel),
            // Now that it matters who can read.
            // And before whoever was let in has a leaf.
            Event::MemberRemoved { .. } | Event::MemberJoined { .. }
                if self.story.chance.once_in(3) =>
            {
                self.after(Duration::ZERO, Happening::Do(Step::Say { who: node }));
            }
            Event::JoinFailed { code, .. } => {
                if self.story.is_sure(node) {
                    return Err(format!("node {node} is refused: {code}"));
                }
                self.story.people[node].by = None;
                // Whose invites nobody has is invited by the founder's first.
                self.again(Step::Join { who: node, by: self.nodes.len() });
            }
            // Whoever reads that goes on with a new device: nothing else runs with this one any more, or
            // that is where it is read, and what runs there is a copy that will be given up.
            Event::Continuity { continuity: Continuity::Cloned | Continuity::Revoked }
                if !self.is_hostile(node) && self.clones.original(node) == node =>
            {
                self.after(RENEWED_AFTER, Happening::Do(Step::Renew { who: node }));
            }
            Event::DeviceRenewed { device } => {
                let ids = self.nodes[node].ids.map(|(identity, _)| (identity, device));
                ids.into_iter().for_each(|ids| self.nodes[node].is_now(ids));
                self.nodes[node].finding = None;
                // A copy that finds itself behind is another device of the same person.
                self.nodes[self.clones.original(node)].devices.insert(device);
            }
            Event::JoinProgress { step, .. } => {
                self.nodes[node].is_let_in = step > JoinStep::Admitted && step < JoinStep::Joined;
            }
            Event::Healing { waiting, .. } => self.nodes[node].heals = waiting.is_some(),
            Event::Message { message, .. } => {
                return self.look_at(node, std::slice::from_ref(&message));
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

    /// The calls of a node that stopped are never answered; what matters is done again.
    pub(super) fn forget_calls(&mut self, node: usize) {
        let lost: Vec<_> =
            self.asked.range((node, Call(0))..=(node, Call(u64::MAX))).map(|(at, _)| *at).collect();
        for at in lost {
            if let Some(
                Asked::Do(step) | Asked::Join { step, .. } | Asked::Invite { step: Some(step), .. },
            ) = self.asked.remove(&at)
            {
                self.again(step);
            }
        }
    }

    /// Everybody who is in says something again.
    pub(super) fn last_words(&mut self) {
        for who in 0..self.nodes.len() {
            self.after(Duration::ZERO, Happening::Do(Step::Say { who }));
        }
    }
}
