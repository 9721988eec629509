use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use super::{
    JoinRequest, Line, Operation,
    matrix::PermissionMatrix,
    operation::control_channel,
    resolver::{Counting, Entry, Log, owner_standing},
};
use crate::{
    base::{
        ChannelId, DeviceId, EnvelopeId, Frontier, IdentityId, ServerId, Timestamp, Tip,
        limits::MEMBERS_MAX,
    },
    state::envelope::{Dag, Index, Origin, Past, PayloadType, Verified},
};

/// Resolved pasts that are remembered.
const RESOLVED_MAX: usize = 64;

/// One server's authority: its control channel, and what it resolves to.
#[derive(Debug)]
pub struct Authority {
    server: ServerId,
    control: ChannelId,
    log: Log,
    genesis: Option<EnvelopeId>,
    founders: Vec<IdentityId>,
    /// Whose device it is, and the envelopes that certify it, counting or not.
    certified: BTreeMap<DeviceId, (IdentityId, Vec<Index>)>,
    counting: Counting,
    now: Arc<PermissionMatrix>,
    resolved: Mutex<BTreeMap<Vec<EnvelopeId>, Arc<PermissionMatrix>>>,
}

/// What changed in what counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recount {
    /// Operations that count now and did not.
    pub now_count: Vec<EnvelopeId>,
    /// Operations that counted and do not any more.
    pub no_longer: Vec<EnvelopeId>,
    /// Whether how far somebody who was removed had been heard has changed: content is judged again.
    pub content: bool,
}

/// An envelope whose past is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope of the control channel names one that is not here")]
pub struct Missing(pub EnvelopeId);

/// Why somebody cannot be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The request does not check out.
    #[error("the request does not check out")]
    Invalid,
    /// There is no such invite, as known here.
    #[error("the invite is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the invite has expired")]
    Expired,
    /// It was revoked, or its issuer is out.
    #[error("the invite was revoked")]
    Revoked,
    /// It was used as often as it may be.
    #[error("the invite is used up")]
    UsedUp,
    /// The server has as many members as it may.
    #[error("the server is full")]
    Full,
}

impl Authority {
    /// A server of which nothing is known but its id.
    pub fn new(server: ServerId) -> Self {
        Self {
            server,
            control: control_channel(&server),
            log: Log::default(),
            genesis: None,
            founders: Vec::new(),
            certified: BTreeMap::new(),
            counting: Counting::default(),
            now: Arc::default(),
            resolved: Mutex::default(),
        }
    }

    /// The control channel.
    pub fn control(&self) -> ChannelId {
        self.control
    }

    /// The envelope that made the server, once it is here.
    pub fn genesis(&self) -> Option<EnvelopeId> {
        self.genesis
    }

    /// The control channel's causal past.
    pub fn dag(&self) -> &Dag {
        &self.log.dag
    }

    /// Whether somebody founded the server.
    pub fn is_founder(&self, identity: &IdentityId) -> bool {
        self.founders.first() == Some(identity)
    }

    /// Takes in an envelope of the control channel, of whatever type. What it changes is known after
    /// [`Self::settle`].
    ///
    /// # Errors
    /// If something that it names is not here.
    pub fn insert(&mut self, envelope: &Verified) -> Result<(), Missing> {
        if self.log.dag.contains(&envelope.id()) {
            return Ok(());
        }
        let header = envelope.header();
        let parents = header.parents.iter().map(|tip| tip.id);
        let index =
            self.log.dag.insert(envelope.tip(), header.previous, parents).map_err(Missing)?;
        if header.payload_type != PayloadType::Authority {
            return Ok(());
        }
        let Ok(operation) = Operation::decode(&header.payload) else { return Ok(()) };
        let founds = self.founds(&operation, envelope);
        if matches!(operation, Operation::Genesis(_)) && !founds {
            return Ok(());
        }
        self.certify(&operation, index);
        let Some(author) = self.certified(&header.sender) else { return Ok(()) };
        let mut entry = Entry {
            id: envelope.id(),
            index,
            author,
            order: header.order,
            timestamp: header.timestamp,
            operation,
            entitled: founds.then(|| owner_standing(0)),
        };
        if !founds {
            let past: Vec<_> = header.control_past();
            let (counting, before) = self.resolve_whole(&past);
            entry.entitled = self.log.entitlement(&entry, &before, &counting);
        }
        self.log.entries.insert(index, entry);
        Ok(())
    }

    fn founds(&mut self, operation: &Operation, envelope: &Verified) -> bool {
        let Operation::Genesis(genesis) = operation else { return false };
        let header = envelope.header();
        let founder = &genesis.owners()[0];
        let sound = self.genesis.is_none()
            && genesis.server() == self.server
            && header.sequence == 1
            && header.parents.is_empty()
            && founder.device == header.sender
            && genesis.owners().iter().all(|owner| owner.clone().verify().is_ok());
        if sound {
            self.genesis = Some(envelope.id());
            self.founders = genesis.owners().iter().map(|owner| owner.identity).collect();
        }
        sound
    }

