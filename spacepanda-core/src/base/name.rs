use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use super::limits::NAME_CHARS_MAX;

/// Bytes of the longest name: a character takes four at most.
const NAME_LEN_MAX: usize = 4 * NAME_CHARS_MAX;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of it.
    #[error("a name has at least one character")]
    Empty,
    /// Too many characters.
    #[error("a name has at most {NAME_CHARS_MAX} characters")]
    TooLong,
    /// A control character, such as a line break.
    #[error("a name has no control characters")]
    Control,
    /// A space at one of its ends.
    #[error("a name neither begins nor ends with a space")]
    Padded,
}

/// What a person, server or channel is called: 1 to [`NAME_CHARS_MAX`] characters, none of them a
/// control character (U+0000 to U+001F, U+007F to U+009F), with no space (U+0020) at its ends.
///
/// The rule names code points, so that no version of a Unicode table ever decides what counts. In CBOR
/// it is a text, which is taken as it is or refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes the name that somebody typed; what is white at its ends is left away.
    ///
    /// # Errors
    /// If what is left is no name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::exact(text.trim())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn exact(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_LEN_MAX || text.chars().count() > NAME_CHARS_MAX {
            return Err(NameError::TooLong);
        }
        if text.chars().any(is_control) {
            return Err(NameError::Control);
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(NameError::Padded);
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_control(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Self::exact(d.str()?).map_err(|_| decode::Error::message("not a name"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::cbor;

    #[test]
    fn a_name_is_trimmed_when_it_is_typed() {
        assert_eq!(Name::new("  general\t\n").unwrap().as_str(), "general");
    }

    #[test]
    fn what_is_no_name_is_refused_by_its_kind() {
        assert_eq!(Name::new(" \u{2003} "), Err(NameError::Empty));
        assert_eq!(Name::new("two\nlines"), Err(NameError::Control));
        for text in ["bell\u{7}", "a\u{7f}b", "a\u{9f}b"] {
            assert_eq!(Name::new(text), Err(NameError::Control), "{text:?}");
        }
        assert_eq!(Name::exact(" padded"), Err(NameError::Padded));
    }

    #[test]
    fn a_name_has_a_hundred_characters_whatever_their_bytes() {
        assert!(Name::new(&"\u{1f43c}".repeat(100)).is_ok());
        assert_eq!(Name::new(&"a".repeat(101)), Err(NameError::TooLong));
    }

    #[test]
    fn a_name_is_a_text_in_cbor() {
        let name = Name::new("Ada \u{1f43c}").unwrap();
        let bytes = cbor::encode(&name);
        assert_eq!(bytes, b"\x68Ada \xf0\x9f\x90\xbc");
        assert_eq!(cbor::decode::<Name>(&bytes), Ok(name));
    }

    #[test]
    fn a_text_that_is_no_name_is_not_decoded() {
        let long = "a".repeat(NAME_CHARS_MAX + 1);
        for text in ["", " padded", "padded ", "two\nlines", &long] {
            assert!(cbor::decode::<Name>(&cbor::encode(&text)).is_err(), "{text:?}");
        }
    }
}
