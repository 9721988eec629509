/// Something that somebody does who means harm. Whoever does any of it is a hostile member: their node
/// runs like the others, and somebody beside it who holds its keys does the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub who: usize,
    /// What.
    pub malice: Malice,
    /// Decides the rest: to whom, how often, of what.
    pub number: u32,
}

macro_rules! malices {
    ($($(#[$doc:meta])* $name:ident $word:literal,)*) => {
        /// What hostile members do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Malice {
            $($(#[$doc])* $name,)*
        }

        impl Malice {
            /// All of it.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in a plan.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

malices! {
    /// Two envelopes with one number, each for somebody else.
    Fork "fork",
    /// Envelopes that are stamped early and know little.
    Backdate "backdate",
    /// Many small envelopes.
    Flood "flood",
    /// Address records without end, false ones among them.
    Addresses "addresses",
    /// Operations that they may not write.
    Usurp "usurp",
    /// Admissions by requests that were granted before, or of nobody.
    Readmit "readmit",
    /// Commits that they may not make, or that are not what they say.
    Commit "commit",
    /// Many commits on one parent, for the least child.
    Grind "grind",
    /// Votes for states that lose or that are none.
    Vote "vote",
    /// Requests to be let in anew, again and again.
    Plead "plead",
    /// Envelopes, bodies and frames of before, here and where they do not belong.
    Replay "replay",
    /// Something said to some only, or without what it says.
    Withhold "withhold",
    /// Bytes that are nothing.
    Garbage "garbage",
    /// The first state of a generation that they may not begin.
    Root "root",
    /// Untrue answers to whatever is asked.
    Lie "lie",
    /// Requests to come in by invites that they know of.
    Intrude "intrude",
    /// Commits that hold more than their headers name.
    Smuggle "smuggle",
    /// Questions for messages that are not for them.
    Ask "ask",
    /// A commit that adds a device for which nobody vouches yet, another after it, and the device's own word,
    /// in another order for everybody.
    Vouch "vouch",
    /// So many beginnings of one log that not all can be named; or a commit that everybody refuses, and a
    /// message that waits for what it makes.
    Snare "snare",
    /// Beginnings of one log, others for everybody, and more than are kept of those that nobody names.
    Crowd "crowd",
}

impl Deed {
    /// Its word and numbers, as [`read`](Self::read) takes them.
    pub(super) fn words(&self) -> (&'static str, Vec<i64>) {
        // Numbers of nodes are small.
        (self.malice.word(), vec![self.who as i64, i64::from(self.number)])
    }

    pub(super) fn read(word: &str, numbers: &[i64]) -> Option<Self> {
        let malice = Malice::ALL.iter().copied().find(|malice| malice.word() == word)?;
        let &[who, number] = numbers else { return None };
        Some(Self { who: usize::try_from(who).ok()?, malice, number: u32::try_from(number).ok()? })
    }
}
