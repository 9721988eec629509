use std::fmt;

use openmls::prelude::{
    ApplyUpdatePathError, MlsGroup, MlsMessageBodyIn, MlsMessageIn, ProcessMessageError,
    ProcessedMessage, ProcessedMessageContent, ProtocolMessage, PublicGroup, Sender,
    StageCommitError, StagedCommit, tls_codec::Deserialize,
};
use openmls_traits::OpenMlsProvider;

use super::{
    CommitBody, CommitPayload, Group, MlsError, Parents, commit_aad, facts,
    overlay::{RowError, Step},
    shape,
};
use crate::{
    base::{Secret, StateId},
    state::{
        authority::{Authorized, CommitFacts},
        envelope::{Header, Opened, Origin, PayloadType, Verified},
    },
};

/// A commit of somebody else, processed on a copy of its parent and not merged.
pub struct Staged {
    opened: Opened<CommitFacts>,
    group: Group,
    commit: Box<StagedCommit>,
    departure: Option<Departure>,
    child: StateId,
    seed: Secret<32>,
}

/// A commit that removes this device, as one without secrets sees it. OpenMLS stops at the removal and
/// leaves its group half in the parent; this goes on to the child.
struct Departure {
    public: Box<PublicGroup>,
    commit: Box<StagedCommit>,
}

impl Group {
    /// Processes a commit on a copy of this state, which stays as it is.
    ///
    /// What it does comes back twice: opened, for the gate, and staged, for [`Staged::merge`].
    ///
    /// # Errors
    /// [`MlsError::NoBody`] if its body is not held; [`MlsError::WrongState`] if it was made on another
    /// state; [`MlsError::WrongSender`], [`MlsError::WrongData`] and [`MlsError::WrongLists`] if MLS
    /// says otherwise than the envelope; [`MlsError::Own`] for one's own with a path, which cannot be
    /// processed again; any other for one that is not valid.
    pub fn stage(
        &self,
        envelope: &Verified,
        seed: &Secret<32>,
    ) -> Result<(Opened<CommitFacts>, Staged), MlsError> {
        let header = envelope.header();
        if header.payload_type != PayloadType::Commit {
            return Err(MlsError::Malformed("commit"));
        }
        let payload = CommitPayload::decode(&header.payload)?;
        if payload.parent != self.state_id() {
            return Err(MlsError::WrongState);
        }
        if !self.is_active() {
            return Err(MlsError::Inactive);
        }
        let body = CommitBody::decode(envelope.body().ok_or(MlsError::NoBody)?)?;
        let mut group = self.copy()?;
        let Group { mls, overlay, .. } = &mut group;
        let step = Step::new(overlay, seed, "stage");
        let message = public_message(&body.commit)?;
        let processed = mls.process_message(&step, message).map_err(|error| {
            // One's own in the envelope of somebody else must not pass for one's own.
            let error = refused(error);
            let stolen = error == MlsError::Own && Some(header.sender) != self.device();
            if stolen { MlsError::WrongSender } else { error }
        })?;
        check_framing(mls, &processed, header, &payload)?;
        let ProcessedMessageContent::StagedCommitMessage(commit) = processed.into_content() else {
            return Err(MlsError::Malformed("commit"));
        };
        if facts::lists(mls, &commit, step.crypto())? != (payload.adds, payload.removes) {
            return Err(MlsError::WrongLists);
        }
        let departure = match commit.self_removed() {
            true => Some(Departure::stage(&step, mls, &body.commit)?),
            false => None,
        };
        let facts = facts::of_commit(self, header.sender, &commit);
        let opened = Opened::new(Origin::of(header), facts);
        let (child, seed) = (payload.child, seed.clone());
        Ok((opened.clone(), Staged { opened, group, commit, departure, child, seed }))
    }
}

/// Checks that MLS and the envelope agree on sender and authenticated data.
fn check_framing(
    mls: &MlsGroup,
    processed: &ProcessedMessage,
    header: &Header,
    payload: &CommitPayload,
) -> Result<(), MlsError> {
    let sender = match processed.sender() {
        Sender::Member(index) => facts::device_at(mls, *index)?,
        _ => return Err(MlsError::WrongSender),
    };
    if sender != header.sender {
        return Err(MlsError::WrongSender);
    }
    let CommitPayload { parent, adds, removes, .. } = payload;
    let data = commit_aad(parent, adds, removes, Parents::of(header));
    if processed.aad() == data { Ok(()) } else { Err(MlsError::WrongData) }
}

impl Staged {
    /// What it does.
    pub fn facts(&self) -> &CommitFacts {
        self.opened.content()
    }

    /// Whether it removes this device. Merging then gives a state in which nothing can be done.
    pub fn removes_me(&self) -> bool {
        self.commit.self_removed()
    }

    /// Merges it into a new state.
    ///
    /// # Errors
    /// [`MlsError::NotAuthorized`] if the gate let something else through; [`MlsError::WrongChild`] if
    /// the state is not the one that the header names.
    pub fn merge(self, authorized: Authorized<CommitFacts>) -> Result<Group, MlsError> {
        let let_through = (authorized.origin(), authorized.content());
        if let_through != (self.opened.origin(), self.opened.content()) {
            return Err(MlsError::NotAuthorized);
        }
        let Self { group, commit, departure, child, seed, .. } = self;
        let group = group.merged(&seed, |mls, step| {
            mls.merge_staged_commit(step, *commit).map_err(MlsError::library)?;
            departure.map_or(Ok(()), |departure| departure.merge(step, mls))
        })?;
        if group.state_id() == child { Ok(group) } else { Err(MlsError::WrongChild) }
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Staged({:?} -> {:?})", self.group.state_id(), self.child)
    }
}

impl Departure {
    fn stage(step: &Step<'_>, mls: &MlsGroup, commit: &[u8]) -> Result<Self, MlsError> {
        let public = PublicGroup::load(step.storage(), mls.group_id())?.ok_or(MlsError::Storage)?;
        let processed = public
            .process_message(step.crypto(), public_message(commit)?)
            .map_err(MlsError::library)?;
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                Ok(Self { public: Box::new(public), commit })
            }
            _ => Err(MlsError::Malformed("commit")),
        }
    }

    fn merge(mut self, step: &Step<'_>, mls: &mut MlsGroup) -> Result<(), MlsError> {
        let overlay = step.storage();
        self.public.merge_commit(overlay, *self.commit).map_err(MlsError::library)?;
        *mls = MlsGroup::load(overlay, mls.group_id())?.ok_or(MlsError::Storage)?;
        Ok(())
    }
}

fn public_message(bytes: &[u8]) -> Result<ProtocolMessage, MlsError> {
    shape::check_message(bytes, "commit")?;
    match MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract) {
        Ok(MlsMessageBodyIn::PublicMessage(message)) => Ok(message.into()),
        _ => Err(MlsError::Malformed("commit")),
    }
}

fn refused(error: ProcessMessageError<RowError>) -> MlsError {
    match error {
        ProcessMessageError::StorageError(_) => MlsError::Storage,
        ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => MlsError::Own,
        ProcessMessageError::InvalidCommit(StageCommitError::UpdatePathError(
            ApplyUpdatePathError::UnableToDecrypt | ApplyUpdatePathError::PathMismatch,
        )) => MlsError::Path,
        other => MlsError::library(other),
    }
}
