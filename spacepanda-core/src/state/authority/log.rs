use std::collections::{BTreeMap, BTreeSet};

use imbl::OrdSet;

use super::{
    ControlOp, IssueInvite, JoinRequest, Operation,
    facts::{Facts, Field, Thing, Way},
};
use crate::{
    base::{DeviceId, EnvelopeId, IdentityId, ServerId, Timestamp},
    state::{
        authority::Standing,
        envelope::{Dag, Index, Past},
        identity::DeviceCertificate,
    },
};

/// The operations of a closed set that do not count in it. Few in any honest log, and shared.
pub(super) type Refused = OrdSet<Index>;

/// An operation by its (`order`, id): the least comes first.
pub(super) type InLine = ((u64, EnvelopeId), Index);

/// The control channel as authority sees it: its causality, and the operations in it, indexed by
/// what they touch. Nothing here depends on the order of arrival but the numbers.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) server: ServerId,
    pub(super) dag: Dag,
    pub(super) nodes: BTreeMap<Index, Node>,
    pub(super) ops: BTreeMap<Index, Op>,
    pub(super) channels: Vec<Index>,
    pub(super) gives: BTreeMap<Thing, Vec<Index>>,
    pub(super) takes: BTreeMap<Thing, Vec<Index>>,
    pub(super) sets: BTreeMap<Field, Vec<Index>>,
    /// Who is certified where, whether that counts or not.
    pub(super) certificates: BTreeMap<DeviceId, Vec<Index>>,
    /// The same by person, least (`order`, id) first.
    pub(super) vouched: BTreeMap<IdentityId, BTreeSet<InLine>>,
    /// By device: the revocations of it that count, which none ceases to.
    pub(super) revocations: BTreeMap<DeviceId, Vec<Index>>,
    /// By guest or owner: every admission and genesis, whether it counts or not.
    pub(super) admissions: BTreeMap<IdentityId, Vec<Index>>,
    /// By invite: the admissions that were entitled by it.
    pub(super) guests: BTreeMap<Index, Vec<Index>>,
    pub(super) kicks: BTreeMap<IdentityId, Vec<Index>>,
    pub(super) hearings: BTreeMap<EnvelopeId, Vec<Index>>,
    invites: BTreeMap<[u8; 32], Vec<Index>>,
    /// The owners of the genesis, by place.
    owners: Vec<IdentityId>,
}

/// What is known of every envelope.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) order: u64,
    /// The last operations in its past, itself included: all that its past says of authority.
    pub(super) heads: Vec<Index>,
}

/// An operation, judged by its past alone.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) id: EnvelopeId,
    pub(super) author: IdentityId,
    pub(super) order: u64,
    pub(super) timestamp: Timestamp,
    pub(super) does: ControlOp,
    pub(super) facts: Facts,
    /// Its standing, if it was entitled; and the best of the ways, but of a genesis.
    pub(super) standing: Option<Standing>,
    pub(super) way: Option<Way>,
    /// What does not count in its past and itself.
    pub(super) refused: Refused,
    /// How many operations its past holds, itself included.
    pub(super) size: usize,
}

impl Op {
    /// The operation, if it is not a channel's making.
    pub(super) fn operation(&self) -> Option<&Operation> {
        match &self.does {
            ControlOp::Operation(operation) => Some(operation),
            _ => None,
        }
    }

    /// What its people are certified by.
    pub(super) fn certificates(&self) -> &[DeviceCertificate] {
        match self.operation() {
            Some(Operation::Genesis(genesis)) => &genesis.owners,
            Some(Operation::Admit(request)) => std::slice::from_ref(&request.certificate),
            Some(Operation::AddDevice { certificate }) => std::slice::from_ref(certificate),
            _ => &[],
        }
    }

    /// Whom it brings in: the owners of a genesis, the guest of an admission.
    fn admitted(&self) -> impl Iterator<Item = IdentityId> {
        let brings = matches!(self.operation(), Some(Operation::Genesis(_) | Operation::Admit(_)));
        self.certificates().iter().filter(move |_| brings).map(|certificate| certificate.identity)
    }

    /// The invite that an admission uses.
    pub(super) fn invite(&self) -> Option<Index> {
        self.way.as_ref().and_then(|way| way.uses).map(|(invite, _)| invite)
    }

    /// Its place among all operations, everywhere the same.
    pub(super) fn rank(&self) -> (u64, EnvelopeId) {
        (self.order, self.id)
    }
}

impl Log {
    /// The log of a server of which nothing is known but its id.
    pub(super) fn new(server: ServerId) -> Self {
        Self {
            server,
            dag: Dag::default(),
            nodes: BTreeMap::new(),
            ops: BTreeMap::new(),
            channels: Vec::new(),
            gives: BTreeMap::new(),
            takes: BTreeMap::new(),
            sets: BTreeMap::new(),
            certificates: BTreeMap::new(),
            vouched: BTreeMap::new(),
            revocations: BTreeMap::new(),
            admissions: BTreeMap::new(),
            guests: BTreeMap::new(),
            kicks: BTreeMap::new(),
            hearings: BTreeMap::new(),
            invites: BTreeMap::new(),
            owners: Vec::new(),
        }
    }

