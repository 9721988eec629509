use super::{Capability, Name, Operation, Standing, log::Log};
use crate::{
    base::{EnvelopeId, IdentityId, Timestamp},
    state::envelope::{Index, Past},
};

/// Something that can be had, given and taken: a grant of it holds if it has every counting removal
/// of the same thing in its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    /// To be a member.
    Membership(IdentityId),
    /// To be an owner, at the place where the genesis names them.
    Ownership(IdentityId),
    /// An invite's being in force.
    Invite(EnvelopeId),
}

/// Something that can be set, each by itself: the greatest (`order`, id) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// What somebody is called.
    Nickname(IdentityId),
}

/// What a removal takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reach {
    /// Every grant that does not have it in its past.
    #[default]
    Concurrent,
    /// Only the grants in its own past: of those who go by themselves.
    Past,
}

/// What somebody must have to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entitlement {
    Membership,
    Capability(Capability),
    /// Nothing: their identity signed it, member or not, and it touches nobody else.
    Signature,
}

/// One way in which an operation may be entitled.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// By whose power.
    pub(super) actor: IdentityId,
    pub(super) need: Entitlement,
    /// Things that must be there, and lend their standing.
    pub(super) there: Vec<Thing>,
    /// The people it acts on: they must stand below.
    pub(super) people: Vec<IdentityId>,
    /// The operations it acts on: they must stand below.
    pub(super) operations: Vec<Index>,
    /// The standing that it needs at the least.
    pub(super) least: Standing,
    /// The use of an invite that must be left.
    pub(super) uses: Option<(Index, IdentityId)>,
    /// It is too late for it, by the operation's own stamp.
    pub(super) expired: bool,
    /// Somebody who must be a member by the operation's past, and by nothing more.
    pub(super) writer: Option<IdentityId>,
}

/// What an operation needs and does. A further kind of operation is a further arm of [`facts`].
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The ways in which it may be entitled; of several the best holds.
    pub(super) ways: Vec<Way>,
    pub(super) gives: Vec<Thing>,
    pub(super) takes: Vec<Thing>,
    pub(super) reach: Reach,
    pub(super) sets: Option<(Field, Name)>,
    /// It counts whenever it was entitled by its past.
    pub(super) is_final: bool,
    /// Of an admission: those in its past by the very same request, whether they count or not.
    pub(super) granted: Vec<Index>,
}

impl Way {
    fn new(actor: IdentityId, need: Entitlement) -> Self {
        Self {
            actor,
            need,
            there: Vec::new(),
            people: Vec::new(),
            operations: Vec::new(),
            least: Standing::EVERYONE,
            uses: None,
            expired: false,
            writer: None,
        }
    }

    fn capable(actor: IdentityId, capability: Capability) -> Self {
        Self::new(actor, Entitlement::Capability(capability))
    }

    fn on(mut self, person: IdentityId) -> Self {
        self.people.push(person);
        self
    }
}

/// What the making of a channel needs. It is content: judged by its past alone.
pub(super) fn of_channel(author: IdentityId) -> Facts {
    let ways = vec![Way::capable(author, Capability::ManageChannels)];
    Facts { ways, is_final: true, ..Facts::default() }
}

