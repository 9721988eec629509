use crate::base::{DeviceId, EnvelopeId, IdentityId, StateId};

/// A root: the first state of a group, with its author's leaf alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The envelope that says so.
    pub envelope: EnvelopeId,
    /// How often the group was started over before.
    pub generation: u32,
    /// The state it begins with.
    pub state: StateId,
    /// Whose device made it.
    pub author: IdentityId,
    /// The one leaf.
    pub device: DeviceId,
}

/// An addition that a commit's header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The device whose leaf is added.
    pub device: DeviceId,
    /// Whose device it is, by its certificate.
    pub identity: IdentityId,
    /// The reference of the key package that is used.
    pub package: [u8; 32],
}

/// What the header of a `Commit` says. None of it is proven but its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The committer.
    pub device: DeviceId,
    /// Whose device the committer is.
    pub identity: IdentityId,
    /// The state it was made on.
    pub parent: StateId,
    /// The state it says it makes.
    pub child: StateId,
    /// The leaves it adds.
    pub adds: Vec<Addition>,
    /// The devices whose leaves it removes.
    pub removes: Vec<DeviceId>,
    /// The nearest commit before it in its own log, followed by `previous`.
    pub own_previous: Option<EnvelopeId>,
}

/// A vote: its author stands on the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Who stands there.
    pub identity: IdentityId,
    /// Where.
    pub state: StateId,
}

/// What the tree asks of authority, of the log and of what is held, as known now.
pub trait View {
    /// Whether what this envelope's author says in it supports anything: `false` if a counting removal of
    /// them does not have it in its past, and no re-admission that names the removal is in its own.
    fn counts(&self, envelope: &EnvelopeId) -> bool;

    /// The place in the genesis, then in the order of the admissions that count; lower is more senior,
    /// `u64::MAX` for whoever has no place.
    fn seniority(&self, identity: &IdentityId) -> u64;

    /// The standing with which a root counts; `None` if authority entitles nobody to it.
    fn standing(&self, root: &Root) -> Option<u64>;

    /// Whether this person may not be in the group, by authority as known.
    fn is_out(&self, identity: &IdentityId) -> bool;

    /// Whether the commit's body is held.
    fn body_held(&self, commit: &EnvelopeId) -> bool;

    /// Whether `earlier` is in the causal past of `envelope`. Asked only where several envelopes claim to
    /// have made one state.
    fn knows(&self, envelope: &EnvelopeId, earlier: &EnvelopeId) -> bool;

    /// Whether the added device asked, in the commit's past, to be added again by just that package.
    /// Asked only of a commit that removes and adds one device.
    fn pleaded(&self, commit: &EnvelopeId, addition: &Addition) -> bool;
}
