use std::{collections::BTreeSet, fmt, sync::OnceLock};

use bytes::Bytes;
use openmls::prelude::{GroupId, LeafNode, MlsGroup, tls_codec::Serialize};
use sha2::{Digest, Sha256};

use super::{
    MlsError, RowChange, Rows, Settings,
    crypto::LeafSigner,
    facts,
    overlay::{Overlay, Step},
    package::credential,
    settings,
    version::{self, Program},
};
use crate::{
    base::{DeviceId, Secret, StateId},
    state::identity::{KeyPair, VerifiedCertificate},
};

/// The row that holds the group's id, by which OpenMLS finds the others.
const ID_ROW: &[u8] = b"id";

/// One state of a group: what OpenMLS holds of it, and its rows.
///
/// Every step of it happens whole or leaves it as it was. It is one scope: rows of two states are never
/// in one.
pub struct Group {
    pub(super) mls: MlsGroup,
    pub(super) overlay: Overlay,
    pub(super) unwritten: Unwritten,
    state_id: StateId,
    settings: Settings,
    version: u16,
    /// What this device can speak, whatever its leaf says yet.
    pub(super) program: Program,
    /// The versions that every leaf can speak, once they were asked for.
    spoken: OnceLock<BTreeSet<u16>>,
}

/// What happened since OpenMLS's message secrets were last written to their row.
#[derive(Default)]
pub(super) enum Unwritten {
    /// Nothing.
    #[default]
    Nothing,
    /// These bodies were opened. Opening them again from the row leads to what is in memory.
    Opened(Vec<Bytes>),
    /// Messages were encrypted, which cannot be done again.
    Encrypted,
}

impl Group {
    /// Makes a group with one leaf, `certificate`'s device, whose keys `signer` is.
    ///
    /// # Errors
    /// [`MlsError::WrongSender`] if the keys are another device's.
    pub fn create(
        signer: &KeyPair,
        certificate: &VerifiedCertificate,
        group_id: &[u8],
        settings: Settings,
        seed: &Secret<32>,
    ) -> Result<Self, MlsError> {
        Self::create_by(Program::THIS, signer, certificate, group_id, settings, seed)
    }

    /// Makes a group as `program` does.
    pub(super) fn create_by(
        program: Program,
        signer: &KeyPair,
        certificate: &VerifiedCertificate,
        group_id: &[u8],
        settings: Settings,
        seed: &Secret<32>,
    ) -> Result<Self, MlsError> {
        let credential = credential(signer, certificate)?;
        let overlay = Overlay::new_scope(Rows::default());
        let step = Step::new(&overlay, seed, "create");
        let mls = MlsGroup::new_with_group_id(
            &step,
            &LeafSigner(signer),
            &settings::create_config(&settings, program)?,
            GroupId::from_slice(group_id),
            credential,
        )
        .map_err(MlsError::library)?;
        Self::of(mls, overlay, program)
    }

    /// Takes a state back from its rows.
    ///
    /// # Errors
    /// [`MlsError::Storage`] if rows are missing or damaged.
    pub fn load(rows: Rows) -> Result<Self, MlsError> {
        Self::load_from(Overlay::kept_scope(rows), Program::THIS)
    }

    /// The same state in a scope of its own, in which its child will be made.
    pub(super) fn copy(&self) -> Result<Self, MlsError> {
        // What messages did to the secrets since is not needed: the child has its own.
        Self::load_from(Overlay::new_scope(self.overlay.rows()), self.program)
    }

    fn load_from(overlay: Overlay, program: Program) -> Result<Self, MlsError> {
        let rows = overlay.rows();
        let id = GroupId::from_slice(rows.get(ID_ROW).ok_or(MlsError::Storage)?);
        let mls = MlsGroup::load(&overlay, &id)?.ok_or(MlsError::Storage)?;
        Self::of(mls, overlay, program)
    }

    /// Reads what every state has off it.
    pub(super) fn of(mls: MlsGroup, overlay: Overlay, program: Program) -> Result<Self, MlsError> {
        if overlay.rows().get(ID_ROW).is_none() {
            overlay.put(ID_ROW.to_vec(), mls.group_id().to_vec().into());
        }
        let (settings, version) = Settings::read(mls.public_group().group_context())?;
        let (state_id, unwritten) = (state_id(&mls)?, Unwritten::Nothing);
        let spoken = OnceLock::new();
        Ok(Self { mls, overlay, unwritten, state_id, settings, version, program, spoken })
    }