    /// Notes whose devices an operation certifies: the first word on a device holds.
    fn certify(&mut self, operation: &Operation, index: Index) {
        let certificates = match operation {
            Operation::Genesis(genesis) => genesis.owners().to_vec(),
            Operation::Admit { request } if request.is_sound() => {
                vec![request.certificate().clone()]
            }
            _ => Vec::new(),
        };
        for certificate in certificates {
            let (identity, by) = self
                .certified
                .entry(certificate.device)
                .or_insert_with(|| (certificate.identity, Vec::new()));
            if *identity == certificate.identity {
                by.push(index);
            }
        }
    }

    /// Judges the whole set anew, and says what changed.
    pub fn settle(&mut self) -> Recount {
        let heads: Vec<_> = self.log.dag.heads().iter().map(|tip| tip.id).collect();
        let whole = self.log.dag.closure(&heads).expect("heads are here");
        let counting = self.log.judge(&whole);
        let ids = |these: &BTreeSet<Index>| {
            these.iter().map(|index| self.log.dag.tip(*index).id).collect::<Vec<_>>()
        };
        let now_count: BTreeSet<_> = counting.0.difference(&self.counting.0).copied().collect();
        let no_longer: BTreeSet<_> = self.counting.0.difference(&counting.0).copied().collect();
        let content = now_count.union(&no_longer).any(|index| {
            let operation = self.log.entries.get(index).map(|entry| &entry.operation);
            matches!(operation, Some(Operation::Kick { .. } | Operation::Heard { .. }))
        });
        let recount = Recount { now_count: ids(&now_count), no_longer: ids(&no_longer), content };
        let mut matrix = self.log.apply(&counting);
        matrix.devices = self.devices_in(&whole);
        self.now = Arc::new(matrix);
        self.counting = counting;
        recount
    }

    /// What everything held resolves to, as of the last [`Self::settle`].
    pub fn now(&self) -> Arc<PermissionMatrix> {
        Arc::clone(&self.now)
    }

    /// What the closure of some envelopes of the control channel resolves to. Remembered for the
    /// latest few, so that asking again for the same costs nothing.
    pub fn resolve(&self, past: &[EnvelopeId]) -> Arc<PermissionMatrix> {
        let mut resolved = self.resolved.lock().expect("no panic while held");
        if let Some(matrix) = resolved.get(past) {
            return Arc::clone(matrix);
        }
        let matrix = Arc::new(self.resolve_whole(past).1);
        if resolved.len() >= RESOLVED_MAX {
            resolved.clear();
        }
        resolved.insert(past.to_vec(), Arc::clone(&matrix));
        matrix
    }

    fn resolve_whole(&self, past: &[EnvelopeId]) -> (Counting, PermissionMatrix) {
        let Ok(set) = self.log.dag.closure(past) else { return Default::default() };
        let counting = self.log.judge(&set);
        let mut matrix = self.log.apply(&counting);
        matrix.devices = self.devices_in(&set);
        (counting, matrix)
    }

    fn devices_in(&self, set: &Past) -> BTreeMap<DeviceId, IdentityId> {
        let certified = self
            .certified
            .iter()
            .filter(|(_, (_, by))| by.iter().any(|index| self.log.dag.holds(set, *index)));
        certified.map(|(device, (identity, _))| (*device, *identity)).collect()
    }

    /// Whose device it is, by any certificate held, counting or not.
    pub fn certified(&self, device: &DeviceId) -> Option<IdentityId> {
        self.certified.get(device).map(|(identity, _)| *identity)
    }

    /// Whose device wrote an envelope, if the genesis or an `Admit` in its past, counting or not,
    /// certifies it; the genesis certifies its own author.
    pub fn certifies(&self, past: &[EnvelopeId], envelope: &Verified) -> Option<IdentityId> {
        let sender = &envelope.header().sender;
        let (identity, by) = match self.certified.get(sender) {
            Some(certified) => certified,
            None => return self.founder_of(envelope),
        };
        let past = self.log.dag.closure(past).ok()?;
        by.iter().any(|index| self.log.dag.holds(&past, *index)).then_some(*identity)
    }

    fn founder_of(&self, envelope: &Verified) -> Option<IdentityId> {
        let header = envelope.header();
        let Ok(Operation::Genesis(genesis)) = Operation::decode(&header.payload) else {
            return None;
        };
        let founder = &genesis.owners()[0];
        let founds = self.genesis.is_none()
            && header.sequence == 1
            && genesis.server() == self.server
            && founder.device == header.sender;
        founds.then_some(founder.identity)
    }

    /// Everybody's devices that some certificate names.
    pub fn devices_of(&self, identity: &IdentityId) -> Vec<DeviceId> {
        let of = self.certified.iter().filter(|(_, (owner, _))| owner == identity);
        of.map(|(device, _)| *device).collect()
    }

    /// The counting admissions that make somebody a member; none of a founder, who was always in.
    pub fn admits_of(&self, identity: &IdentityId) -> Vec<EnvelopeId> {
        self.holding_admissions(identity).map(|entry| entry.id).collect()
    }

