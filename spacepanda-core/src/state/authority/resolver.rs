use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    ControlOp, Denied, InsertError, Inserted, Operation, PermissionMatrix, Standing,
    control_channel,
    cut::{self, Cut},
    facts, insert, judge,
    log::{Log, Refused},
    resolve,
    resolved::Resolved,
    view::View,
};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, ServerId, Timestamp},
    state::envelope::{Index, Past, Verified},
};

/// An envelope that was named is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not here")]
pub struct Missing(pub EnvelopeId);

/// What changed when what arrived was judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "views must follow it"]
pub struct Recount {
    /// Operations that count and did not, or were not here; by id.
    pub now_count: Vec<EnvelopeId>,
    /// Operations that counted and no longer do; by id.
    pub no_longer: Vec<EnvelopeId>,
    /// Whose words may count otherwise than before: ask [`Authority::is_cut`] for each.
    pub cut_changed: BTreeSet<IdentityId>,
}

/// Who may do what on one server: the operations of its control channel, and what they resolve to.
///
/// A pure function of the set of envelopes: neither the order of their arrival nor any clock matters.
#[derive(Debug)]
pub struct Authority {
    pub(super) server: ServerId,
    pub(super) control: ChannelId,
    pub(super) log: Log,
    /// The last operations of all, as inserted.
    heads: Vec<Index>,
    fresh: BTreeSet<Index>,
    pub(super) settled: Settled,
    resolved: Mutex<Resolved>,
}

/// What all that was here at the last `settle` resolves to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) past: Past,
    pub(super) refused: Refused,
    /// What has no effect: what is refused, and channels whose making is cut off.
    pub(super) silent: Refused,
    pub(super) cuts: BTreeMap<IdentityId, Vec<Cut>>,
    pub(super) matrix: Arc<PermissionMatrix>,
}

impl Authority {
    /// Nothing is known yet of `server` but its id.
    pub fn new(server: ServerId) -> Self {
        Self {
            server,
            control: control_channel(&server),
            log: Log::new(server),
            heads: Vec::new(),
            fresh: BTreeSet::new(),
            settled: Settled::default(),
            resolved: Mutex::default(),
        }
    }

    /// The server.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Its control channel.
    pub fn control(&self) -> ChannelId {
        self.control
    }

    /// What an envelope of the control channel says, if that is an operation and sound by its bytes alone: whoever
    /// it vouches for has signed it, and it is about this server.
    pub fn read(&self, envelope: &Verified) -> Option<Operation> {
        match insert::read(envelope, &self.server).ok()? {
            ControlOp::Operation(operation) => Some(operation),
            _ => None,
        }
    }

    /// Takes in an envelope of the control channel, of any type but a `Structure` that makes a channel. What it changes shows after
    /// [`Self::settle`].
    ///
    /// # Errors
    /// [`InsertError::Missing`]: it must wait. Any other: it is dropped.
    pub fn insert(&mut self, envelope: &Verified) -> Result<Inserted, InsertError> {
        match insert::read(envelope, &self.server) {
            Ok(does) => self.take(envelope, does),
            Err(why) => self.take(envelope, ControlOp::Nothing).map(|inserted| {
                if inserted == Inserted::Known { inserted } else { Inserted::Ineffective(why) }
            }),
        }
    }

