//! What lines of input are answered, as JSON writes it: keys in this order, for ever.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use spacepanda::{
    AppError, ChannelId, Continuity, DeviceId, Hold, IdentityId, Member, Message, MessageId,
    ServerId, ServerStatus, ServerSummary, StateId, Status, Text,
};

/// An id, written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id<T>(pub(super) T);

impl<T: Display> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What came of a command.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Outcome {
    Server { server: Id<ServerId>, channel: Id<ChannelId> },
    Channel { channel: Id<ChannelId> },
    Link { link: String },
    Message { id: Id<MessageId> },
    History { messages: Vec<MessageLine> },
    Members { members: Vec<MemberLine> },
    Removed { identity: Id<IdentityId>, open_invites: Vec<Id<IdentityId>> },
    Left { server: Id<ServerId> },
    Device { device: Id<DeviceId> },
    Status(Box<StatusLine>),
    Servers { servers: Vec<ServerLine> },
    Channels { channels: Vec<ChannelLine> },
    Help { commands: Vec<HelpLine> },
    Done {},
}

#[derive(Debug, Serialize)]
pub(super) struct MessageLine {
    pub(super) id: Id<MessageId>,
    pub(super) author: Id<IdentityId>,
    pub(super) name: String,
    pub(super) text: Option<String>,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    pub(super) state: &'static str,
    /// Why there is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip)]
    pub(super) message: Message,
}

impl MessageLine {
    pub(super) fn new(message: Message) -> Self {
        let (text, reason) = split(&message.text);
        Self {
            id: Id(message.id),
            author: Id(message.author),
            name: message.name.clone(),
            text,
            at: message.at.millis(),
            state: message.state.name(),
            reason,
            message,
        }
    }
}

/// A message's text, or why there is none.
pub(super) fn split(text: &Text) -> (Option<String>, Option<String>) {
    match text {
        Text::Known(text) => (Some(text.clone()), None),
        Text::Waiting { .. } | Text::Unreadable { .. } => (None, text.why_not()),
    }
}

/// What is said of messages that cannot be opened yet, and of who was asked for them.
pub(super) fn unopened(count: usize, asked: &[String]) -> String {
    let what = match count {
        0 => return "all messages are opened".to_owned(),
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    };
    match asked {
        [] => format!("{what} cannot be opened yet: nobody to ask was here"),
        asked => format!("{what} cannot be opened yet: asked {}", asked.join(", ")),
    }
}

/// What is said of what nobody who was met holds, and of who wrote it.
pub(super) fn missing(of: &[String]) -> String {
    match of {
        [] => "nothing is missing any more".to_owned(),
        of => format!("something of {} is missing: nobody who was here holds it", of.join(", ")),
    }
}

#[derive(Debug, Serialize)]
pub(super) struct MemberLine {
    pub(super) identity: Id<IdentityId>,
    pub(super) name: String,
    pub(super) online: bool,
    pub(super) roles: Vec<String>,
}

