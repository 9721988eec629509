use std::{ops::AddAssign, time::Duration};

/// What must hold and did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, {}.{:06} s: {what}", at.as_secs(), at.subsec_micros())]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// When, since the world began.
    pub at: Duration,
    /// What does not hold, for people.
    pub what: String,
}

impl Violation {
    /// What does not hold, without the numbers and ids of this run: two violations of one kind are
    /// likely to have one cause.
    pub fn kind(&self) -> String {
        let kind = self.what.split(&['(', '[', '{', ':'][..]).next().unwrap_or_default();
        kind.chars().filter(|c| !c.is_ascii_digit()).collect()
    }
}

/// What a run was like. Two runs of one plan have equal outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The hash of commands, envelopes, what was told and states, in order.
    pub trace_hash: [u8; 32],
    /// What was counted.
    pub totals: Totals,
}

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is counted in one run, or in many together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Totals {
            $($(#[$doc])* pub $name: usize,)*
            /// How long it went on, in virtual time.
            pub took: Duration,
        }

        impl Totals {
            /// Each count with its name.
            pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Self) {
                let deepest = self.deepest_switch.max(other.deepest_switch);
                $(self.$name += other.$name;)*
                self.deepest_switch = deepest;
                self.took += other.took;
            }
        }
    };
}

totals! {
    /// Nodes.
    nodes,
    /// Members in good standing in the end.
    members,
    /// Messages accepted.
    messages,
    /// Messages that somebody could not read in the end who lists them.
    unread,
    /// Messages accepted that are for somebody and held by somebody, and that nobody reads in the end.
    lost,
    /// Messages accepted that only those held who left, were put out, went for ever, or went on from an older
    /// copy, before anybody else had them.
    lost_with_holders,
    /// Commits.
    commits,
    /// States on which several commits were made.
    forks,
    /// How often somebody left the path they were on for another.
    switches,
    /// The most commits that anybody left behind at once.
    deepest_switch,
    /// Votes.
    votes,
    /// Requests to be let in anew.
    pleas,
    /// Messages that somebody handed over to somebody else.
    handed_over,
    /// Groups begun anew.
    restarts,
    /// Key packages that have added somebody in more than one state, on different branches.
    packages_reused,
    /// Leaves renewed that a last-resort key package had brought.
    last_resorts_renewed,
    /// People removed, or who left.
    removals,
    /// Crashes.
    crashes,
    /// Nodes that went on from an old copy.
    rollbacks,
    /// Nodes of which a copy ran beside them.
    clones,
    /// Nodes that fell asleep.
    sleeps,
    /// Saves that failed.
    failed_saves,
    /// Reads that failed.
    failed_loads,
    /// What members did who mean harm.
    deeds,
    /// Links lost.
    losses,
    /// Links made, counted at each end.
    links,
    /// Frames sent.
    frames,
    /// Steps of the world.
    happenings,
}
