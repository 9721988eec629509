//! Starting a group over: roots of later generations, who may write one, and when this device does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    machine::{Cx, Node},
    published::Plea,
    server::Server,
};
use crate::{
    base::{DeviceId, EnvelopeId, IdentityId, StateId, Timestamp},
    state::{
        authority::{Capability, PermissionMatrix},
        envelope::{Past, PayloadType, Verified},
        mls::{
            Group, RootPayload, Settings, group_id,
            tree::{Root, View, Window},
        },
    },
};

/// Pleas of one's own that nobody answered, after which one starts over if one may.
pub(super) const VAIN_PLEAS: usize = 3;
/// How long each other member waits longer than the one before, where nobody is entitled by office.
const ROOT_TURN: Duration = Duration::from_secs(60 * 60);
/// Members who wrote within this time are asked for by a root that no office entitles to.
const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The roots that count by their own past, for ever, and when everything in the control channel was
/// written, by which that is judged.
#[derive(Debug, Default)]
pub(super) struct Roots {
    standings: BTreeMap<EnvelopeId, u64>,
    stamps: BTreeMap<EnvelopeId, Timestamp>,
}

impl Roots {
    /// Notes when an envelope of the control channel was written, by its author's clock.
    pub(super) fn note(&mut self, envelope: &Verified) {
        self.stamps.insert(envelope.id(), envelope.header().timestamp);
    }

    /// When an envelope of the control channel was written, by its author's clock.
    pub(super) fn written_at(&self, envelope: &EnvelopeId) -> Option<Timestamp> {
        self.stamps.get(envelope).copied()
    }

    /// The standing with which a root counts by its own past.
    pub(super) fn standing(&self, root: &EnvelopeId) -> Option<u64> {
        self.standings.get(root).copied()
    }
}

impl Server {
    /// Adds a root that counts by its own past. The first generation's is the founder's, right after the
    /// genesis; any other is one generation newer than every root it knows of.
    pub(super) fn take_in_root(&mut self, envelope: &Verified) {
        let header = envelope.header();
        let Ok(payload) = RootPayload::decode(&header.payload) else { return };
        let Some(author) = self.authority.author_of(&envelope.id()) else { return };
        let standing = match payload.generation {
            0 => self.founds(envelope, &author),
            generation => self.starts_over(envelope, generation),
        };
        let Some(standing) = standing else { return };
        self.roots.standings.insert(envelope.id(), standing);
        self.tree.add_root(Root {
            envelope: envelope.id(),
            generation: payload.generation,
            state: payload.state,
            author,
            device: header.sender,
        });
    }

    fn founds(&self, envelope: &Verified, author: &IdentityId) -> Option<u64> {
        let header = envelope.header();
        let past = self.authority.resolve(&header.control_past()).ok()?;
        let first = header.sequence == 2 && header.parents.is_empty();
        let member = past.member(author)?;
        (first && past.owners().first() == Some(author)).then(|| member.standing.number())
    }

    /// By office, or because at least half of those who wrote lately have pleaded for one state in vain.
    fn starts_over(&self, envelope: &Verified, generation: u32) -> Option<u64> {
        let header = envelope.header();
        let ids = header.control_past();
        let matrix = self.authority.resolve(&ids).ok()?;
        let past = self.authority.dag().closure(&ids).ok()?;
        let author = matrix.device(&header.sender)?;
        let member = matrix.member(&author)?;
        let is_next = self.newest_generation(&past)?.checked_add(1) == Some(generation);
        let entitled = may_start_over(&matrix, &author) || self.is_given_up(&matrix, &past);
        (is_next && entitled).then(|| member.standing.number())
    }

    fn newest_generation(&self, past: &Past) -> Option<u32> {
        self.roots_in(past).map(|root| root.generation).max()
    }

    /// The roots that count by their own past, of those that a past holds.
    fn roots_in<'a>(&'a self, past: &'a Past) -> impl Iterator<Item = &'a Root> {
        let dag = self.authority.dag();
        let held =
            move |id: &&EnvelopeId| dag.index(id).is_some_and(|index| dag.holds(past, index));
        self.roots.standings.keys().filter(held).filter_map(|id| self.tree.root(id))
    }

    /// Whether a past holds pleas for one state by at least half of the members who wrote lately. A plea
    /// that a root knew of is answered by it: it carries no other.
    fn is_given_up(&self, matrix: &PermissionMatrix, past: &Past) -> bool {
        let lately = self.wrote_lately(matrix, past);
        let dag = self.authority.dag();
        let roots: Vec<&Root> = self.roots_in(past).collect();
        let view = self.view();
        let is_answered =
            |plea: &EnvelopeId| roots.iter().any(|root| view.knows(&root.envelope, plea));
        let mut pleading: BTreeMap<StateId, BTreeSet<IdentityId>> = BTreeMap::new();
        for device in self.packages.pleaders() {
            let Some(identity) = matrix.device(device).filter(|who| lately.contains(who)) else {
                continue;
            };
            for plea in self.packages.all_pleas(device) {
                let held = dag.index(&plea.envelope).is_some_and(|index| dag.holds(past, index));
                if held && !is_answered(&plea.envelope) {
                    pleading.entry(plea.lost).or_default().insert(identity);
                }
            }
        }
        pleading.values().any(|people| 2 * people.len() >= lately.len())
    }

