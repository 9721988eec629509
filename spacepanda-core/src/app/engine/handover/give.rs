use super::{
    super::{
        machine::{Cx, Node, Work},
        reads::{Loaded, Reads},
        server::Server,
        talk::{message, place_of},
    },
    Answer, Answers, Asks, Frame,
    frames::Handed,
};
use crate::{
    base::{Bug, ChannelId, IdentityId, PeerId, Tip, limits::BODY_LEN_MAX},
    state::{
        authority::{Capability, PermissionMatrix},
        crdt::{
            Content, Reading,
            timeline::{self, Step},
        },
        envelope::Header,
        link::Kind,
    },
};

/// Bytes of an answer beside its content.
const ANSWER_HEAD_LEN: usize = 160;

impl Server {
    /// The messages that a peer asks for, and their rows in the timeline.
    pub(in super::super) fn hand_over_reads(
        &self,
        node: &Node,
        peer: &PeerId,
        asks: &Asks,
        loaded: &Loaded,
    ) -> Reads {
        if node.is_settling(&self.id) || self.reader(peer, &asks.channel).is_none() {
            return Reads::default();
        }
        let mut reads = Reads::default();
        for tip in &asks.tips {
            reads.entries.push((asks.channel, *tip));
            let envelope = message(loaded, &asks.channel, tip);
            let place = envelope.and_then(|(envelope, _)| place_of(node, envelope.header()));
            let found = place.map(|place| timeline::find(&loaded.rows, &place, &tip.id));
            if let Some(Ok(Step::Load(rows))) = found {
                reads.rows.extend(rows);
            }
        }
        reads
    }

    /// Answers what a peer asks for: as much as one frame holds; for the rest it asks again.
    pub(in super::super) fn hand_over(
        &mut self,
        node: &mut Node,
        peer: PeerId,
        asks: Asks,
        cx: &mut Cx<'_>,
    ) {
        // What arrived may have put somebody out: that is looked at first.
        if node.is_settling(&self.id) {
            node.queue(Work::HandOver { server: self.id, peer, asks });
            return;
        }
        let (server, channel) = (self.id, asks.channel);
        let (mut answers, mut len) = (Vec::new(), 0);
        for tip in asks.tips {
            let handed = self.handed(node, &peer, &channel, &tip, cx.loaded);
            len += ANSWER_HEAD_LEN + handed.as_ref().map_or(0, |handed| handed.content.len());
            if len > BODY_LEN_MAX {
                break;
            }
            answers.push(Answer { tip, handed });
        }
        let frame = Frame::Answers(Answers { server, channel, answers });
        node.send(peer, Kind::HandOver, &frame.encode(), cx);
    }

    /// What a peer may have of a message that was opened here.
    fn handed(
        &self,
        node: &Node,
        peer: &PeerId,
        channel: &ChannelId,
        tip: &Tip,
        loaded: &Loaded,
    ) -> Option<Handed> {
        let reader = self.reader(peer, channel)?;
        let (envelope, _) = message(loaded, channel, tip)?;
        let header = envelope.header();
        let may = self.may_read(peer, &reader, header);
        if Bug::HandsOverNothing.is_planted() || !may && !Bug::HandsOverToAnybody.is_planted() {
            return None;
        }
        let place = place_of(node, header)?;
        match timeline::find(&loaded.rows, &place, &tip.id) {
            Ok(Step::Done(Some(entry))) => match entry.reading {
                Reading::Text { text, salt } => {
                    let content = Content::Text { text }.encode();
                    Some(Handed { salt: *salt.as_bytes(), content })
                }
                Reading::Unreadable { .. } | Reading::Waiting => None,
            },
            _ => None,
        }
    }

    /// Whose device asks, if they may read the channel now.
    fn reader(&self, peer: &PeerId, channel: &ChannelId) -> Option<IdentityId> {
        let known = *channel != self.control && self.knows(channel);
        if !known || self.authority.is_revoked(peer) {
            return None;
        }
        let identity = self.authority.certified(peer)?;
        let anybody = Bug::HandsOverToAnybody.is_planted();
        (anybody || views(&self.matrix, &identity, channel)).then_some(identity)
    }

    /// Whether a message is for a reader with whom its channel is shared: it is their own, or its author
    /// knew of an admission by which they are in, or they might read the channel by what its author knew.
    /// Where it stands does not say: on another branch of a log that forks that number may be theirs.
    fn may_read(&self, peer: &PeerId, reader: &IdentityId, header: &Header) -> bool {
        let (channel, past) = (&header.channel, header.control_past());
        let is_theirs = self.is_since_admission(reader, &past) == Some(true)
            || self.writer_of(header) == Some(*reader);
        self.shares_with(peer, channel) && is_theirs
            || self.authority.resolve(&past).is_ok_and(|then| views(&then, reader, channel))
    }
}

fn views(matrix: &PermissionMatrix, identity: &IdentityId, channel: &ChannelId) -> bool {
    matrix.allows(identity, Some(channel), Capability::ViewChannel)
}