/// What `operation` needs and does, written by `author` at `timestamp` knowing `past`.
///
/// Whatever it names must lie in that past; where something does not, there is no way.
pub(super) fn facts(
    log: &Log,
    past: &Past,
    author: IdentityId,
    timestamp: Timestamp,
    operation: &Operation,
    own_id: EnvelopeId,
) -> Facts {
    match operation {
        Operation::Genesis(genesis) => {
            let people = genesis.owners.iter().map(|owner| owner.identity);
            let gives =
                people.flat_map(|who| [Thing::Membership(who), Thing::Ownership(who)]).collect();
            Facts { gives, is_final: true, ..Facts::default() }
        }
        Operation::IssueInvite(_) => Facts {
            ways: vec![Way::capable(author, Capability::CreateInvite)],
            gives: vec![Thing::Invite(own_id)],
            ..Facts::default()
        },
        Operation::RevokeInvite { invite } => Facts {
            ways: revocation(log, past, author, invite).into_iter().collect(),
            takes: vec![Thing::Invite(*invite)],
            ..Facts::default()
        },
        Operation::Admit(request) => Facts {
            ways: admission(
                log,
                past,
                author,
                timestamp,
                &request.invite,
                request.certificate.identity,
            ),
            gives: vec![Thing::Membership(request.certificate.identity)],
            granted: log.granted_in(past, request).collect(),
            ..Facts::default()
        },
        Operation::Kick { target, .. } => Facts {
            ways: log
                .is_known(past, target)
                .then(|| removal(author, *target))
                .into_iter()
                .collect(),
            takes: everything_of(*target),
            ..Facts::default()
        },
        Operation::Heard { removal, .. } => Facts {
            ways: hearing(log, past, author, removal).into_iter().collect(),
            ..Facts::default()
        },
        Operation::Leave => Facts {
            ways: vec![Way::new(author, Entitlement::Membership)],
            takes: everything_of(author),
            reach: Reach::Past,
            is_final: true,
            ..Facts::default()
        },
        Operation::AddDevice { certificate } => of_device(author, certificate.identity == author),
        Operation::RevokeDevice { device, signature } => {
            of_device(author, log.may_revoke(past, &author, device, signature))
        }
        Operation::SetNickname { target, name } => {
            let target = target.unwrap_or(author);
            Facts {
                ways: naming(log, past, author, target).into_iter().collect(),
                sets: Some((Field::Nickname(target), name.clone())),
                ..Facts::default()
            }
        }
    }
}

/// What concerns a person's own devices is judged by its past alone.
fn of_device(author: IdentityId, sound: bool) -> Facts {
    let ways = sound.then(|| Way::new(author, Entitlement::Signature)).into_iter().collect();
    Facts { ways, is_final: true, ..Facts::default() }
}

/// All that a person can have and a removal takes.
fn everything_of(person: IdentityId) -> Vec<Thing> {
    vec![Thing::Membership(person), Thing::Ownership(person)]
}

fn removal(author: IdentityId, target: IdentityId) -> Way {
    Way::capable(author, Capability::KickMembers).on(target)
}

/// Who could have made the removal, at its standing or higher, may say more of what was heard.
fn hearing(log: &Log, past: &Past, author: IdentityId, id: &EnvelopeId) -> Option<Way> {
    let (_, op) = log.op_in(past, id)?;
    let Some(Operation::Kick { target, .. }) = op.operation() else { return None };
    Some(Way { least: op.standing?, ..removal(author, *target) })
}

fn revocation(log: &Log, past: &Past, author: IdentityId, id: &EnvelopeId) -> Option<Way> {
    let (index, op) = log.op_in(past, id)?;
    if !matches!(op.operation(), Some(Operation::IssueInvite(_))) {
        return None;
    }
    if op.author == author {
        return Some(Way::new(author, Entitlement::Membership));
    }
    let way = Way::capable(author, Capability::ManageInvites);
    Some(Way { operations: vec![index], ..way })
}

/// An admission is judged as if an issuer had written it, by any invite of that key in its past.
fn admission(
    log: &Log,
    past: &Past,
    author: IdentityId,
    timestamp: Timestamp,
    key: &[u8; 32],
    guest: IdentityId,
) -> Vec<Way> {
    let invites = log.invites_in(past, key);
    let ways = invites.map(|(index, op, invite)| Way {
        there: vec![Thing::Invite(op.id)],
        uses: Some((index, guest)),
        expired: timestamp > invite.expires,
        writer: Some(author),
        ..Way::capable(op.author, Capability::CreateInvite)
    });
    ways.collect()
}

fn naming(log: &Log, past: &Past, author: IdentityId, target: IdentityId) -> Option<Way> {
    if target == author {
        return Some(Way::capable(author, Capability::ChangeNickname));
    }
    log.is_known(past, &target)
        .then(|| Way::capable(author, Capability::ManageNicknames).on(target))
}
