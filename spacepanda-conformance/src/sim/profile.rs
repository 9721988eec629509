use std::{fmt, str::FromStr};

/// Whether nodes may be away for longer than a group's old states are kept: they heal only where they
/// can plead and are let in anew.
pub const LONG_ABSENCES: bool = true;
/// Whether people who were removed or left come in again. What was written in between is not for them.
pub const COMING_BACK: bool = true;
/// Whether devices may go for ever.
pub const NEVER_RETURNING: bool = true;
/// Whether nodes may go on from an old copy of what they keep: they become new devices and come in again.
pub const ROLLBACKS: bool = true;
/// Whether a copy of a node may run beside it: both notice, and their person makes one of them a new device.
pub const CLONES: bool = true;

/// How bad a world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Profile {
    /// Nothing breaks; messages take their time all the same.
    Calm,
    /// A random subset of all faults.
    #[default]
    Faulty,
    /// As [`Faulty`](Self::Faulty), with one or two members who mean harm.
    Hostile,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Calm, Self::Faulty, Self::Hostile];

    /// The profile of a seed where none is asked for: of ten in a row three are hostile, three calm.
    pub fn of(seed: u64) -> Self {
        match seed % 10 {
            0 | 3 | 6 => Self::Calm,
            2 | 5 | 8 => Self::Hostile,
            _ => Self::Faulty,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Faulty => "faulty",
            Self::Hostile => "hostile",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| format!("there is no profile {text:?}: calm, faulty or hostile"))
    }
}