    fn holding_admissions<'a>(
        &'a self,
        identity: &'a IdentityId,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        let admissions = self.log.counting(&self.counting).filter(move |entry| {
            matches!(entry.operation, Operation::Admit { .. }) && entry.admits().contains(identity)
        });
        admissions.filter(move |grant| {
            self.log
                .removals_of(identity, &self.counting)
                .all(|removal| self.log.dag.is_before(removal.index, grant.index))
        })
    }

    /// The request of somebody's newest counting admission: by its key package they are added.
    pub fn request_of(&self, identity: &IdentityId) -> Option<JoinRequest> {
        let newest =
            self.holding_admissions(identity).max_by_key(|entry| (entry.order, entry.id))?;
        match &newest.operation {
            Operation::Admit { request } => Some(request.clone()),
            _ => None,
        }
    }

    /// Whether a request has been granted, and its maker is in.
    pub fn is_admitted_by(&self, request: &JoinRequest) -> bool {
        let identity = request.certificate().identity;
        self.now.is_member(&identity)
            && self.holding_admissions(&identity).any(|entry| {
                matches!(&entry.operation, Operation::Admit { request: granted } if granted == request)
            })
    }

    /// Whether `writer` may grant a request at `now`.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_admit(
        &self,
        writer: &IdentityId,
        request: &JoinRequest,
        now: Timestamp,
    ) -> Result<(), AdmitError> {
        if !request.is_sound() || request.server() != self.server || !self.now.is_member(writer) {
            return Err(AdmitError::Invalid);
        }
        let issued = self.log.counting(&self.counting).any(|entry| {
            matches!(&entry.operation, Operation::IssueInvite { invite, .. } if invite == request.invite())
        });
        let Some(invite) = self.now.invites.iter().find(|open| open.key == *request.invite())
        else {
            return Err(if issued { AdmitError::Revoked } else { AdmitError::Unknown });
        };
        if invite.expires < now {
            return Err(AdmitError::Expired);
        }
        if invite.uses_left == Some(0) {
            return Err(AdmitError::UsedUp);
        }
        if self.now.members_len() >= MEMBERS_MAX {
            return Err(AdmitError::Full);
        }
        Ok(())
    }

    /// The frontier of the control channel up to what ended somebody's membership.
    pub fn ended(&self, identity: &IdentityId) -> Frontier {
        let removals: Vec<_> =
            self.log.removals_of(identity, &self.counting).map(|entry| entry.id).collect();
        let past = self.log.dag.closure(&removals).expect("what counts is here");
        self.log.dag.frontier(&past)
    }

    /// Whether an envelope of the control channel supports a state of the group: not, if a counting
    /// removal of its author does not have it in its past, unless the author was let in again by
    /// something in the envelope's past that has the removal in its own (COMMIT-TREE 3).
    pub fn supports(&self, envelope: &EnvelopeId) -> bool {
        let dag = &self.log.dag;
        let Some(index) = dag.index(envelope) else { return false };
        let Some(author) = self.certified(&dag.device(index)) else { return false };
        self.log.removals_of(&author, &self.counting).all(|removal| {
            dag.is_before(index, removal.index)
                || index == removal.index
                || self.is_let_in_again(&author, removal, index)
        })
    }

    fn is_let_in_again(&self, identity: &IdentityId, removal: &Entry, before: Index) -> bool {
        let dag = &self.log.dag;
        self.log.counting(&self.counting).any(|grant| {
            grant.admits().contains(identity)
                && dag.is_before(grant.index, before)
                && dag.is_before(removal.index, grant.index)
        })
    }

    /// Whether a removal cuts off what its target said at `tip` (rule 7): it lies beyond how far they
    /// had been heard, and its past holds no later grant.
    pub fn is_cut(&self, origin: &Origin, tip: &Tip) -> bool {
        let Some(author) = self.certified(&origin.device) else { return true };
        let dag = &self.log.dag;
        let Ok(past) = dag.closure(&origin.past) else { return true };
        self.log.removals_of(&author, &self.counting).any(|removal| {
            let Operation::Kick { heard, .. } = &removal.operation else { return false };
            let let_in_again = self.log.counting(&self.counting).any(|grant| {
                grant.admits().contains(&author)
                    && dag.holds(&past, grant.index)
                    && dag.is_before(removal.index, grant.index)
            });
            !let_in_again && !self.is_heard(removal, heard, origin, tip)
        })
    }

    fn is_heard(&self, removal: &Entry, heard: &[Line], origin: &Origin, tip: &Tip) -> bool {
        let added = self.log.counting(&self.counting).filter_map(|entry| match &entry.operation {
            Operation::Heard { removal: of, heard } if *of == removal.id => Some(heard.as_slice()),
            _ => None,
        });
        let lines: Vec<&Line> = std::iter::once(heard)
            .chain(added)
            .flatten()
            .filter(|line| line.channel == origin.channel)
            .collect();
        if lines.is_empty() {
            return origin.timestamp <= removal.timestamp;
        }
        lines.iter().flat_map(|line| &line.tips).any(|end| {
            end.device == tip.device
                && (tip.number < end.number || (tip.number == end.number && tip.id == end.id))
        })
    }
}
