//! What a line of input says.

use spacepanda::AppError;

/// Messages that `/history` lists when it is not told how many.
const HISTORY_LEN: usize = 50;
/// Messages that `/history` lists at most.
const HISTORY_LEN_MAX: usize = 1_000;

/// What each command is for.
pub(super) const HELP: [(&str, &str); 17] = [
    (
        "/server create [--window HOURS] NAME",
        "make a server, and write in its first channel; who steals a disk can open what was written \
         within the window, 72 hours unless told, or since you last met somebody",
    ),
    ("/servers", "list the servers you are in, or are joining"),
    ("/channel create NAME", "make a channel in the current server"),
    ("/channels", "list the channels of the current server"),
    ("/use NAME-OR-ID", "write in another channel; SERVER/CHANNEL names one of another server"),
    ("/invite", "make a link by which others can join the current server"),
    ("/join LINK", "join a server"),
    ("/history [N]", "show the last messages of the current channel, 50 unless told"),
    ("/members", "list the members of the current server"),
    ("/remove NAME-OR-ID", "remove a member, and name the invites that are still open"),
    ("/revoke INVITE", "revoke an invite that /remove has named"),
    ("/leave", "leave the current server"),
    ("/device renew", "become a new device of yours, where this one must not write any more"),
    ("/device only-copy", "say that no other copy of your data folder is in use"),
    ("/status", "show how your node and the current server are"),
    ("/help", "list the commands"),
    ("/quit", "close the node"),
];

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    CreateServer { name: String, window_hours: Option<u16> },
    Servers,
    CreateChannel(String),
    Channels,
    Use(String),
    Invite,
    Join(String),
    Message(String),
    History(usize),
    Members,
    Remove(String),
    Revoke([u8; 32]),
    Leave,
    RenewDevice,
    OnlyCopy,
    Status,
    Help,
    Quit,
}

/// The name by which a line is answered: `message`, or the first word of its command.
pub(super) fn reply_name(line: &str) -> &str {
    match line.strip_prefix('/') {
        Some(command) if !command.starts_with('/') => {
            command.split_whitespace().next().unwrap_or_default()
        }
        _ => "message",
    }
}

/// Reads a line.
///
/// # Errors
/// `input.empty`, `input.unknown` for a command there is not, `input.usage` for one that lacks
/// something or has too much.
pub(super) fn parse(line: &str) -> Result<Command, AppError> {
    if line.trim().is_empty() {
        let sentence = "The line was empty, so nothing was sent. Write a message, or `/help`.";
        return Err(AppError::new("input.empty", sentence));
    }
    match line.strip_prefix('/') {
        None => Ok(Command::Message(line.to_owned())),
        Some(text) if text.starts_with('/') => Ok(Command::Message(text.to_owned())),
        Some(command) => parse_command(command.trim()),
    }
}

fn parse_command(text: &str) -> Result<Command, AppError> {
    let (word, rest) = cut(text);
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(usage(word)) };
    let with = |command: fn(String) -> Command| match rest {
        "" => Err(usage(word)),
        rest => Ok(command(rest.to_owned())),
    };
    match word {
        "server" => created_server(word, rest),
        "servers" => alone(Command::Servers),
        "channel" => created(word, rest).map(Command::CreateChannel),
        "channels" => alone(Command::Channels),
        "use" => with(Command::Use),
        "invite" => alone(Command::Invite),
        "join" => with(Command::Join),
        "history" => history_len(rest).map(Command::History),
        "members" => alone(Command::Members),
        "remove" => with(Command::Remove),
        "revoke" => invite(rest).map(Command::Revoke),
        "leave" => alone(Command::Leave),
        "device" => device(rest),
        "status" => alone(Command::Status),
        "help" => alone(Command::Help),
        "quit" => alone(Command::Quit),
        _ => Err(AppError::new(
            "input.unknown",
            "There is no such command, and nothing was done. `/help` lists the commands; a message \
             that begins with a slash is written with two.",
        )),
    }
}

