//! What a terminal is shown: colours only where there is one, and nothing that could drive it.

use std::{
    env,
    fmt::{self, Display},
    io::{self, IsTerminal as _},
};

use spacepanda::Timestamp;

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Dim,
    Good,
    Bad,
    Name,
}

/// Whether standard output understands colours, and its person wants them.
pub(super) fn has_colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none()
}

/// The text in its tone, or the text alone.
pub(super) fn toned(text: impl Display, tone: Tone, colours: bool) -> String {
    if !colours {
        return text.to_string();
    }
    let code = match tone {
        Tone::Dim => "2",
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Name => "1;36",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// What somebody else wrote, on one line and without what would move the cursor or turn the text round.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '⏎',
            '\t' => ' ',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '·',
            control if control.is_control() => '·',
            other => other,
        })
        .collect()
}

/// The beginning of an id, enough for people to tell a few apart.
pub(super) fn short(id: impl Display) -> String {
    id.to_string().chars().take(8).collect()
}

/// A time of day, in UTC.
pub(super) struct Clock(pub(super) Timestamp);

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.millis() / 1_000 % 86_400;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

/// A day, in UTC, as year, month and day.
pub(super) struct Day(pub(super) Timestamp);

impl Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut year, mut days) = (1970, self.0.millis() / 86_400_000);
        while days >= year_len(year) {
            days -= year_len(year);
            year += 1;
        }
        let mut month = 1;
        while days >= month_len(year, month) {
            days -= month_len(year, month);
            month += 1;
        }
        write!(f, "{year}-{month:02}-{:02}", days + 1)
    }
}

fn year_len(year: u64) -> u64 {
    (1..=12).map(|month| month_len(year, month)).sum()
}

fn month_len(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_those_of_the_calendar() {
        for (seconds, day, time) in [
            (0, "1970-01-01", "00:00:00"),
            (951_782_399, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "00:00:00"),
            (1_798_761_600, "2027-01-01", "00:00:00"),
            (4_102_444_799, "2099-12-31", "23:59:59"),
        ] {
            let at = Timestamp::from_micros(seconds * 1_000_000);
            assert_eq!((Day(at).to_string(), Clock(at).to_string()), (day.into(), time.into()));
        }
    }

    #[test]
    fn nothing_that_others_write_drives_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\u{202e}c\nd"), "a·[2Jb··c⏎d");
        assert_eq!(toned("x", Tone::Bad, false), "x");
        assert_eq!(toned("x", Tone::Bad, true), "\x1b[31mx\x1b[0m");
    }
}
