use std::path::PathBuf;

use spacepanda_core::base::{Error, ErrorKind, Result};
use url::Url;

/// Returns the file that `sqlite:///folder/file` (absolute) or `sqlite:folder/file` (relative) names,
/// its percent signs decoded.
///
/// # Errors
/// `Config` for a URL of another scheme; with a host, a query or a fragment; without a file; or with
/// what no file's name can hold. The message says what a right one looks like, and repeats nothing of
/// the wrong one, which may hold a secret.
pub fn path_from_url(url: &Url) -> Result<PathBuf> {
    if url.scheme() != "sqlite" {
        return Err(wrong("it has another scheme"));
    }
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err(wrong("it names a host, perhaps for want of a third slash"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has options, and there are none"));
    }
    match decode(url.path()) {
        Some(path) if path.is_empty() || path.ends_with('/') => Err(wrong("it names no file")),
        Some(path) => Ok(PathBuf::from(path)),
        None => Err(wrong("what follows a percent sign is no character of a file's name")),
    }
}

fn wrong(why: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!(
            "the URL of the SQLite store cannot be used: {why}. Write `sqlite:///folder/file.db`, or \
             `sqlite:folder/file.db` for a file below the current folder"
        ),
    )
}

/// Decodes percent signs (RFC 3986, section 2.1); none if the result is not UTF-8 or holds a zero.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.contains('\0'))
}

fn hex_digit(byte: u8) -> Option<u8> {
    // A digit is below 16.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<PathBuf, ErrorKind> {
        path_from_url(&Url::parse(text).unwrap()).map_err(|error| error.kind())
    }

    #[test]
    fn an_absolute_and_a_relative_path_are_told_apart() {
        assert_eq!(path("sqlite:///a/b.db"), Ok(PathBuf::from("/a/b.db")));
        assert_eq!(path("sqlite:/a/b.db"), Ok(PathBuf::from("/a/b.db")));
        assert_eq!(path("sqlite:a/b.db"), Ok(PathBuf::from("a/b.db")));
        assert_eq!(path("sqlite:../b.db"), Ok(PathBuf::from("../b.db")));
    }

    #[test]
    fn percent_signs_are_decoded() {
        assert_eq!(path("sqlite:///a%20b/%c3%a9+.db"), Ok(PathBuf::from("/a b/é+.db")));
        assert_eq!(path("sqlite:a%3Fb"), Ok(PathBuf::from("a?b")));
        assert_eq!(path("sqlite:///a b"), Ok(PathBuf::from("/a b")));
    }

    #[test]
    fn what_names_no_file_is_refused() {
        let texts = [
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///a/",
            "sqlite://host/a",
            "sqlite://a",
            "sqlite:///a?mode=ro",
            "sqlite:a?b",
            "sqlite:a#b",
            "sqlite:a%",
            "sqlite:a%4",
            "sqlite:a%zz",
            "sqlite:a%00",
            "sqlite:%ff",
            "memory:a",
            "file:///a",
        ];
        for text in texts {
            assert_eq!(path(text), Err(ErrorKind::Config), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_right_and_keeps_the_wrong_one_to_itself() {
        let url = Url::parse("sqlite://user:hunter2@host/a").unwrap();
        let message = path_from_url(&url).unwrap_err().to_string();
        assert!(message.contains("sqlite:///folder/file.db"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
