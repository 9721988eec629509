use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        event::Event,
        machine::{Cx, Node},
        rows::UnopenedRow,
        server::Server,
        share::Share,
    },
    ANSWER_PATIENCE, ASKS_MAX, Ask, Asks, Frame, HandOver, Wanted, at_once, in_a_moment,
};
use crate::{
    base::{ChannelId, IdentityId, PeerId, Timestamp, Tip, limits::HAND_OVER_TIPS_MAX},
    state::link::Kind,
};

/// A connected device that may be asked.
struct Holder {
    peer: PeerId,
    identity: IdentityId,
}

impl Server {
    /// Takes a message that waited when this node was last open.
    pub(in super::super) fn take_unopened(&mut self, row: &UnopenedRow, now: Timestamp) {
        let (channel, tip) = (row.channel, row.tip);
        if row.lost.is_some() {
            return self.handover.want(channel, tip, at_once(now));
        }
        self.unopened.entry(row.state).or_default().insert((channel, tip));
        self.handover.want(channel, tip, in_a_moment(now));
    }

    /// Asks for what cannot be opened here: first its author's devices, then others that may read the
    /// channel, one at a time.
    pub(in super::super) fn ask_around(&mut self, node: &mut Node, cx: &mut Cx<'_>) {
        if self.handover.is_over() {
            return;
        }
        self.handover.expire(cx.now);
        let mine = self.mine(&node.me().identity());
        for (peer, asks) in self.requests(node, &mine, cx.now) {
            let ask = Ask {
                channel: asks.channel,
                tips: asks.tips.iter().copied().collect(),
                until: cx.now.saturating_add(ANSWER_PATIENCE),
            };
            self.handover.asks.insert(peer, ask);
            node.send(peer, Kind::HandOver, &Frame::Asks(asks).encode(), cx);
        }
        self.handover.plan(cx.now);
        self.tell_unopened(&mine, cx);
    }

    /// What of each channel is for this node's person; nothing of one who is no member.
    fn mine(&self, me: &IdentityId) -> BTreeMap<ChannelId, Share> {
        if !self.is_member(me) {
            return BTreeMap::new();
        }
        let of: BTreeSet<ChannelId> = self.handover.wanted.keys().map(|place| place.0).collect();
        let held = of.iter().filter_map(|channel| self.channels.get(channel));
        held.map(|channel| (channel.id, self.due_of(channel, me))).collect()
    }

    /// One request for each peer that is asked now.
    fn requests(
        &mut self,
        node: &Node,
        mine: &BTreeMap<ChannelId, Share>,
        now: Timestamp,
    ) -> BTreeMap<PeerId, Asks> {
        let identity = |peer| Some(Holder { peer, identity: self.authority.certified(&peer)? });
        let holders: Vec<Holder> = node.links.peers().filter_map(identity).collect();
        let mut wanted = std::mem::take(&mut self.handover.wanted);
        let mut requests: BTreeMap<PeerId, Asks> = BTreeMap::new();
        for ((channel, tip), wanted) in &mut wanted {
            if !is_mine(mine, channel, tip) || !wanted.is_due(now) {
                continue;
            }
            let next = self.next_holders(&holders, channel, tip, wanted);
            if next.is_empty() {
                wanted.rest(now);
                continue;
            }
            let is_free = |holder: &&&Holder| match requests.get(&holder.peer) {
                Some(asks) => asks.channel == *channel && asks.tips.len() < HAND_OVER_TIPS_MAX,
                None => {
                    let under_way = &self.handover.asks;
                    under_way.len() + requests.len() < ASKS_MAX
                        && !under_way.contains_key(&holder.peer)
                }
            };
            let Some(Holder { peer, identity }) = next.iter().find(is_free) else { continue };
            wanted.round.insert(*peer);
            wanted.people.insert(*identity);
            wanted.with = Some(*peer);
            let (server, channel) = (self.id, *channel);
            let asks = requests.entry(*peer);
            asks.or_insert_with(|| Asks { server, channel, tips: Vec::new() }).tips.push(*tip);
        }
        self.handover.wanted = wanted;
        requests
    }

    /// Who of those that were not asked yet is to be asked: while an author's device is among them, only
    /// these.
    fn next_holders<'a>(
        &self,
        holders: &'a [Holder],
        channel: &ChannelId,
        tip: &Tip,
        wanted: &Wanted,
    ) -> Vec<&'a Holder> {
        let author = self.authority.certified(&tip.device);
        let fresh = || holders.iter().filter(|holder| !wanted.round.contains(&holder.peer));
        let of_author: Vec<_> = fresh().filter(|holder| Some(holder.identity) == author).collect();
        if of_author.is_empty() {
            fresh().filter(|holder| self.shares_with(&holder.peer, channel)).collect()
        } else {
            of_author
        }
    }

    /// How many messages for this node's person cannot be opened yet, and who was asked for them.
    pub(in super::super) fn unopened_now(&self, me: &IdentityId) -> (usize, Vec<String>) {
        self.count_unopened(&self.mine(me))
    }

    fn count_unopened(&self, mine: &BTreeMap<ChannelId, Share>) -> (usize, Vec<String>) {
        let wanted = self.handover.wanted.iter();
        let (mut count, mut people) = (0, BTreeSet::new());
        for (_, wanted) in wanted.filter(|((channel, tip), _)| is_mine(mine, channel, tip)) {
            count += 1;
            people.extend(&wanted.people);
        }
        (count, self.names_of(&people))
    }

    /// Who was asked for a message.
    pub(in super::super) fn asked_for(&self, channel: &ChannelId, tip: &Tip) -> Vec<String> {
        let wanted = self.handover.wanted.get(&(*channel, *tip));
        wanted.map(|wanted| self.names_of(&wanted.people)).unwrap_or_default()
    }

    pub(in super::super) fn names_of(&self, people: &BTreeSet<IdentityId>) -> Vec<String> {
        let mut names: Vec<_> = people.iter().map(|identity| self.name_of(identity)).collect();
        names.sort_unstable();
        names
    }

    /// Tells that others are asked, whenever that is somebody else than before, and that nothing waits
    /// any more.
    fn tell_unopened(&mut self, mine: &BTreeMap<ChannelId, Share>, cx: &mut Cx<'_>) {
        let (count, asked) = self.count_unopened(mine);
        let (told, told_asked) = &self.handover.told;
        let news = if count == 0 { *told > 0 } else { !asked.is_empty() && asked != *told_asked };
        if news {
            self.handover.told = (count, asked.clone());
            cx.tell(Event::Unopened { server: self.id, count, asked });
        }
    }
}

fn is_mine(mine: &BTreeMap<ChannelId, Share>, channel: &ChannelId, tip: &Tip) -> bool {
    mine.get(channel).is_some_and(|share| share.covers(tip))
}

impl HandOver {
    /// Whether nothing waits, and that was told; time calls for nothing then.
    pub(super) fn is_over(&mut self) -> bool {
        let over = self.wanted.is_empty() && self.asks.is_empty() && self.told.0 == 0;
        if over {
            self.at = None;
        }
        over
    }
}
