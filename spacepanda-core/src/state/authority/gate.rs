use crate::state::envelope::{Opened, Origin};

/// What the gate let through: every function that changes state takes one, and only the gate makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized<T> {
    origin: Origin,
    content: T,
}

impl<T> Authorized<T> {
    /// Lets `opened` through. The gate alone calls it, after it has judged.
    pub(super) fn let_through(opened: Opened<T>) -> Self {
        let (origin, content) = opened.into_parts();
        Self { origin, content }
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it says.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// What it says, owned.
    pub fn into_content(self) -> T {
        self.content
    }

    /// Lets content through that a unit test judges by itself.
    #[cfg(test)]
    pub(in crate::state) fn in_test(origin: Origin, content: T) -> Self {
        Self { origin, content }
    }
}
