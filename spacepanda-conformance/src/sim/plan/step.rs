/// Something that somebody does. People are numbers of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `who` joins, or comes in again, by the newest invite of `by`, else by the founder's first.
    Join {
        /// Who.
        who: usize,
        /// By whose invite.
        by: usize,
    },
    /// `who` writes a message in a channel they know.
    Say {
        /// Who.
        who: usize,
    },
    /// `who` reads what is to be seen.
    Look {
        /// Who.
        who: usize,
    },
    /// `who` makes a channel; anybody but the founder may not.
    Channel {
        /// Who.
        who: usize,
    },
    /// `who` makes an invite for `uses` people, 0 for any number.
    Invite {
        /// Who.
        who: usize,
        /// For how many.
        uses: u32,
    },
    /// `who` revokes the newest invite of `whose`.
    Revoke {
        /// Who.
        who: usize,
        /// Whose.
        whose: usize,
    },
    /// `who` removes `whom`; anybody but the founder may not.
    Remove {
        /// Who.
        who: usize,
        /// Whom.
        whom: usize,
    },
    /// `who` leaves.
    Leave {
        /// Who.
        who: usize,
    },
    /// `who` goes on with a new device.
    Renew {
        /// Who.
        who: usize,
    },
}

impl Step {
    /// Who does it.
    pub fn who(&self) -> usize {
        match *self {
            Self::Join { who, .. }
            | Self::Say { who }
            | Self::Look { who }
            | Self::Channel { who }
            | Self::Invite { who, .. }
            | Self::Revoke { who, .. }
            | Self::Remove { who, .. }
            | Self::Leave { who }
            | Self::Renew { who } => who,
        }
    }

    /// Whether it is done later where it cannot be done now.
    pub(in crate::sim) fn matters(&self) -> bool {
        !matches!(self, Self::Say { .. } | Self::Look { .. } | Self::Revoke { .. })
    }

    /// Its word and numbers, as [`read`](Self::read) takes them.
    pub(super) fn words(&self) -> (&'static str, Vec<i64>) {
        let (word, numbers) = match *self {
            Self::Join { who, by } => ("join", vec![who, by]),
            Self::Say { who } => ("say", vec![who]),
            Self::Look { who } => ("look", vec![who]),
            Self::Channel { who } => ("channel", vec![who]),
            Self::Invite { who, uses } => ("invite", vec![who, uses as usize]),
            Self::Revoke { who, whose } => ("revoke", vec![who, whose]),
            Self::Remove { who, whom } => ("remove", vec![who, whom]),
            Self::Leave { who } => ("leave", vec![who]),
            Self::Renew { who } => ("renew", vec![who]),
        };
        // Numbers of nodes and uses are small.
        (word, numbers.into_iter().map(|number| number as i64).collect())
    }

    pub(super) fn read(word: &str, numbers: &[i64]) -> Option<Self> {
        let numbers: Option<Vec<usize>> =
            numbers.iter().map(|n| usize::try_from(*n).ok()).collect();
        Some(match (word, numbers?.as_slice()) {
            ("join", &[who, by]) => Self::Join { who, by },
            ("say", &[who]) => Self::Say { who },
            ("look", &[who]) => Self::Look { who },
            ("channel", &[who]) => Self::Channel { who },
            ("invite", &[who, uses]) => Self::Invite { who, uses: u32::try_from(uses).ok()? },
            ("revoke", &[who, whose]) => Self::Revoke { who, whose },
            ("remove", &[who, whom]) => Self::Remove { who, whom },
            ("leave", &[who]) => Self::Leave { who },
            ("renew", &[who]) => Self::Renew { who },
            _ => return None,
        })
    }
}