/// The first word, and what follows.
fn cut(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

fn created_server(word: &str, rest: &str) -> Result<Command, AppError> {
    let text = created(word, rest)?;
    let Some(rest) = text.strip_prefix("--window") else {
        return Ok(Command::CreateServer { name: text, window_hours: None });
    };
    let (hours, name) = cut(rest.trim_start());
    match hours.parse() {
        Ok(hours) if !name.is_empty() => {
            Ok(Command::CreateServer { name: name.to_owned(), window_hours: Some(hours) })
        }
        _ => Err(usage(word)),
    }
}

fn created(word: &str, rest: &str) -> Result<String, AppError> {
    match cut(rest) {
        ("create", name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(usage(word)),
    }
}

fn history_len(rest: &str) -> Result<usize, AppError> {
    if rest.is_empty() {
        return Ok(HISTORY_LEN);
    }
    rest.parse().ok().filter(|len| (1..=HISTORY_LEN_MAX).contains(len)).ok_or_else(|| {
        let sentence =
            format!("`/history` takes a number from 1 to {HISTORY_LEN_MAX}. Nothing was done.");
        AppError::new("input.usage", sentence)
    })
}

fn device(rest: &str) -> Result<Command, AppError> {
    match rest {
        "renew" => Ok(Command::RenewDevice),
        "only-copy" => Ok(Command::OnlyCopy),
        _ => Err(usage("device")),
    }
}

/// An invite's public key, in hexadecimal digits like every id.
fn invite(rest: &str) -> Result<[u8; 32], AppError> {
    let id: spacepanda::IdentityId = rest.parse().map_err(|_| usage("revoke"))?;
    Ok(*id.as_bytes())
}

fn usage(word: &str) -> AppError {
    let usage = HELP.iter().map(|(usage, _)| *usage).find(|usage| cut(&usage[1..]).0 == word);
    let usage = usage.unwrap_or("/help");
    AppError::new("input.usage", format!("It is written `{usage}`. Nothing was done."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code(line: &str) -> &'static str {
        parse(line).unwrap_err().code()
    }

    #[test]
    fn plain_lines_are_messages_and_two_slashes_begin_one_with_a_slash() {
        assert_eq!(parse("  hello /quit").unwrap(), Command::Message("  hello /quit".into()));
        assert_eq!(parse("//quit").unwrap(), Command::Message("/quit".into()));
        assert_eq!(reply_name("//quit"), "message");
        assert_eq!(reply_name(""), "message");
    }

    #[test]
    fn every_command_of_the_help_is_read() {
        let id = "0".repeat(64);
        for (usage, _) in HELP {
            let line = usage
                .replace("[N]", "7")
                .replace("[--window HOURS]", "--window 24")
                .replace("INVITE", &id);
            assert!(parse(&line).is_ok(), "{usage}");
            assert_eq!(reply_name(&line), cut(&usage[1..]).0);
        }
        assert_eq!(parse("/history").unwrap(), Command::History(50));
        let named = |line, window_hours| {
            let made = Command::CreateServer { name: "Two Pandas".into(), window_hours };
            assert_eq!(parse(line).unwrap(), made);
        };
        named("/server create Two Pandas ", None);
        named("/server create --window 24 Two Pandas", Some(24));
    }

    #[test]
    fn what_cannot_be_read_says_how_it_is_written() {
        assert_eq!(
            (code(""), code(" \t"), code("/")),
            ("input.empty", "input.empty", "input.unknown")
        );
        assert_eq!(code("/dance"), "input.unknown");
        for line in ["/server create --window 7", "/server create --window x y"] {
            assert_eq!(code(line), "input.usage", "{line}");
        }
        for line in [
            "/device",
            "/device new",
            "/server",
            "/server create",
            "/channel make x",
            "/use",
            "/join",
            "/quit now",
        ] {
            assert_eq!(code(line), "input.usage", "{line}");
        }
        for line in ["/history 0", "/history 1001", "/history -1", "/history x", "/revoke ab"] {
            assert_eq!(code(line), "input.usage", "{line}");
        }
        assert!(parse("/use").unwrap_err().to_string().contains("`/use NAME-OR-ID`"));
    }
}
