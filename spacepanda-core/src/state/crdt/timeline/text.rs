use std::fmt;

use minicbor::{Decode, Encode};

use crate::base::limits::TEXT_LEN_MAX;

/// Why something is no text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty.
    #[error("a message has at least one character")]
    Empty,
    /// It is longer than a message may be.
    #[error("a message has at most {TEXT_LEN_MAX} bytes")]
    TooLong,
}

/// The text of a message: 1 to 32 768 bytes of UTF-8. Its `Debug` shows the length, never the words.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        check(&text)?;
        Ok(Self(text))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), TextError> {
    match text.len() {
        0 => Err(TextError::Empty),
        1..=TEXT_LEN_MAX => Ok(()),
        _ => Err(TextError::TooLong),
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// What proves a text, with its bytes, by its author's commitment. Its `Debug` shows nothing: the words
/// could be guessed by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

impl<C> Encode<C> for Salt {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Salt {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| minicbor::decode::Error::message("a salt has 32 bytes"))
    }
}

impl<C> Encode<C> for Text {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Text {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let text = d.str()?;
        check(text).map_err(|_| minicbor::decode::Error::message("not a text"))?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded() {
        assert_eq!(Text::new(""), Err(TextError::Empty));
        assert!(Text::new("a".repeat(TEXT_LEN_MAX)).is_ok());
        assert_eq!(Text::new("a".repeat(TEXT_LEN_MAX + 1)), Err(TextError::TooLong));
    }

    #[test]
    fn a_text_is_never_printed_by_debug() {
        assert_eq!(format!("{:?}", Text::new("secret").unwrap()), "Text(6 bytes)");
    }
}