    /// Takes in a `Structure` envelope that makes a channel, of which the caller has read whether it
    /// names a group of its own.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn insert_channel(
        &mut self,
        envelope: &Verified,
        private: bool,
    ) -> Result<Inserted, InsertError> {
        self.take(envelope, ControlOp::ChannelMade { private })
    }

    /// Judges everything anew after a batch of arrivals, and says what changed: nothing, if none of them
    /// was an operation.
    pub fn settle(&mut self) -> Recount {
        if self.fresh.is_empty() {
            return Recount::default();
        }
        let past = self.log.closure(&self.heads);
        let refused = judge::judge(&self.log, &self.heads);
        let view = View::whole(&self.log, &past, &refused);
        let mut silent = refused.clone();
        silent.extend(resolve::cut_channels(&view, self.control));
        let cuts: BTreeMap<_, _> = self
            .log
            .kicks
            .keys()
            .map(|who| (*who, cut::cuts_of(&view, who)))
            .filter(|(_, cuts)| !cuts.is_empty())
            .collect();
        let matrix = Arc::new(resolve::matrix(&view, self.control));
        let settled = Settled { past, refused, silent, cuts, matrix };
        let before = std::mem::replace(&mut self.settled, settled);
        let fresh = std::mem::take(&mut self.fresh);
        self.recount(&before, &fresh)
    }

    /// What everything resolves to, as of the last [`Self::settle`].
    pub fn now(&self) -> Arc<PermissionMatrix> {
        Arc::clone(&self.settled.matrix)
    }

    /// What the closure of `tips` resolves to, for ever the same. The last few are kept.
    ///
    /// # Errors
    /// The first of them that is not here.
    pub fn resolve(&self, tips: &[EnvelopeId]) -> Result<Arc<PermissionMatrix>, Missing> {
        let heads = self.heads_of(tips)?;
        if let Some(matrix) = self.resolved().find(&heads) {
            return Ok(matrix);
        }
        let refused = judge::judge(&self.log, &heads);
        let past = self.log.closure(&heads);
        let view = View::whole(&self.log, &past, &refused);
        let matrix = Arc::new(resolve::matrix(&view, self.control));
        self.resolved().keep(heads, Arc::clone(&matrix));
        Ok(matrix)
    }

    /// Whether an operation would count that is written now, knowing `tips`, and at which standing.
    ///
    /// # Errors
    /// Says what its author lacks.
    pub fn check(
        &self,
        device: &DeviceId,
        timestamp: Timestamp,
        tips: &[EnvelopeId],
        operation: &Operation,
    ) -> Result<Standing, Denied> {
        let heads = self.heads_of(tips).map_err(|missing| Denied::Missing(missing.0))?;
        let past = self.log.closure(&heads);
        let refused = judge::judge(&self.log, &heads);
        let author = self.log.certifies(&past, device).ok_or(Denied::Stranger)?;
        // Nobody can name an envelope that is not written yet.
        let own_id = EnvelopeId::new([0; 32]);
        if !self.log.lets_write(&past, &author, device, operation) {
            return Err(Denied::Device);
        }
        let facts = facts::facts(&self.log, &past, author, timestamp, operation, own_id);
        let view = View::whole(&self.log, &past, &refused);
        judge::entitled(&view, &facts).map(|(_, standing)| standing)
    }

    fn take(&mut self, envelope: &Verified, does: ControlOp) -> Result<Inserted, InsertError> {
        if self.log.dag.contains(&envelope.id()) {
            return Ok(Inserted::Known);
        }
        let (index, is_op) = insert::insert(&mut self.log, &self.control, envelope, does)?;
        if !is_op {
            return Ok(Inserted::Other);
        }
        self.fresh.insert(index);
        self.heads.retain(|head| !self.log.dag.is_before(*head, index));
        self.heads.push(index);
        Ok(Inserted::Operation)
    }

    fn recount(&self, before: &Settled, fresh: &BTreeSet<Index>) -> Recount {
        let (old, new) = (&before.silent, &self.settled.silent);
        let started = fresh.iter().filter(|index| !new.contains(*index));
        let risen = old.iter().filter(|index| !new.contains(*index));
        let fallen = new.iter().filter(|index| !old.contains(*index) && !fresh.contains(*index));
        let people = before.cuts.keys().chain(self.settled.cuts.keys());
        Recount {
            now_count: self.ids(started.chain(risen).copied()),
            no_longer: self.ids(fallen.copied()),
            cut_changed: people
                .filter(|who| before.cuts.get(who) != self.settled.cuts.get(who))
                .copied()
                .collect(),
        }
    }

    fn heads_of(&self, tips: &[EnvelopeId]) -> Result<Vec<Index>, Missing> {
        let named: Result<Vec<_>, _> =
            tips.iter().map(|id| self.log.dag.index(id).ok_or(Missing(*id))).collect();
        Ok(self.log.heads_of(named?))
    }

    pub(super) fn ids(&self, indices: impl IntoIterator<Item = Index>) -> Vec<EnvelopeId> {
        let mut ids: Vec<_> = indices.into_iter().map(|index| self.log.dag.tip(index).id).collect();
        ids.sort_unstable();
        ids
    }

    fn resolved(&self) -> MutexGuard<'_, Resolved> {
        // A matrix is put in whole or not at all.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
