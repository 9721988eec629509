//! Replies and events as lines for people.

use std::{collections::VecDeque, fmt::Display};

use spacepanda::{AppError, Message, MessageId};

use super::{
    reply::{Id, MemberLine, MessageLine, Outcome, ServerLine, StatusLine, missing, unopened},
    told::Told,
};
use crate::cli::screen::{Clock, Day, Tone, has_colours, plain, short, toned};

/// Own messages whose way is shown.
const OWN_MAX: usize = 64;
/// Characters of an own message that are shown with its state.
const OWN_CHARS_MAX: usize = 40;

/// A terminal, or what stands in for one.
pub(super) struct People {
    colours: bool,
    own: VecDeque<(MessageId, String)>,
}

impl People {
    pub(super) fn new() -> Self {
        Self { colours: has_colours(), own: VecDeque::new() }
    }

    /// The lines that answer a line of input.
    pub(super) fn reply(&mut self, typed: &str, answer: &Result<Outcome, AppError>) -> Vec<String> {
        match answer {
            Ok(outcome) => self.outcome(typed, outcome),
            Err(error) => {
                vec![format!("{} {}", self.toned("✗", Tone::Bad), plain(&error.to_string()))]
            }
        }
    }

    fn outcome(&mut self, typed: &str, outcome: &Outcome) -> Vec<String> {
        match outcome {
            Outcome::Server { server, channel } => vec![self.good(&format!(
                "You are in the server {}, and write in its channel {}.",
                short(server.0),
                short(channel.0)
            ))],
            Outcome::Channel { channel } => {
                vec![self.good(&format!("The channel is {}.", channel.0))]
            }
            Outcome::Link { link } => {
                vec![self.good("Whoever has this link can join, for 7 days:"), link.clone()]
            }
            Outcome::Message { id } => {
                self.remember(id.0, typed);
                Vec::new()
            }
            Outcome::History { messages } => {
                messages.iter().map(|message| self.past(message)).collect()
            }
            Outcome::Members { members } => {
                members.iter().map(|member| self.member(member)).collect()
            }
            Outcome::Removed { identity, open_invites } => self.removed(identity.0, open_invites),
            Outcome::Left { server } => {
                vec![self.good(&format!("You have left the server {}.", short(server.0)))]
            }
            Outcome::Device { device } => {
                vec![self.good(&format!("This is your device {} now.", short(device.0)))]
            }
            Outcome::Status(status) => self.status(status),
            Outcome::Servers { servers } => servers.iter().flat_map(|of| self.server(of)).collect(),
            Outcome::Channels { channels } => channels
                .iter()
                .map(|of| format!("  {}  {}", self.toned(of.channel.0, Tone::Dim), plain(&of.name)))
                .collect(),
            Outcome::Help { commands } => {
                commands.iter().map(|line| format!("  {:<22}{}", line.usage, line.does)).collect()
            }
            Outcome::Done {} => vec![self.good("Done.")],
        }
    }

    /// The lines that tell what happened.
    pub(super) fn told(&mut self, told: &Told) -> Vec<String> {
        let line = match told {
            Told::Message { message, .. } => return vec![self.heard(message)],
            Told::MessageState { id, state, .. } => return self.moved(id.0, state),
            Told::Ready { identity, channel, .. } => match channel {
                Some(channel) => format!(
                    "You are {}, and write in the channel {}. `/help` lists the commands.",
                    short(identity.0),
                    short(channel.0)
                ),
                None => format!(
                    "You are {}. Make a server with `/server create NAME`, or join one with `/join \
                     LINK`; `/help` lists the commands.",
                    short(identity.0)
                ),
            },
            Told::MemberJoined { name, .. } => format!("{} has joined", plain(name)),
            Told::MemberRemoved { name, .. } => format!("{} is no longer a member", plain(name)),
            Told::ChannelCreated { name, .. } => format!("There is a channel {}", plain(name)),
            Told::PeerConnected { identity, .. } => format!("{} is here", short(identity.0)),
            Told::PeerDisconnected { identity, .. } => format!("{} is away", short(identity.0)),
            Told::JoinProgress { step, waiting_for, .. } => {
                format!("Joining ({step}): waiting for {waiting_for}")
            }
            Told::JoinRefused { name, message, .. } => {
                format!("Joining: asked {}: {}", plain(name), plain(message))
            }
            Told::Joined { server, .. } => format!("You are in the server {}", short(server.0)),
            Told::JoinFailed { message, .. } => {
                return vec![format!("{} {}", self.toned("✗", Tone::Bad), plain(message))];
            }
            Told::Healing { waiting: Some(waiting), .. } => format!("healing: {waiting}"),
            Told::Healing { waiting: None, .. } => "The group is whole again here".to_owned(),
            Told::DeviceRenewed { device } => {
                format!("This is your device {} now", short(device.0))
            }
            Told::Unopened { message, .. } | Told::Missing { message, .. } => plain(message),
            Told::CaughtUp { .. } => return Vec::new(),
            Told::Reloaded { message } => (*message).to_owned(),
            Told::Continuity { continuity, message } => format!("{continuity}: {message}"),
            Told::MessageHeld { message, .. } => format!("Your message waits: {message}"),
            Told::Missed { count } => format!("{count} events were missed; look at `/history`"),
            Told::Notice { message, .. } | Told::Failed { message, .. } => message.clone(),
        };
        vec![self.toned(format!("· {line}"), Tone::Dim)]
    }

