use std::collections::{BTreeMap, BTreeSet};

use super::{
    ChannelPolicy, ControlOp, Invite, Member, Operation, PermissionMatrix, Role, Said, Seniority,
    Standing,
    cut::{self, Cut},
    facts::{Field, Thing},
    log::{Log, of},
    view::View,
};
use crate::{
    base::{ChannelId, DeviceId, EnvelopeId, IdentityId, Tip},
    state::{envelope::Index, identity::DeviceCertificate},
};

/// Writes down what a view of a whole set resolves to.
pub(super) fn matrix(view: &View<'_>, control: ChannelId) -> PermissionMatrix {
    let members = members(view);
    let devices = members
        .iter()
        .flat_map(|(who, member)| member.devices.keys().map(move |device| (*device, *who)))
        .collect();
    let mut owners: Vec<_> = members.keys().filter(|who| view.is_owner(who)).copied().collect();
    owners.sort_unstable_by_key(|who| view.log.place(who));
    PermissionMatrix {
        owners,
        devices,
        invites: invites(view),
        channels: channels(view, control),
        removals: removals(view),
        seniority: seniority(view),
        members,
    }
}

/// The channels that count: their authors were entitled, and no removal cuts them off.
fn channels(view: &View<'_>, control: ChannelId) -> BTreeMap<ChannelId, ChannelPolicy> {
    let silent: BTreeSet<_> = cut_channels(view, control).into_iter().collect();
    let counting =
        view.log.channels.iter().filter(|made| view.sees(**made) && !silent.contains(*made));
    counting
        .filter_map(|made| {
            let op = view.log.op(*made);
            let ControlOp::ChannelMade { private } = op.does else { return None };
            let policy = ChannelPolicy { author: op.author, private };
            Some((ChannelId::new(*op.id.as_bytes()), policy))
        })
        .collect()
}

/// The channels whose making a removal of their author cuts off.
pub(super) fn cut_channels(view: &View<'_>, control: ChannelId) -> Vec<Index> {
    let mut cuts: BTreeMap<IdentityId, Vec<Cut>> = BTreeMap::new();
    let made = view.log.channels.iter().copied().filter(|made| view.sees(*made));
    made.filter(|index| {
        let op = view.log.op(*index);
        let cuts = cuts.entry(op.author).or_insert_with(|| cut::cuts_of(view, &op.author));
        cuts.iter().any(|cut| cuts_channel(view, control, cut, *index))
    })
    .collect()
}

fn cuts_channel(view: &View<'_>, control: ChannelId, cut: &Cut, index: Index) -> bool {
    let (dag, op) = (&view.log.dag, view.log.op(index));
    let said = Said {
        identity: op.author,
        channel: control,
        tip: dag.tip(index),
        timestamp: op.timestamp,
        past: &[],
    };
    let is_heard = |said, heard| is_in_log(view.log, said, heard);
    cut.cuts(view.log, &said, dag.past_of(index), is_heard)
}

/// Whether `said` is the tip `heard` of the control channel or before it in the same log.
pub(super) fn is_in_log(log: &Log, said: Tip, heard: Tip) -> bool {
    let (Some(said_at), Some(heard_at)) = (log.dag.index(&said.id), log.dag.index(&heard.id))
    else {
        return false;
    };
    log.dag.device(said_at) == log.dag.device(heard_at)
        && (said_at == heard_at || log.dag.is_before(said_at, heard_at))
}

fn members(view: &View<'_>) -> BTreeMap<IdentityId, Member> {
    let standings = view
        .log
        .admissions
        .keys()
        .filter_map(|who| view.person(who).map(|standing| (*who, standing)));
    standings.map(|(who, standing)| (who, member(view, who, standing))).collect()
}

fn member(view: &View<'_>, who: IdentityId, standing: Standing) -> Member {
    let grants: Vec<_> = view.memberships(&who).collect();
    let owner = view.is_owner(&who).then_some(Role::Owner);
    Member {
        standing,
        roles: std::iter::once(Role::Everyone).chain(owner).collect(),
        nickname: setting(view, Field::Nickname(who)),
        devices: devices(view, &who),
        admitted_by: grants.iter().map(|grant| view.log.op(*grant).id).collect(),
        seniority: seniority_of(view, &who),
    }
}