impl From<Member> for MemberLine {
    fn from(member: Member) -> Self {
        let Member { identity, name, online, roles } = member;
        Self { identity: Id(identity), name, online, roles }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct StatusLine {
    pub(super) identity: Id<IdentityId>,
    pub(super) device: Id<DeviceId>,
    pub(super) addresses: Vec<String>,
    pub(super) peers: Vec<Id<DeviceId>>,
    pub(super) pending: usize,
    pub(super) epoch: Option<u64>,
    pub(super) healing: Option<String>,
    pub(super) members: Option<usize>,
    pub(super) state_hash: Option<String>,
    pub(super) server: Option<Id<ServerId>>,
    pub(super) channel: Option<Id<ChannelId>>,
    /// Where this device encrypts.
    pub(super) stand: Option<Id<StateId>>,
    /// The state that everybody chooses.
    pub(super) head: Option<Id<StateId>>,
    pub(super) continuity: &'static str,
    /// Why nothing is written, if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<&'static str>,
    /// The device that this node was until its folder was found to be an old copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gave_up: Option<Id<DeviceId>>,
    /// Messages that cannot be opened yet.
    pub(super) unopened: Option<usize>,
    /// Who was asked for them.
    pub(super) asked: Option<Vec<String>>,
    /// Of whom something is missing that nobody who was met holds.
    pub(super) missing: Option<Vec<String>>,
}

impl StatusLine {
    pub(super) fn new(
        status: Status,
        server: Option<(ServerId, ServerStatus)>,
        channel: Option<ChannelId>,
    ) -> Self {
        let (id, server) = server.unzip();
        let unwritten =
            (status.continuity != Continuity::Sure).then(|| status.continuity.explain());
        let hold = server.as_ref().and_then(|server| server.hold).map(Hold::explain);
        Self {
            identity: Id(status.identity),
            device: Id(status.device),
            addresses: status.addresses,
            peers: status.peers.into_iter().map(Id).collect(),
            pending: status.pending,
            epoch: server.as_ref().and_then(|server| server.epoch),
            healing: server.as_ref().and_then(|server| server.healing.clone()),
            members: server.as_ref().map(|server| server.members),
            unopened: server.as_ref().map(|server| server.unopened),
            state_hash: server.as_ref().map(|server| hex(&server.state_hash)),
            asked: server.as_ref().map(|server| server.asked.clone()),
            missing: server.as_ref().map(|server| server.missing.clone()),
            server: id.map(Id),
            channel: channel.map(Id),
            stand: server.as_ref().and_then(|server| server.stand).map(Id),
            head: server.and_then(|server| server.head).map(Id),
            continuity: status.continuity.name(),
            because: unwritten.or(hold),
            gave_up: status.gave_up.map(Id),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug, Serialize)]
pub(super) struct ServerLine {
    pub(super) server: Id<ServerId>,
    pub(super) name: String,
    pub(super) joined: bool,
    /// Whether the join goes on.
    pub(super) joining: bool,
    pub(super) member: bool,
    pub(super) channels: Vec<ChannelLine>,
}

impl From<ServerSummary> for ServerLine {
    fn from(summary: ServerSummary) -> Self {
        let channels = summary.channels.into_iter();
        Self {
            server: Id(summary.server),
            name: summary.name,
            joined: summary.joined,
            joining: summary.joining,
            member: summary.member,
            channels: channels
                .map(|of| ChannelLine { channel: Id(of.channel), name: of.name })
                .collect(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ChannelLine {
    pub(super) channel: Id<ChannelId>,
    pub(super) name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct HelpLine {
    pub(super) usage: &'static str,
    pub(super) does: &'static str,
}

/// The line that answers a line of input.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ReplyLine<'a> {
    Done {
        reply: &'a str,
        ok: bool,
        #[serde(flatten)]
        outcome: &'a Outcome,
    },
    Failed {
        reply: &'a str,
        ok: bool,
        code: &'static str,
        message: String,
        retryable: bool,
    },
}

impl<'a> ReplyLine<'a> {
    pub(super) fn new(reply: &'a str, answer: &'a Result<Outcome, AppError>) -> Self {
        match answer {
            Ok(outcome) => Self::Done { reply, ok: true, outcome },
            Err(error) => Self::Failed {
                reply,
                ok: false,
                code: error.code(),
                message: error.to_string(),
                retryable: error.is_retryable(),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use spacepanda::{MessageState, Timestamp};

    use super::*;

    fn json(name: &str, answer: Result<Outcome, AppError>) -> String {
        serde_json::to_string(&ReplyLine::new(name, &answer)).unwrap()
    }

    fn message(text: Text) -> MessageLine {
        MessageLine::new(Message {
            id: MessageId::new([1; 16]),
            channel: ChannelId::new([2; 32]),
            device: DeviceId::new([3; 32]),
            author: IdentityId::new([4; 32]),
            name: "Bob".to_owned(),
            text,
            at: Timestamp::from_micros(5_999),
            state: MessageState::Sent,
        })
    }

    #[test]
    fn replies_begin_with_whose_they_are_and_how_it_went() {
        let id = "01".repeat(32);
        let (server, channel) = (Id(ServerId::new([1; 32])), Id(ChannelId::new([1; 32])));
        assert_eq!(
            json("server", Ok(Outcome::Server { server, channel })),
            format!(r#"{{"reply":"server","ok":true,"server":"{id}","channel":"{id}"}}"#)
        );
        assert_eq!(json("quit", Ok(Outcome::Done {})), r#"{"reply":"quit","ok":true}"#);
        assert_eq!(
            json("join", Err(AppError::retryable("join.waiting", "It waits."))),
            r#"{"reply":"join","ok":false,"code":"join.waiting","message":"It waits.","retryable":true}"#
        );
    }

    #[test]
    fn a_message_without_a_text_says_why() {
        let messages = vec![
            message(Text::Known("Hi".to_owned())),
            message(Text::Waiting { asked: vec!["Carol".to_owned()] }),
        ];
        let (id, author) = ("01".repeat(16), "04".repeat(32));
        assert_eq!(
            json("history", Ok(Outcome::History { messages })),
            format!(
                "{{\"reply\":\"history\",\"ok\":true,\"messages\":[{{\"id\":\"{id}\",\"author\":\
                 \"{author}\",\"name\":\"Bob\",\"text\":\"Hi\",\"at\":5,\"state\":\"sent\"}},{{\"id\":\
                 \"{id}\",\"author\":\"{author}\",\"name\":\"Bob\",\"text\":null,\"at\":5,\"state\":\
                 \"sent\",\"reason\":\"waiting for its keys; asked Carol\"}}]}}"
            )
        );
    }

    #[test]
    fn what_cannot_be_opened_is_said_with_who_was_asked() {
        let asked = ["Alice".to_owned(), "Bob".to_owned()];
        assert_eq!(unopened(3, &asked[..1]), "3 messages cannot be opened yet: asked Alice");
        assert_eq!(unopened(1, &asked), "1 message cannot be opened yet: asked Alice, Bob");
        assert_eq!(unopened(2, &[]), "2 messages cannot be opened yet: nobody to ask was here");
        assert_eq!(unopened(0, &[]), "all messages are opened");
    }

    #[test]
    fn a_status_without_a_server_has_all_its_keys() {
        let status = Status {
            identity: IdentityId::new([1; 32]),
            device: DeviceId::new([1; 32]),
            addresses: vec!["quic://127.0.0.1:7".to_owned()],
            peers: Vec::new(),
            pending: 2,
            continuity: Continuity::Sure,
            gave_up: None,
            server: None,
        };
        let id = "01".repeat(32);
        assert_eq!(
            json("status", Ok(Outcome::Status(Box::new(StatusLine::new(status, None, None))))),
            format!(
                "{{\"reply\":\"status\",\"ok\":true,\"identity\":\"{id}\",\"device\":\"{id}\",\
                 \"addresses\":[\"quic://127.0.0.1:7\"],\"peers\":[],\"pending\":2,\"epoch\":null,\
                 \"healing\":null,\"members\":null,\"state_hash\":null,\"server\":null,\"channel\":null,\
                  \"stand\":null,\"head\":null,\"continuity\":\"sure\",\"unopened\":null,\"asked\":null,\
                  \"missing\":null}}"
            )
        );
    }
}
