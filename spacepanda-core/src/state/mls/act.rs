use crate::state::authority::{Act, CommitFacts, Need};

impl Act for CommitFacts {
    fn need(&self) -> Need {
        Need::Commit(self.clone())
    }
}
