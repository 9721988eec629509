use spacepanda_core::base::{Error, ErrorKind, Result};
use url::Url;

/// Accepts `memory:` and nothing else.
///
/// # Errors
/// `Config` for a URL of another scheme or with anything after the colon; the message says what a
/// right one looks like, and repeats nothing of the wrong one, which may hold a secret.
pub fn check_url(url: &Url) -> Result<()> {
    if url.as_str() == "memory:" {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        "a store in memory has no place and no options: its URL is `memory:` and nothing more",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), ErrorKind> {
        check_url(&Url::parse(text).unwrap()).map_err(|error| error.kind())
    }

    #[test]
    fn the_bare_scheme_is_accepted() {
        assert_eq!(check("memory:"), Ok(()));
    }

    #[test]
    fn a_place_or_an_option_is_refused() {
        for text in
            ["memory:a", "memory:///a", "memory://host", "memory:?a=b", "memory:#a", "sqlite:a"]
        {
            assert_eq!(check(text), Err(ErrorKind::Config), "{text}");
        }
    }
}