    fn heard(&self, message: &Message) -> String {
        format!(
            "{} {} {}",
            self.toned(Clock(message.at), Tone::Dim),
            self.toned(format!("{}:", plain(&message.name)), Tone::Name),
            plain(&message.text.to_string())
        )
    }

    fn past(&self, line: &MessageLine) -> String {
        let day = self.toned(Day(line.message.at), Tone::Dim);
        let state = self.toned(format!("({})", line.state), Tone::Dim);
        format!("{day} {} {state}", self.heard(&line.message))
    }

    fn moved(&mut self, id: MessageId, state: &str) -> Vec<String> {
        let Some(at) = self.own.iter().position(|(own, _)| *own == id) else { return Vec::new() };
        let text = match state {
            "delivered" => self.own.remove(at).map(|(_, text)| text).unwrap_or_default(),
            _ => self.own[at].1.clone(),
        };
        vec![self.toned(format!("  {state}: {text}"), Tone::Dim)]
    }

    fn remember(&mut self, id: MessageId, typed: &str) {
        if self.own.len() == OWN_MAX {
            self.own.pop_front();
        }
        self.own.push_back((id, plain(typed).chars().take(OWN_CHARS_MAX).collect()));
    }

    fn member(&self, member: &MemberLine) -> String {
        let here = if member.online { self.toned("●", Tone::Good) } else { "○".to_owned() };
        format!(
            "{here} {}  {}  {}",
            self.toned(plain(&member.name), Tone::Name),
            member.roles.join(", "),
            self.toned(member.identity.0, Tone::Dim)
        )
    }

    fn removed(&self, identity: impl Display, open: &[Id<impl Display>]) -> Vec<String> {
        let mut lines = vec![self.good(&format!("{} is removed.", short(identity)))];
        if !open.is_empty() {
            lines.push(
                "They could come back by these invites, until you `/revoke` them:".to_owned(),
            );
            lines.extend(open.iter().map(|invite| format!("  {}", invite.0)));
        }
        lines
    }

    fn server(&self, server: &ServerLine) -> Vec<String> {
        let how = match server {
            ServerLine { joining: true, .. } => " (joining)",
            ServerLine { joined: false, .. } => " (not in it: the join ended)",
            ServerLine { member: false, .. } => " (no longer a member)",
            _ => "",
        };
        let id = self.toned(server.server.0, Tone::Dim);
        let mut lines = vec![format!("{}{how}  {id}", self.toned(plain(&server.name), Tone::Name))];
        lines.extend(server.channels.iter().map(|of| format!("    {}", plain(&of.name))));
        lines
    }

    fn status(&self, status: &StatusLine) -> Vec<String> {
        let mut lines = vec![
            format!("identity    {}", status.identity.0),
            format!("device      {}", status.device.0),
            format!("addresses   {}", status.addresses.join(" ")),
            format!("peers       {}", status.peers.len()),
            format!("pending     {}", status.pending),
        ];
        if let Some(Id(device)) = &status.gave_up {
            lines.push(format!("{:<12}{device}, as this folder was an old copy", "gave up"));
        }
        if let Some(why) = status.because {
            lines.push(format!("{:<12}{why}", status.continuity));
        }
        if let (Some(server), Some(members), Some(hash)) =
            (status.server, status.members, &status.state_hash)
        {
            lines.push(format!("server      {}", server.0));
            let epoch =
                status.epoch.map_or_else(|| "not yet".to_owned(), |epoch| epoch.to_string());
            lines.push(format!("epoch       {epoch}"));
            let healing = status.healing.iter();
            lines.extend(healing.map(|waiting| format!("healing     {waiting}")));
            lines.push(format!("members     {members}"));
            lines.push(format!("state hash  {hash}"));
            if let (Some(count @ 1..), Some(asked)) = (status.unopened, &status.asked) {
                lines.push(plain(&unopened(count, asked)));
            }
            let missing_of = status.missing.iter().filter(|of| !of.is_empty());
            lines.extend(missing_of.map(|of| plain(&missing(of))));
        }
        lines
    }

    fn good(&self, text: &str) -> String {
        format!("{} {text}", self.toned("✓", Tone::Good))
    }

    fn toned(&self, text: impl Display, tone: Tone) -> String {
        toned(text, tone, self.colours)
    }
}

#[cfg(test)]
mod tests {
    use spacepanda::{ChannelId, ServerId};

    use super::*;

    #[test]
    fn an_own_message_is_followed_until_it_is_delivered() {
        let mut people = People { colours: false, own: VecDeque::new() };
        let id = MessageId::new([1; 16]);
        let moved = |state| Told::MessageState {
            server: Id(ServerId::new([0; 32])),
            channel: Id(ChannelId::new([0; 32])),
            id: Id(id),
            state,
        };
        assert!(people.reply("Hello\x1b[m", &Ok(Outcome::Message { id: Id(id) })).is_empty());
        assert_eq!(people.told(&moved("sent")), ["  sent: Hello·[m"]);
        assert_eq!(people.told(&moved("delivered")), ["  delivered: Hello·[m"]);
        assert!(people.told(&moved("delivered")).is_empty());
    }

    #[test]
    fn a_failure_is_one_line() {
        let mut people = People { colours: false, own: VecDeque::new() };
        let answer = Err(AppError::new("a.b", "No.\nNothing"));
        assert_eq!(people.reply("x", &answer), ["✗ No.⏎Nothing"]);
    }
}