    /// The members who wrote in the control channel lately.
    fn wrote_lately(&self, matrix: &PermissionMatrix, past: &Past) -> BTreeSet<IdentityId> {
        let dag = self.authority.dag();
        let mut last: BTreeMap<IdentityId, Timestamp> = BTreeMap::new();
        for (id, stamp) in &self.roots.stamps {
            if !dag.index(id).is_some_and(|index| dag.holds(past, index)) {
                continue;
            }
            let author = self.authority.author_of(id);
            if let Some(author) = author.filter(|author| matrix.is_member(author)) {
                let newest = last.entry(author).or_default();
                *newest = (*newest).max(*stamp);
            }
        }
        lately(last)
    }

    /// Starts the group over if one's pleas were in vain and one may: at once by office, else when it is
    /// one's turn.
    pub(super) fn start_over(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        self.start_over_at = None;
        let Some(at) = self.may_start_over_at(node) else { return };
        if at > cx.now {
            self.start_over_at = Some(at);
            return;
        }
        self.write_root(node, cx);
    }

    fn may_start_over_at(&self, node: &Node) -> Option<Timestamp> {
        let head = self.head?;
        let me = node.me().identity();
        if self.stand == Some(head) && may_start_over(&self.matrix, &me) && self.misleads(node) {
            return Some(Timestamp::ZERO);
        }
        // A head that is kept and not stood on yet is about to be.
        if self.stand == Some(head) || self.may_stand_on(&head) || !self.is_member(&me) {
            return None;
        }
        if may_start_over(&self.matrix, &me) && self.is_deserted(&head) {
            return Some(Timestamp::ZERO);
        }
        let mine = self.in_vain_since_the_root(&node.device(), &head);
        let last = mine.get(VAIN_PLEAS - 1..)?.last()?.at;
        if may_start_over(&self.matrix, &me) {
            return Some(last);
        }
        let dag = self.authority.dag();
        let everything = dag.closure(dag.heads().iter().map(|tip| &tip.id)).ok()?;
        let turn = u32::try_from(self.turn(node)).unwrap_or(u32::MAX);
        self.is_given_up(&self.matrix, &everything)
            .then(|| last.saturating_add(ROOT_TURN.saturating_mul(turn)))
    }

    /// The pleas of a device in vain that the root of the chosen path did not know of: it answers all
    /// others, as whoever it begins with lets everybody in.
    fn in_vain_since_the_root(&self, device: &DeviceId, head: &StateId) -> Vec<Plea> {
        self.since_the_root(self.pleas().in_vain(device, head))
    }

    /// Those of some pleas that the root of the chosen path did not know of.
    pub(super) fn since_the_root(&self, mut pleas: Vec<Plea>) -> Vec<Plea> {
        let view = self.view();
        if let Some(root) = self.choice.as_ref().map(|choice| choice.root) {
            pleas.retain(|plea| !view.knows(&root, &plea.envelope));
        }
        pleas
    }

    /// Whether no device that has a leaf in a state is one that counts: all have become new devices, and
    /// nobody is left who could add any.
    fn is_deserted(&self, state: &StateId) -> bool {
        let roster = self.roster(state);
        !roster.is_empty()
            && roster.iter().all(|(device, who)| self.matrix.device(device) != Some(*who))
    }

    fn write_root(&mut self, node: &mut Node, cx: &mut Cx<'_>) -> Option<()> {
        let generation = self.tree.newest_root(&self.view())?.generation.checked_add(1)?;
        let Window { hours, states } =
            self.stand_group().map_or(Window::default(), |group| group.settings().window());
        let settings = Settings { generation, window_hours: hours, window_states: states };
        let account = node.me();
        let group = Group::create(
            &account.device_key,
            &account.certificate,
            &group_id(&self.id, generation),
            settings,
            &cx.chance.secret(),
        )
        .ok()?;
        let state = group.state_id();
        let payload = RootPayload { generation, state }.encode();
        self.write_control(node, PayloadType::Root, payload, cx)?;
        self.keep_state(node, state, group, cx);
        node.settle(self.id);
        Some(())
    }
}

/// Who wrote last within 30 days of the second newest of these: one who stamps ahead makes nobody else
/// look silent.
fn lately(mut last: BTreeMap<IdentityId, Timestamp>) -> BTreeSet<IdentityId> {
    let mut stamps: Vec<_> = last.values().copied().collect();
    stamps.sort_unstable();
    let reference = stamps.iter().rev().nth(1).or(stamps.last()).copied().unwrap_or_default();
    last.retain(|_, stamp| reference.since(*stamp) <= LATELY);
    last.into_keys().collect()
}

/// Whether somebody may start the group over by office: whoever may manage the server.
fn may_start_over(matrix: &PermissionMatrix, identity: &IdentityId) -> bool {
    matrix.explain(identity, None, Capability::ManageServer).allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who wrote lately, of people who wrote last after so many days.
    fn of<const N: usize>(days: [u64; N]) -> Vec<usize> {
        let who = |number: usize| IdentityId::new([number as u8; 32]);
        let at = |days: u64| Timestamp::from_micros(days * 24 * 60 * 60 * 1_000_000);
        let last = days.into_iter().enumerate().map(|(number, days)| (who(number), at(days)));
        let lately = lately(last.collect());
        (0..N).filter(|number| lately.contains(&who(*number))).collect()
    }

    #[test]
    fn whoever_stamps_ahead_makes_nobody_else_look_silent() {
        // Alone among those who wrote lately, the last could plead for everybody.
        assert_eq!(of([100, 99, 98, 131]), [0, 1, 2, 3]);
        assert_eq!(of([100, 99, 98, 36_500]), [0, 1, 2, 3]);
    }

    #[test]
    fn members_who_are_silent_for_a_month_are_not_asked() {
        assert_eq!(of([100, 100, 70, 69]), [0, 1, 2]);
        assert_eq!(of([7]), [0]);
        assert_eq!(of([]), [0_usize; 0]);
    }
}