    pub(super) fn op(&self, index: Index) -> &Op {
        &self.ops[&index]
    }

    /// A person's place in the genesis.
    pub(super) fn place(&self, person: &IdentityId) -> Option<u32> {
        let place = self.owners.iter().position(|owner| owner == person)?;
        u32::try_from(place).ok()
    }

    /// An operation in a past, by id.
    pub(super) fn op_in(&self, past: &Past, id: &EnvelopeId) -> Option<(Index, &Op)> {
        let index = self.dag.index(id).filter(|index| self.dag.holds(past, *index))?;
        self.ops.get(&index).map(|op| (index, op))
    }

    /// The invites of a key in a past, least (`order`, id) first.
    pub(super) fn invites_in(
        &self,
        past: &Past,
        key: &[u8; 32],
    ) -> impl Iterator<Item = (Index, &Op, &IssueInvite)> {
        let mut found: Vec<_> = of(&self.invites, key)
            .filter(|index| self.dag.holds(past, *index))
            .filter_map(|index| match self.op(index).operation() {
                Some(Operation::IssueInvite(invite)) => Some((index, self.op(index), invite)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|(_, op, _)| op.rank());
        found.into_iter()
    }

    /// The admissions by just this request in a past, whether they count or not.
    pub(super) fn granted_in<'a>(
        &'a self,
        past: &'a Past,
        request: &'a JoinRequest,
    ) -> impl Iterator<Item = Index> + 'a {
        let theirs = of(&self.admissions, &request.certificate.identity);
        theirs.filter(|index| self.dag.holds(past, *index)).filter(|index| {
            let operation = self.op(*index).operation();
            matches!(operation, Some(Operation::Admit(granted)) if granted.asks_as(request))
        })
    }

    /// Whether a past holds anything that ever brought this person in.
    pub(super) fn is_known(&self, past: &Past, person: &IdentityId) -> bool {
        of(&self.admissions, person).any(|index| self.dag.holds(past, index))
    }

    /// The last operations in the past of what is named.
    pub(super) fn heads_of(&self, named: impl IntoIterator<Item = Index>) -> Vec<Index> {
        let mut heads: Vec<_> =
            named.into_iter().flat_map(|index| self.nodes[&index].heads.iter().copied()).collect();
        heads.sort_unstable();
        heads.dedup();
        self.latest(heads)
    }

    /// Those of `heads` that are in the past of no other.
    pub(super) fn latest(&self, heads: Vec<Index>) -> Vec<Index> {
        let is_last = |index: &Index| !heads.iter().any(|other| self.dag.is_before(*index, *other));
        heads.iter().copied().filter(is_last).collect()
    }

    /// The closure of operations that are here.
    pub(super) fn closure(&self, heads: &[Index]) -> Past {
        let ids: Vec<_> = heads.iter().map(|index| self.dag.tip(*index).id).collect();
        self.dag.closure(&ids).expect("operations that are here")
    }

    /// Files an operation under everything it touches.
    pub(super) fn file(&mut self, index: Index, op: Op) {
        for thing in &op.facts.gives {
            self.gives.entry(*thing).or_default().push(index);
        }
        for thing in &op.facts.takes {
            self.takes.entry(*thing).or_default().push(index);
        }
        if let Some((field, _)) = &op.facts.sets {
            self.sets.entry(*field).or_default().push(index);
        }
        for person in op.admitted() {
            self.admissions.entry(person).or_default().push(index);
        }
        self.file_devices(index, &op);
        if let Some(invite) = op.invite() {
            self.guests.entry(invite).or_default().push(index);
        }
        match &op.does {
            ControlOp::Operation(Operation::Kick { target, .. }) => {
                self.kicks.entry(*target).or_default().push(index)
            }
            ControlOp::Operation(Operation::Heard { removal, .. }) => {
                self.hearings.entry(*removal).or_default().push(index);
            }
            ControlOp::Operation(Operation::Genesis(genesis)) => {
                self.owners = genesis.owners.iter().map(|owner| owner.identity).collect();
            }
            ControlOp::Operation(Operation::IssueInvite(invite)) => {
                self.invites.entry(invite.invite_public_key).or_default().push(index);
            }
            ControlOp::ChannelMade { .. } => self.channels.push(index),
            _ => {}
        }
        self.ops.insert(index, op);
    }
}

/// What is filed under a key.
pub(super) fn of<'a, K: Ord>(
    map: &'a BTreeMap<K, Vec<Index>>,
    key: &K,
) -> impl Iterator<Item = Index> + use<'a, K> {
    map.get(key).into_iter().flatten().copied()
}
