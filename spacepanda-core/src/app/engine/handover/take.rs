use bytes::Bytes;

use super::{
    super::{
        machine::{Cx, Machine, Node, Work},
        server::Server,
        talk::message,
    },
    Answer, Answers, Frame,
};
use crate::{
    base::{ChannelId, PeerId},
    state::{
        envelope::{Opened, Verified},
        mls::{self, MessagePayload, Plaintext},
    },
};

impl Machine {
    /// A peer asks for messages, or answers; what cannot be read is skipped.
    pub(in super::super) fn handover_said(
        &mut self,
        peer: PeerId,
        payload: &Bytes,
        cx: &mut Cx<'_>,
    ) {
        match Frame::decode(payload) {
            Ok(Frame::Asks(asks)) => {
                self.node.queue(Work::HandOver { server: asks.server, peer, asks });
            }
            Ok(Frame::Answers(answers)) => {
                if let Some(server) = self.servers.get_mut(&answers.server) {
                    server.answered(&mut self.node, peer, answers, cx);
                }
            }
            Err(_) => {}
        }
    }
}

impl Server {
    /// Takes a peer's answers to what it was asked for, and asks on for the rest.
    fn answered(&mut self, node: &mut Node, peer: PeerId, answers: Answers, cx: &mut Cx<'_>) {
        let (server, channel) = (self.id, answers.channel);
        let mut answers = answers.answers;
        answers.retain(|answer| self.handover.was_asked(&(channel, answer.tip), &peer));
        if answers.is_empty() {
            return;
        }
        let ask = self.handover.drop_ask(&peer);
        let asked = ask.map(|ask| ask.tips).unwrap_or_default();
        // An answer to nothing of what was asked last is none: it would be asked again for all of it.
        let answers_it = answers.iter().any(|answer| asked.contains(&answer.tip));
        let unanswered = asked.into_iter().filter(|_| answers_it);
        for tip in unanswered.filter(|tip| answers.iter().all(|answer| answer.tip != *tip)) {
            // Its frame was full: it is asked again for these.
            if let Some(wanted) = self.handover.wanted.get_mut(&(channel, tip)) {
                wanted.round.remove(&peer);
            }
        }
        for answer in answers {
            let wanted = self.handover.wanted.get_mut(&(channel, answer.tip));
            if let (Some(wanted), Some(_)) = (wanted, &answer.handed) {
                // Nobody else is asked until it is looked at.
                wanted.with = Some(peer);
                node.queue(Work::HandedOver { server, peer, channel, answer });
            }
        }
        self.ask_around(node, cx);
    }

    /// Takes a message that was handed over, if it is what its author committed to; else the peer does
    /// not hold it.
    pub(in super::super) fn take_over(
        &mut self,
        node: &mut Node,
        peer: PeerId,
        channel: ChannelId,
        answer: Answer,
        cx: &mut Cx<'_>,
    ) {
        let place = (channel, answer.tip);
        if !self.handover.was_asked(&place, &peer) {
            return;
        }
        match check(channel, answer, cx) {
            Some((envelope, payload, opened)) => {
                self.counts.handed_over += 1;
                self.read(node, &envelope, &payload, Ok(opened), cx);
            }
            None => self.handover.not_held(&place, &peer),
        }
        self.ask_around(node, cx);
    }
}

fn check(
    channel: ChannelId,
    answer: Answer,
    cx: &Cx<'_>,
) -> Option<(Verified, MessagePayload, Opened<Plaintext>)> {
    let handed = answer.handed?;
    let (envelope, payload) = message(cx.loaded, &channel, &answer.tip)?;
    let opened = mls::handed_over(&envelope, handed.salt, handed.content).ok()?;
    Some((envelope, payload, opened))
}
