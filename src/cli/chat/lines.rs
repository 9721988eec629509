//! Lines of input, read on a thread of their own: a read of a terminal cannot be given up.

use std::{
    io::{self, BufRead, Read as _},
    thread,
};

use spacepanda::AppError;
use tokio::sync::mpsc;

/// Bytes of a line; a message's text is shorter.
const LINE_LEN_MAX: u64 = 64 * 1024;
/// Lines that are read ahead.
const AHEAD_MAX: usize = 16;

/// A line, or why it is none.
pub(super) type Line = Result<String, AppError>;

/// The lines of standard input, until it ends.
pub(super) fn standard_input() -> mpsc::Receiver<Line> {
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(line)) = next_line(&mut input) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line without its ending; `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    // One more for the ending itself.
    if input.take(LINE_LEN_MAX + 1).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() as u64 > LINE_LEN_MAX {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(AppError::new(
            "input.too_long",
            format!(
                "A line has at most {LINE_LEN_MAX} bytes. Nothing was sent; write it in several."
            ),
        ))));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(String::from_utf8(bytes).map_err(|_| {
        AppError::new(
            "input.not_utf8",
            "The line is no UTF-8. Nothing was sent; write it in UTF-8.",
        )
    })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(mut bytes: &[u8]) -> Vec<Result<String, &'static str>> {
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut bytes).unwrap() {
            lines.push(line.map_err(|error| error.code()));
        }
        lines
    }

    #[test]
    fn lines_lose_their_endings_and_the_last_needs_none() {
        let read = lines(b"a\n\nb\r\n  c");
        assert_eq!(read, ["a", "", "b", "  c"].map(|line| Ok(line.to_owned())));
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_refused_and_the_next_is_read() {
        let longest = "x".repeat(64 * 1024);
        let read = lines(format!("{longest}x\n{longest}\nb").as_bytes());
        assert_eq!(read, [Err("input.too_long"), Ok(longest), Ok("b".to_owned())]);
        assert_eq!(lines(b"\xff\nb"), [Err("input.not_utf8"), Ok("b".to_owned())]);
    }
}