    /// All its rows: what is kept of a new state.
    ///
    /// # Errors
    /// [`MlsError::Storage`] if OpenMLS's secrets cannot be written to their row.
    pub fn rows(&mut self) -> Result<Rows, MlsError> {
        self.write_secrets()?;
        Ok(self.overlay.rows())
    }

    /// What changed since this was last called, or since it was loaded; for a new state, all rows.
    /// One call for many messages costs little more than one for each.
    ///
    /// # Errors
    /// [`MlsError::Storage`] if OpenMLS's secrets cannot be written to their row.
    pub fn take_changes(&mut self) -> Result<Vec<RowChange>, MlsError> {
        self.write_secrets()?;
        Ok(self.overlay.take_changes())
    }

    /// The state's id, computed from its context and confirmation tag.
    pub fn state_id(&self) -> StateId {
        self.state_id
    }

    /// The group's id.
    pub fn group_id(&self) -> &[u8] {
        self.mls.group_id().as_slice()
    }

    /// The number of commits since the group's first state. On a fork it names nothing.
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// What the group was made with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The protocol version that it speaks: every member can.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The greatest version above its own that every leaf and this program can speak.
    pub fn can_move_to(&self) -> Option<u16> {
        let spoken = self.spoken.get_or_init(|| version::spoken_by_all(self.leaf_nodes()));
        spoken.intersection(&self.program.versions()).copied().filter(|to| *to > self.version).max()
    }

    /// Whether this device's leaf says other versions than this program can speak: the next commit of
    /// its own with a path corrects it.
    pub fn leaf_is_outdated(&self) -> bool {
        self.mls
            .own_leaf_node()
            .is_some_and(|leaf| version::spoken(leaf.capabilities()) != self.program.versions())
    }

    pub(super) fn leaf_nodes(&self) -> impl Iterator<Item = &LeafNode> {
        self.mls.treesync().full_leaves().map(|(_, leaf)| leaf)
    }

    /// Whether this device is a member: false only in a state that one's own removal led to.
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// This device, by its leaf.
    pub fn device(&self) -> Option<DeviceId> {
        facts::device_at(&self.mls, self.mls.own_leaf_index()).ok()
    }

    /// The devices that have a leaf, in the order of the tree.
    pub fn devices(&self) -> Vec<DeviceId> {
        let keys = self.mls.members().map(|member| member.signature_key);
        keys.filter_map(|key| DeviceId::from_slice(&key)).collect()
    }

    /// The certificates in the leaves, in the order of the tree; their signatures are checked anew.
    ///
    /// # Errors
    /// [`MlsError::Leaf`] if one is none.
    pub fn leaves(&self) -> Result<Vec<VerifiedCertificate>, MlsError> {
        let leaves = self.mls.members();
        leaves
            .map(|leaf| facts::certificate(&leaf.credential, &leaf.signature_key))
            .map(|certificate| certificate.ok_or(MlsError::Leaf))
            .collect()
    }

    /// The ratchet tree (RFC 9420, 12.4.3.3), as it is served to whom a commit adds.
    ///
    /// # Errors
    /// Only if it is too large for its own format.
    pub fn tree(&self) -> Result<Vec<u8>, MlsError> {
        self.mls.export_ratchet_tree().tls_serialize_detached().map_err(MlsError::library)
    }

    /// Checks that `signer` is this device and this device is a member.
    pub(super) fn check_signer(&self, signer: &KeyPair) -> Result<DeviceId, MlsError> {
        let device = DeviceId::new(*signer.public());
        if !self.is_active() {
            return Err(MlsError::Inactive);
        }
        if self.device() == Some(device) { Ok(device) } else { Err(MlsError::WrongSender) }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({:?}, epoch {})", self.state_id, self.epoch())
    }
}

fn state_id(mls: &MlsGroup) -> Result<StateId, MlsError> {
    let context = mls.public_group().group_context().tls_serialize_detached();
    let tag = mls.confirmation_tag().tls_serialize_detached();
    let hash = Sha256::new()
        .chain_update("spacepanda-state-v1")
        .chain_update(context.map_err(MlsError::library)?)
        .chain_update(tag.map_err(MlsError::library)?);
    Ok(StateId::new(hash.finalize().into()))
}
