use minicbor::{Decode, Encode};

/// Whether a store holds everything that its device ever wrote, and alone: only then may it write more,
/// since what is encrypted or numbered twice breaks keys and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Continuity {
    /// It does, as far as is known.
    #[n(0)]
    Sure,
    /// Nothing says that it does: nothing is written where no member has been asked yet.
    #[n(1)]
    Unsure,
    /// It is older than what its device has written: the device never writes again.
    #[n(2)]
    RolledBack,
    /// Another copy of it writes with the same device: nothing is written until its person decides.
    #[n(3)]
    Cloned,
    /// Another device of the same identity revoked this one: it never writes again.
    #[n(4)]
    Revoked,
}

impl Continuity {
    /// Its name, as interfaces write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Unsure => "unsure",
            Self::RolledBack => "rolled_back",
            Self::Cloned => "cloned",
            Self::Revoked => "revoked",
        }
    }

    /// What it means and what can be done, for people.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Sure => "this device's logs go on from here",
            Self::Unsure => {
                "nothing outside this data folder says that it is the latest copy: nothing is sent \
                 until a member is reached who knows; if there is no other copy, say so with \
                 `/device only-copy`"
            }
            Self::RolledBack => {
                "this data folder is older than what this device has already sent: restored from a \
                 copy? Nothing is written with this device any more; the node goes on as a new one"
            }
            Self::Cloned => {
                "another copy of this data folder writes with the same device: nothing is written \
                 here until you decide; end the other copy, and make this one a new device with \
                 `/device renew`"
            }
            Self::Revoked => {
                "another device of yours has revoked this one, as a copy of this data folder does when \
                 it becomes a new device: nothing is written here any more; to go on here as well, make \
                 this a new device with `/device renew`"
            }
        }
    }
}

/// What was found outside the store about how far its device had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The store is new, or at least as far as what is known of it.
    Agrees,
    /// Nothing is known, and the store is not new.
    Unknown,
    /// The device had come further than the store.
    Ahead,
    /// Another process runs with the same device.
    Shared,
}

/// Why nothing is written in a server now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// A member is being asked how far they saw this device's logs; that takes a moment.
    Comparing,
    /// See [`Continuity::Unsure`].
    Unsure,
    /// See [`Continuity::RolledBack`].
    RolledBack,
    /// See [`Continuity::Cloned`].
    Cloned,
    /// See [`Continuity::Revoked`].
    Revoked,
}

impl Hold {
    /// The stable code of what is refused meanwhile.
    pub fn code(self) -> &'static str {
        match self {
            Self::Comparing => "device.comparing",
            Self::Unsure => "device.unsure",
            Self::RolledBack => "device.rolled_back",
            Self::Cloned => "device.cloned",
            Self::Revoked => "device.revoked",
        }
    }

    /// What it means and what can be done, for people.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Comparing => "a member is being asked how far they saw this device's logs",
            Self::Unsure => Continuity::Unsure.explain(),
            Self::RolledBack => Continuity::RolledBack.explain(),
            Self::Cloned => Continuity::Cloned.explain(),
            Self::Revoked => Continuity::Revoked.explain(),
        }
    }
}