/// A person's devices that count, whichever grant they are a member by.
fn devices(view: &View<'_>, who: &IdentityId) -> BTreeMap<DeviceId, DeviceCertificate> {
    let devices = view.log.devices_in(view.past, who).into_iter();
    devices.map(|made| (made.device, made.clone())).collect()
}

fn setting(view: &View<'_>, field: Field) -> Option<super::Name> {
    let set = of(&view.log.sets, &field).filter(|index| view.sees(*index));
    let greatest = set.map(|index| view.log.op(index)).max_by_key(|op| op.rank())?;
    greatest.facts.sets.as_ref().map(|(_, name)| name.clone())
}

fn invites(view: &View<'_>) -> BTreeMap<EnvelopeId, Invite> {
    let issued = view.log.gives.iter().filter(|(thing, _)| matches!(thing, Thing::Invite(_)));
    let open = issued
        .flat_map(|(_, grants)| grants)
        .filter(|index| view.sees(**index) && view.is_open(**index));
    open.filter_map(|index| {
        let op = view.log.op(*index);
        let Some(Operation::IssueInvite(issued)) = op.operation() else { return None };
        let invite = Invite {
            issuer: op.author,
            public_key: issued.invite_public_key,
            max_uses: issued.max_uses,
            guests: view.guests(*index),
            expires: issued.expires,
        };
        Some((op.id, invite))
    })
    .collect()
}

fn removals(view: &View<'_>) -> BTreeMap<IdentityId, BTreeSet<EnvelopeId>> {
    let kicks = view.log.kicks.iter().map(|(who, kicks)| {
        let counting = kicks.iter().filter(|kick| view.sees(**kick));
        (*who, counting.map(|kick| view.log.op(*kick).id).collect::<BTreeSet<_>>())
    });
    kicks.filter(|(_, kicks)| !kicks.is_empty()).collect()
}

fn seniority(view: &View<'_>) -> BTreeMap<IdentityId, Seniority> {
    view.log.admissions.keys().map(|who| (*who, seniority_of(view, who))).collect()
}

fn seniority_of(view: &View<'_>, who: &IdentityId) -> Seniority {
    if let Some(place) = view.log.place(who) {
        return Seniority::Genesis(place);
    }
    admissions(view, who)
        .map(|index| view.log.op(index).rank())
        .min()
        .map_or(Seniority::Stranger(*who), |(order, id)| Seniority::Admitted(order, id))
}

/// The admissions of a person that count.
pub(super) fn admissions(view: &View<'_>, who: &IdentityId) -> impl Iterator<Item = Index> {
    of(&view.log.admissions, who).filter(|index| view.sees(*index))
}

/// What ended somebody's membership: every counting operation that took it; where they were one too
/// many, the admissions that came first; where an admission no longer counts, what took its invite,
/// and what ended its issuer. Empty for a member and for a stranger.
pub(super) fn ended_by(view: &View<'_>, who: &IdentityId) -> BTreeSet<EnvelopeId> {
    let (mut ended, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![*who];
    while let Some(person) = open.pop() {
        if view.person(&person).is_some() || !seen.insert(person) {
            continue;
        }
        ended.extend(taken(view, &Thing::Membership(person)));
        for admission in of(&view.log.admissions, &person) {
            if view.sees(admission) {
                ended.extend(crowded_out_by(view, admission));
            } else if let Some(way) = &view.log.op(admission).way {
                ended.extend(way.there.iter().flat_map(|thing| taken(view, thing)));
                open.push(way.actor);
            }
        }
    }
    ended.into_iter().map(|index| view.log.op(index).id).collect()
}

fn taken<'a>(view: &'a View<'_>, thing: &Thing) -> impl Iterator<Item = Index> + use<'a> {
    of(&view.log.takes, thing).filter(|index| view.sees(*index))
}

/// The admissions that left no use of its invite for this one.
fn crowded_out_by(view: &View<'_>, admission: Index) -> Vec<Index> {
    let invite = view.log.op(admission).invite().filter(|_| view.is_surplus(admission));
    let guests = invite.into_iter().flat_map(|invite| of(&view.log.guests, &invite));
    guests.filter(|guest| view.sees(*guest) && !view.is_surplus(*guest)).collect()
}
