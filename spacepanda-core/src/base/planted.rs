//! Bugs that can be planted by name, one at a time, to see whether the simulated world finds them.
//!
//! Each stands where the code guards against it. Without the feature `planted`, which no other feature
//! brings, none can be planted, and nothing of them is compiled.

#[cfg(feature = "planted")]
use std::cell::Cell;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $bug:ident = $name:literal,)+) => {
        /// A way in which this code could be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $what])+ $bug,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)+
                }
            }
        }
    };
}

bugs! {
    /// An envelope that is held is kept again.
    KeepsTwice = "keeps-twice",
    /// An envelope need not wait for the one before it in its log.
    IgnoresPrevious = "ignores-previous",
    /// What arrives is not passed on to those who are linked.
    PushesNothing = "pushes-nothing",
    /// What a peer holds is not served: all come by news alone.
    ServesNothingOld = "serves-nothing-old",
    /// One's own messages are sent, and not kept in one's own log.
    KeepsNoOwnEntry = "keeps-no-own-entry",
    /// What a step does is sent and told before it is saved.
    SendsBeforeSaving = "sends-before-saving",
    /// A save that fails is taken for one that was made.
    IgnoresFailedSaves = "ignores-failed-saves",
    /// An encryption does not save where its ratchet stands.
    ForgetsTheRatchet = "forgets-the-ratchet",
    /// A message that was sent is still waiting to be sent after a restart.
    KeepsDrafts = "keeps-drafts",
    /// A message that was accepted is not saved until it is sent.
    SavesNoDraft = "saves-no-draft",
    /// A message that waits to be opened is not noted in a row.
    ForgetsTheUnopened = "forgets-the-unopened",
    /// A state that was made or reached is not saved.
    ForgetsNewStates = "forgets-new-states",
    /// That a message was delivered is not saved.
    ForgetsDelivery = "forgets-delivery",
    /// That a join is complete is not saved.
    ForgetsTheJoin = "forgets-the-join",
    /// The key package that let one in is let go of at once.
    BurnsThePackage = "burns-the-package",
    /// States end as soon as they are left.
    ForgetsLeftStates = "forgets-left-states",
    /// Messages are sent though somebody who is out has a leaf.
    SendsToTheRemoved = "sends-to-the-removed",
    /// Somebody who is out keeps their leaf.
    RemovesNoLeaf = "removes-no-leaf",
    /// Commits are judged by what authority says now.
    JudgesByNow = "judges-by-now",
    /// Commits are judged by nothing but their signature.
    MergesAnyCommit = "merges-any-commit",
    /// Whatever was said is listed, whether it counts or not.
    ListsWhatDoesNotCount = "lists-what-does-not-count",
    /// Of many branches of a log only those are kept that came first.
    DropsTheUnnamed = "drops-the-unnamed",
    /// An invite lets in more than it is for.
    OverusesInvites = "overuses-invites",
    /// What somebody does counts though a removal of them, which they had not heard of, stands above.
    RemovalsTakeNothing = "removals-take-nothing",
    /// Ties between commits are broken by which came first.
    BreaksTiesByArrival = "breaks-ties-by-arrival",
    /// Ties between commits are broken by their ids.
    BreaksTiesById = "breaks-ties-by-id",
    /// The walk begins at the oldest state that is kept, not at the root.
    WalksFromTheOldestKept = "walks-from-the-oldest-kept",
    /// What somebody wrote after they were out supports a branch.
    CountsTheRemoved = "counts-the-removed",
    /// One votes after choosing anew.
    VotesAfterJudging = "votes-after-judging",
    /// Nobody votes.
    NeverVotes = "never-votes",
    /// A commit that cannot be reached is not pleaded for.
    NeverPleads = "never-pleads",
    /// Nobody answers a plea.
    AnswersNoPlea = "answers-no-plea",
    /// Newcomers have what was written before their time.
    SharesThePast = "shares-the-past",
    /// Newcomers lack the first that is for them.
    SharesTooLittle = "shares-too-little",
    /// A text is handed over to whoever asks for it.
    HandsOverToAnybody = "hands-over-to-anybody",
    /// Nobody hands a text over.
    HandsOverNothing = "hands-over-nothing",
    /// Whatever is handed over is taken for what its author wrote.
    TakesAnyHandOver = "takes-any-hand-over",
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in what this thread does from now on, instead of another; or none.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

impl Bug {
    /// Whether it is planted in this thread.
    #[cfg(feature = "planted")]
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    /// No bug is planted.
    #[cfg(not(feature = "planted"))]
    #[inline]
    pub const fn is_planted(self) -> bool {
        false
    }
}
