use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use spacepanda_core::{
    app::engine::{Act, Event, Input, Link, Tell},
    base::{ChannelId, EnvelopeId, LogEntry},
};

use super::{
    network::Network,
    node::{Done, Node, Progress},
    trace::Kind,
    world::{Happening, World},
};

/// How long a save takes at most.
const SAVE_MAX: Duration = Duration::from_millis(8);
/// How long a frame is on its way at most, on one link at least, and beyond that by chance.
const DELAY_MAX: Duration = Duration::from_millis(120);
/// How much later than others of its link a frame arrives at most.
const LATE_MAX: Duration = Duration::from_millis(15);
/// How long a dial that reaches nobody takes at most.
const PATIENCE_MAX: Duration = Duration::from_secs(3);

/// Carrying out what machines decide, as a node's driver does, between nodes.
impl World<'_> {
    pub(super) fn frame(&mut self, link: Link, bytes: Bytes) -> Option<usize> {
        let node = self.network.hears(link).filter(|node| self.nodes[*node].is_up())?;
        let (bytes, twice) = self.faults.frame(node, bytes);
        if twice {
            self.push(node, Input::Frame { link, bytes: bytes.clone() });
        }
        self.push(node, Input::Frame { link, bytes });
        Some(node)
    }

    /// Gives a node what reached it.
    pub(super) fn push(&mut self, node: usize, input: Input) {
        let seed = self.entropy.secret();
        let now = self.now;
        match self.nodes[node].guest_mut() {
            None => self.nodes[node].push(input),
            Some(guest) => {
                let acts = guest.take(input, now, seed);
                acts.into_iter().for_each(|act| self.act(node, act));
            }
        }
    }

    pub(super) fn dialled(&mut self, from: (usize, u32), dial: u64, to: usize) -> Option<usize> {
        let (node, life) = from;
        if self.nodes[node].life != life || !self.nodes[node].is_running() {
            return None;
        }
        if !self.nodes[to].is_up() || !self.network.can_dial(node, to) {
            let late = self.delays.within(PATIENCE_MAX);
            self.after(late, Happening::DialFailed { from, dial });
            return None;
        }
        let delay = self.delays.within(DELAY_MAX);
        let (link, other) = self.network.join((node, to), self.now, delay);
        self.after(delay, Happening::Opened { link, from, dial });
        self.push(to, Input::Connected { link: other, dial: None });
        Some(to)
    }

    /// Makes a node's steps, and carries out what comes of them, until it is idle.
    pub(super) fn drive(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].asleep.is_some() {
            return Ok(());
        }
        while self.nodes[node].is_busy() {
            let progress = self.nodes[node].steps(self.now, &mut self.entropy)?;
            let misread = progress.misread;
            self.progress(node, progress)?;
            if misread {
                self.outcome.failed_loads += 1;
                return self.recover(node, true);
            }
        }
        self.nodes[node].plan_tick();
        self.watch_stand(node);
        Ok(())
    }

    pub(super) fn progress(&mut self, node: usize, progress: Progress) -> Result<(), String> {
        for (channel, entry) in &progress.appended {
            self.changed = self.now;
            let (device, number, id) = (entry.device, entry.number, entry.id);
            self.note(Kind::Append, node, format_args!("{channel:?} {device:?} {number} {id}"));
        }
        if progress.save_began {
            let takes = self.delays.within(SAVE_MAX);
            self.after(takes, Happening::Saved(node, self.nodes[node].life));
        }
        for Done { appended, filled, acts, tells } in progress.done {
            self.durable(node, appended, &filled)?;
            for act in acts {
                self.act(node, act);
            }
            for tell in tells {
                self.tell(node, tell)?;
            }
        }
        Ok(())
    }

    /// Notes what is durable somewhere now.
    pub(super) fn durable(
        &mut self,
        node: usize,
        appended: Vec<(ChannelId, LogEntry)>,
        filled: &[EnvelopeId],
    ) -> Result<(), String> {
        for (channel, entry) in &appended {
            self.known.note(node, channel, entry)?;
        }
        filled.iter().for_each(|id| self.known.note_filled(node, id));
        Ok(())
    }

    pub(super) fn act(&mut self, node: usize, act: Act) {
        match act {
            Act::Send(link, frame) => {
                self.outcome.frames += 1;
                let late = self.delays.within(LATE_MAX);
                if let Some((to, at)) = self.network.send(link, self.now, late) {
                    self.at(at, Happening::Frame(to, frame));
                }
            }
            Act::Dial(dial, addresses) => self.dial(node, dial, &addresses),
            Act::Close(link) => {
                if let Some((peer, at)) = self.network.close(link, self.now) {
                    self.at(at, Happening::Ended(peer));
                }
                self.push(node, Input::Disconnected { link });
            }
        }
    }

    fn dial(&mut self, node: usize, dial: u64, addresses: &[String]) {
        let from = (node, self.nodes[node].life);
        let targets: BTreeSet<usize> = addresses.iter().filter_map(|at| Network::at(at)).collect();
        let up = |to: &usize| {
            self.nodes.get(*to).is_some_and(Node::is_up) && self.network.can_dial(node, *to)
        };
        let reachable: Vec<usize> = targets.into_iter().filter(up).collect();
        if reachable.is_empty() {
            let late = self.delays.within(PATIENCE_MAX);
            self.after(late, Happening::DialFailed { from, dial });
            return;
        }
        let to = reachable[self.delays.index(reachable.len())];
        let delay = self.delays.within(DELAY_MAX);
        self.after(delay, Happening::Dialled { from, dial, to });
    }

    /// A join that nobody lets in says for ever that it waits. Where somebody means harm, addresses can
    /// lead to others than they say: who tries them now and then ends a link and makes it again.
    fn is_change(&self, tell: &Tell) -> bool {
        let Tell::Event(event) = tell else { return true };
        match event {
            Event::JoinProgress { .. } | Event::JoinRefused { .. } => false,
            Event::PeerConnected { .. }
            | Event::PeerDisconnected { .. }
            | Event::CaughtUp { .. } => self.puppets.is_empty(),
            _ => true,
        }
    }

    fn tell(&mut self, node: usize, tell: Tell) -> Result<(), String> {
        if self.is_change(&tell) {
            self.changed = self.now;
        }
        self.note(Kind::Tell, node, format_args!("{tell:?}"));
        self.count(&tell);
        match tell {
            Tell::Started(Ok(ids)) => {
                self.nodes[node].started(ids);
                self.note_hostile(node);
                self.story_begins(node);
                Ok(())
            }
            Tell::Judged => {
                self.nodes[node].finding = None;
                Ok(())
            }
            Tell::Started(Err(error)) => Err(format!("node {node} cannot start: {error}")),
            Tell::Reply(call, reply) => match self.asked.remove(&(node, call)) {
                Some(asked) => {
                    let answered = self.answered(node, asked, reply);
                    self.unless_hostile(node, answered)
                }
                None => Err(format!("node {node} answers {call:?}, which nobody made")),
            },
            Tell::Event(event) => {
                let told = self.told(node, event);
                self.unless_hostile(node, told)
            }
        }
    }

    fn count(&mut self, tell: &Tell) {
        if let Tell::Event(Event::PeerConnected { .. }) = tell {
            self.outcome.links += 1;
        }
    }
}
