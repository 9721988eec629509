//! What people call things: by name where one alone fits, else by id.

use std::fmt::Display;

use spacepanda::AppError;

/// What a name or id can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Member,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Member => "member",
        }
    }

    fn unknown(self, text: &str) -> AppError {
        let (code, list) = match self {
            Self::Channel => ("channel.unknown", "/channels"),
            Self::Member => ("member.unknown", "/members"),
        };
        let word = self.word();
        AppError::new(
            code,
            format!("No {word} here is called `{text}`. Nothing was changed; `{list}` lists them."),
        )
    }
}

/// The one whose id or name is `text`; an id goes before a name.
///
/// # Errors
/// `name.ambiguous` if the name fits several, with their ids; `channel.unknown` or `member.unknown`
/// if it fits none.
pub(super) fn find<T: Display>(
    kind: Kind,
    text: &str,
    among: impl IntoIterator<Item = (T, String)>,
) -> Result<T, AppError> {
    let mut named = Vec::new();
    for (id, name) in among {
        if id.to_string() == text {
            return Ok(id);
        }
        if name == text {
            named.push(id);
        }
    }
    match (named.pop(), named.is_empty()) {
        (None, _) => Err(kind.unknown(text)),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            named.push(last);
            Err(ambiguous(kind, text, &named))
        }
    }
}

fn ambiguous<T: Display>(kind: Kind, text: &str, fitting: &[T]) -> AppError {
    let ids: Vec<_> = fitting.iter().map(T::to_string).collect();
    AppError::new(
        "name.ambiguous",
        format!(
            "Several {}s are called `{text}`: {}. Nothing was changed; name the one you mean by its \
             id.",
            kind.word(),
            ids.join(", ")
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<u32, AppError> {
        let among = [(17, "general"), (18, "pandas"), (19, "pandas"), (20, "17")];
        find(Kind::Channel, text, among.map(|(id, name)| (id, name.to_owned())))
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_must_fit_one_alone() {
        assert_eq!(found("general").unwrap(), 17);
        assert_eq!(found("17").unwrap(), 17);
        assert_eq!(found("19").unwrap(), 19);
        assert_eq!(found("bears").unwrap_err().code(), "channel.unknown");
        let ambiguous = found("pandas").unwrap_err();
        assert_eq!(ambiguous.code(), "name.ambiguous");
        assert!(ambiguous.to_string().contains("18, 19"), "{ambiguous}");
    }
}
