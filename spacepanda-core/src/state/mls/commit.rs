use std::collections::BTreeMap;

use openmls::prelude::{
    CommitMessageBundle, KeyPackage, LeafNodeIndex, LeafNodeParameters, MlsGroup,
    tls_codec::Serialize,
};
use openmls_traits::OpenMlsProvider;

use super::{
    Addition, CommitBody, CommitPayload, Group, MlsError, commit_aad,
    crypto::{LeafSigner, SeededCrypto},
    facts,
    overlay::{Overlay, Step},
    package::validate,
    settings,
};
use crate::{
    base::{DeviceId, Secret, StateId, Tip, limits::ADDITIONS_PER_COMMIT_MAX},
    state::{
        authority::{Authorized, CommitFacts},
        envelope::{Header, Opened, Origin},
        identity::KeyPair,
    },
};

/// What a commit is to do. If it does nothing else, it renews one's own leaf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Key packages of whom to add, 64 at most.
    pub adds: Vec<Vec<u8>>,
    /// Whom to remove. The bytes of a commit with several follow from no seed.
    pub removes: Vec<DeviceId>,
    /// The greater version that the group is to move to, one that every leaf can speak.
    pub version: Option<u16>,
}

impl Change {
    /// Whether it makes one's own leaf anew: all but additions alone do.
    fn has_path(&self) -> bool {
        self.adds.is_empty() || !self.removes.is_empty() || self.version.is_some()
    }
}

/// What the envelope of a commit names: its header's `parents` and `control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parents<'a> {
    /// The tips of the home channel, without the author's own.
    pub parents: &'a [Tip],
    /// The tips of the control channel; `None` in that channel itself.
    pub control: Option<&'a [Tip]>,
}

impl<'a> Parents<'a> {
    /// Those of `header`.
    pub fn of(header: &'a Header) -> Self {
        Self { parents: &header.parents, control: header.control.as_deref() }
    }
}

/// A commit of one's own, built on a copy of its parent and not merged.
#[derive(Debug)]
pub struct Built {
    facts: CommitFacts,
    group: Group,
    parent: StateId,
    adds: Vec<Addition>,
    removes: Vec<DeviceId>,
    body: CommitBody,
    seed: Secret<32>,
}

/// A commit of one's own, merged: what to keep and what to send.
#[derive(Debug)]
pub struct Merged {
    /// The new state, a scope of its own.
    pub group: Group,
    /// The envelope's payload.
    pub payload: CommitPayload,
    /// The envelope's body.
    pub body: CommitBody,
}

impl Group {
    /// Builds a commit on a copy of this state, which stays as it is. An addition alone has no path.
    ///
    /// `parents` is what the commit's envelope will name.
    ///
    /// # Errors
    /// [`MlsError::WrongSender`] or [`MlsError::Inactive`] if this device is not `signer` or no member;
    /// [`MlsError::List`] for too many additions or a device twice; [`MlsError::UnknownDevice`] for a
    /// removal of nobody; a package's own error; else [`MlsError::Library`].
    pub fn build(
        &self,
        signer: &KeyPair,
        change: &Change,
        parents: Parents<'_>,
        seed: &Secret<32>,
    ) -> Result<Built, MlsError> {
        let device = self.check_signer(signer)?;
        let mut group = self.copy()?;
        let Group { mls, overlay, .. } = &mut group;
        let step = Step::new(overlay, seed, "build");
        let (packages, adds) = checked_packages(&change.adds, step.crypto())?;
        let removes = sorted(&change.removes)?;
        let indices = self.indices_of(&removes)?;
        // Directly before the commit: OpenMLS keeps the data of a failed attempt and forgets them
        // after a successful one.
        mls.set_aad(commit_aad(&self.state_id(), &adds, &removes, parents).to_vec());
        let mut builder = mls.commit_builder().propose_removals(indices).propose_adds(packages);
        if let Some(version) = change.version {
            let extensions = self.settings().extensions(version)?;
            builder =
                builder.propose_group_context_extensions(extensions).map_err(MlsError::library)?;
        }
        if change.has_path() {
            let capabilities = settings::capabilities(self.program);
            let leaf = LeafNodeParameters::builder().with_capabilities(capabilities).build();
            builder = builder.leaf_node_parameters(leaf);
        }
        let bundle = builder
            .load_psks(step.storage())
            .map_err(MlsError::library)?
            .create_group_info(false)
            .use_ratchet_tree_extension(false)
            .build(step.rand(), step.crypto(), &LeafSigner(signer), |_| true)
            .map_err(MlsError::library)?
            .stage_commit(&step)
            .map_err(MlsError::library)?;
        let staged = mls.pending_commit().ok_or(MlsError::Malformed("commit"))?;
        let facts = facts::of_commit(self, device, staged);
        let body = body_of(bundle)?;
        let (parent, seed) = (self.state_id(), seed.clone());
        Ok(Built { facts, group, parent, adds, removes, body, seed })
    }

