use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, StagedWelcome, Welcome, WelcomeError,
    tls_codec::Deserialize,
};

use super::{
    Group, MlsError, PackageRef, Rows, Settings, facts,
    overlay::{Overlay, RowError, Step},
    settings, shape,
    version::{self, Program},
};
use crate::{
    base::{
        DeviceId, Secret, StateId,
        limits::{BODY_LEN_MAX, TREE_LEN_MAX},
    },
    state::identity::VerifiedCertificate,
};

/// A state that a welcome leads to, to look at before one enters it.
#[derive(Debug)]
pub struct Joined {
    group: Group,
    leaves: Vec<VerifiedCertificate>,
    sender: DeviceId,
}

/// Opens a welcome with the private part of the key package that it is for, and the tree of the state.
///
/// `private` is only read: if this addition loses its race, the same package opens the next welcome.
/// Every leaf is checked to be that of a certified device with the capabilities that it must have.
///
/// # Errors
/// [`MlsError::Malformed`] if welcome or tree are none; [`MlsError::NotForMe`] if the welcome is for
/// other packages; [`MlsError::Tree`] if the tree is not the state's; [`MlsError::Settings`] and
/// [`MlsError::Leaf`] if the group is none of ours; else [`MlsError::Library`].
pub fn join(
    welcome: &[u8],
    tree: &[u8],
    private: &Rows,
    seed: &Secret<32>,
) -> Result<Joined, MlsError> {
    let welcome = parse_welcome(welcome)?;
    let overlay = Overlay::new_scope(private.clone());
    let step = Step::new(&overlay, seed, "join");
    let staged = StagedWelcome::build_from_welcome(&step, &settings::join_config(), welcome)
        .map_err(refused)?
        .skip_lifetime_validation()
        .with_ratchet_tree(parse_tree(tree)?)
        .build()
        .map_err(refused)?;
    let sender = staged.welcome_sender().map_err(MlsError::library)?;
    let sender = DeviceId::from_slice(sender.signature_key().as_slice()).ok_or(MlsError::Leaf)?;
    let mls = staged.into_group(&step).map_err(refused)?;
    let rows = overlay.rows();
    let own = rows.iter().filter(|(key, _)| private.get(key).is_none());
    let own = own.map(|(key, value)| (key.to_vec(), value.clone())).collect();
    let group = Group::of(mls, Overlay::new_scope(own), Program::THIS)?;
    let leaves = checked_leaves(&group)?;
    Ok(Joined { group, leaves, sender })
}

/// Whether a welcome holds something for the package of this reference. Bytes that are no welcome do not.
pub fn welcome_is_for(welcome: &[u8], reference: &PackageRef) -> bool {
    parse_welcome(welcome).is_ok_and(|welcome| {
        welcome.secrets().iter().any(|secret| secret.new_member().as_slice() == reference)
    })
}

impl Joined {
    /// The state's id, computed: the commit must name it as its child.
    pub fn state_id(&self) -> StateId {
        self.group.state_id()
    }

    /// The group's id.
    pub fn group_id(&self) -> &[u8] {
        self.group.group_id()
    }

    /// What the group was made with.
    pub fn settings(&self) -> Settings {
        self.group.settings()
    }

    /// The certificates in its leaves, in the order of the tree.
    pub fn leaves(&self) -> &[VerifiedCertificate] {
        &self.leaves
    }

    /// The device whose commit it was.
    pub fn sender(&self) -> DeviceId {
        self.sender
    }

    /// Enters the state: from here on its rows are a scope to be kept.
    pub fn enter(self) -> Group {
        self.group
    }
}

fn checked_leaves(group: &Group) -> Result<Vec<VerifiedCertificate>, MlsError> {
    if !version::spoken_by_all(group.leaf_nodes()).contains(&group.version()) {
        return Err(MlsError::Leaf);
    }
    group
        .leaf_nodes()
        .map(|leaf| match facts::of_leaf(leaf) {
            facts if facts.capable && facts.endless => facts.certificate.ok_or(MlsError::Leaf),
            _ => Err(MlsError::Leaf),
        })
        .collect()
}

fn parse_welcome(bytes: &[u8]) -> Result<Welcome, MlsError> {
    let malformed = MlsError::Malformed("welcome");
    if bytes.len() > BODY_LEN_MAX {
        return Err(malformed);
    }
    shape::check_message(bytes, "welcome")?;
    match MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract) {
        Ok(MlsMessageBodyIn::Welcome(welcome)) => Ok(welcome),
        _ => Err(malformed),
    }
}

fn parse_tree(bytes: &[u8]) -> Result<RatchetTreeIn, MlsError> {
    if bytes.len() > TREE_LEN_MAX {
        return Err(MlsError::Malformed("tree"));
    }
    shape::check_tree(bytes)?;
    RatchetTreeIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed("tree"))
}

fn refused(error: WelcomeError<RowError>) -> MlsError {
    match error {
        WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => {
            MlsError::NotForMe
        }
        WelcomeError::PublicGroupError(_)
        | WelcomeError::PublicTreeError(_)
        | WelcomeError::InvalidGroupInfoSignature => MlsError::Tree,
        WelcomeError::StorageError(_) => MlsError::Storage,
        other => MlsError::library(other),
    }
}
