use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::base::limits::NAME_CHARS_MAX;

/// A text that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NAME_CHARS_MAX} characters and no control characters")]
pub struct NameError;

/// What somebody is called: 1 to [`NAME_CHARS_MAX`] characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Takes `text` as a name, as it is.
    ///
    /// # Errors
    /// If it is empty, too long, or holds a control character.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let sound = !text.is_empty()
            && text.chars().take(NAME_CHARS_MAX + 1).count() <= NAME_CHARS_MAX
            && !text.chars().any(char::is_control);
        if sound { Ok(Self(text.to_owned())) } else { Err(NameError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
        Self::new(d.str()?).map_err(|_| decode::Error::message("not a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_without_control_characters() {
        assert!(Name::new("Ada Lovelace 🐼").is_ok());
        assert!(Name::new(&"é".repeat(NAME_CHARS_MAX)).is_ok());
        for text in ["", "a\nb", "\u{7f}", &"é".repeat(NAME_CHARS_MAX + 1)] {
            assert_eq!(Name::new(text), Err(NameError), "{text:?}");
        }
    }
}