    /// The leaves of `devices`, in their order.
    fn indices_of(&self, devices: &[DeviceId]) -> Result<Vec<LeafNodeIndex>, MlsError> {
        let leaves: BTreeMap<_, _> =
            self.mls.members().map(|leaf| (leaf.signature_key, leaf.index)).collect();
        devices
            .iter()
            .map(|device| {
                let index = leaves.get(device.as_bytes().as_slice()).copied();
                index.ok_or(MlsError::UnknownDevice(*device))
            })
            .collect()
    }
}

/// Validates key packages; both lists ascend by device.
fn checked_packages(
    packages: &[Vec<u8>],
    crypto: &SeededCrypto,
) -> Result<(Vec<KeyPackage>, Vec<Addition>), MlsError> {
    if packages.len() > ADDITIONS_PER_COMMIT_MAX {
        return Err(MlsError::List);
    }
    let packages = packages.iter().map(|bytes| {
        let (package, facts) = validate(bytes, crypto)?;
        let device = facts.certificate.device();
        Ok((Addition { device, package: facts.reference }, package))
    });
    let mut packages = packages.collect::<Result<Vec<_>, MlsError>>()?;
    packages.sort_by_key(|(addition, _)| *addition);
    if !packages.is_sorted_by(|(a, _), (b, _)| a.device < b.device) {
        return Err(MlsError::List);
    }
    Ok(packages.into_iter().map(|(addition, package)| (package, addition)).unzip())
}

fn sorted(devices: &[DeviceId]) -> Result<Vec<DeviceId>, MlsError> {
    let mut devices = devices.to_vec();
    devices.sort_unstable();
    if devices.is_sorted_by(|a, b| a < b) { Ok(devices) } else { Err(MlsError::List) }
}

fn body_of(bundle: CommitMessageBundle) -> Result<CommitBody, MlsError> {
    let (commit, welcome, _) = bundle.into_messages();
    let welcome = welcome.map(|welcome| welcome.tls_serialize_detached()).transpose();
    Ok(CommitBody {
        commit: commit.tls_serialize_detached().map_err(MlsError::library)?,
        welcome: welcome.map_err(MlsError::library)?,
    })
}

impl Built {
    /// What it does: what the gate judges.
    pub fn facts(&self) -> &CommitFacts {
        &self.facts
    }

    /// What it does, for the gate, as the envelope that will carry it will say.
    pub fn open(&self, origin: Origin) -> Opened<CommitFacts> {
        Opened::new(origin, self.facts.clone())
    }

    /// Whom it adds and removes, each ascending by device.
    pub fn lists(&self) -> (&[Addition], &[DeviceId]) {
        (&self.adds, &self.removes)
    }

    /// Merges it into a new state.
    ///
    /// # Errors
    /// [`MlsError::NotAuthorized`] if the gate let something else through.
    pub fn merge(self, authorized: Authorized<CommitFacts>) -> Result<Merged, MlsError> {
        if authorized.into_content() != self.facts {
            return Err(MlsError::NotAuthorized);
        }
        let Self { group, parent, adds, removes, body, seed, .. } = self;
        let group = group
            .merged(&seed, |mls, step| mls.merge_pending_commit(step).map_err(MlsError::library))?;
        let payload = CommitPayload { parent, child: group.state_id(), adds, removes };
        Ok(Merged { group, payload, body })
    }
}

impl Group {
    /// The state that `merge` makes of this copy, all of it new.
    pub(super) fn merged(
        self,
        seed: &Secret<32>,
        merge: impl FnOnce(&mut MlsGroup, &Step<'_>) -> Result<(), MlsError>,
    ) -> Result<Self, MlsError> {
        let Self { mut mls, overlay, program, .. } = self;
        merge(&mut mls, &Step::new(&overlay, seed, "merge"))?;
        Self::of(mls, Overlay::new_scope(overlay.rows()), program)
    }
}
