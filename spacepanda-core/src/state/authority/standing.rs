use crate::base::IdentityId;

/// How high somebody or something stands: a number that means the same in every past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing(u64);

impl Standing {
    /// Every member's.
    pub const EVERYONE: Self = Self(0);
    /// The genesis': above the founder.
    pub const GENESIS: Self = Self(u64::MAX);

    /// An owner's, by the place in the genesis; the founder's is 0.
    pub const fn owner(place: u32) -> Self {
        Self(u64::MAX - 1 - place as u64)
    }

    /// The number itself, for interfaces and hashes.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Who is how senior, least first: by the place in the genesis, then by the first admission that
/// counts, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seniority {
    /// An owner of the genesis, by place.
    Genesis(u32),
    /// Somebody admitted: `order` and id of the admission.
    Admitted(u64, crate::base::EnvelopeId),
    /// Somebody whom nothing that counts admitted.
    Stranger(IdentityId),
}
