use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::queue::Queue;
use crate::{
    app::engine::{Input, Link},
    transport::{LinkId, Transport},
};

/// The links as the machine knows them: each is `Connected` once, before its frames, and
/// `Disconnected` once, whoever ended it.
///
/// A transport announces the links that are dialled here like any others, and perhaps before the dial
/// returns. So a link that is announced while dials are under way is *held* until it is clear who made
/// it: one of them returns it, or all have returned, or a frame arrives on it (whoever dials speaks
/// first).
pub(super) struct Links {
    transport: Arc<dyn Transport>,
    links: BTreeMap<Link, Entry>,
    writers: JoinSet<()>,
}

struct Entry {
    /// The dials under way when it was announced.
    suspects: BTreeSet<u64>,
    /// Whether the transport said that it ended.
    gone: bool,
    phase: Phase,
}

enum Phase {
    /// The machine does not know of it yet.
    Held,
    /// The machine was told that it is connected.
    Open(Queue),
    /// The machine needs to hear nothing more of it.
    Over,
}

impl Links {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, links: BTreeMap::new(), writers: JoinSet::new() }
    }

    /// The transport announces a link while the dials `under_way` have not returned.
    pub(super) fn announced(
        &mut self,
        LinkId(link): LinkId,
        under_way: BTreeSet<u64>,
    ) -> Vec<Input> {
        if self.links.contains_key(&link) {
            return Vec::new();
        }
        self.links.insert(link, Entry { suspects: under_way, gone: false, phase: Phase::Held });
        self.release()
    }

    /// A frame arrived.
    pub(super) fn frame(&mut self, LinkId(link): LinkId, bytes: Bytes) -> Vec<Input> {
        let frame = Input::Frame { link, bytes };
        match self.links.get(&link).map(|entry| &entry.phase) {
            Some(Phase::Open(_)) => vec![frame],
            Some(Phase::Held) => {
                self.set_open(link);
                vec![Input::Connected { link, dial: None }, frame]
            }
            Some(Phase::Over) | None => Vec::new(),
        }
    }

    /// The transport says that a link ended.
    pub(super) fn ended(&mut self, LinkId(link): LinkId) -> Vec<Input> {
        let Some(entry) = self.links.get_mut(&link) else { return Vec::new() };
        entry.gone = true;
        let was = std::mem::replace(&mut entry.phase, Phase::Over);
        self.forget_ended();
        match was {
            Phase::Open(_) => vec![Input::Disconnected { link }],
            Phase::Held | Phase::Over => Vec::new(),
        }
    }

    /// A dial returned: `made` is its link, if it made one, and `asked` the machine's number for the
    /// dial, if the machine that asked for it is still there.
    pub(super) fn dialled(
        &mut self,
        dial: u64,
        made: Option<LinkId>,
        asked: Option<u64>,
    ) -> Vec<Input> {
        let mut inputs = match (made, asked) {
            (Some(LinkId(link)), Some(asked)) => self.made(link, asked),
            (Some(LinkId(link)), None) => {
                if self.claim(link) {
                    self.close(link);
                }
                Vec::new()
            }
            (None, Some(dial)) => vec![Input::DialFailed { dial }],
            (None, None) => Vec::new(),
        };
        for entry in self.links.values_mut() {
            entry.suspects.remove(&dial);
        }
        inputs.extend(self.release());
        self.forget_ended();
        inputs
    }

    /// Queues a frame; a link that cannot take it is cut. One that is not open takes nothing.
    pub(super) fn send(&mut self, link: Link, frame: Bytes) -> Vec<Input> {
        let Some(Entry { phase, .. }) = self.links.get_mut(&link) else { return Vec::new() };
        let Phase::Open(queue) = phase else { return Vec::new() };
        if queue.push(frame) {
            return Vec::new();
        }
        if let Phase::Open(queue) = std::mem::replace(phase, Phase::Over) {
            queue.cut();
        }
        vec![Input::Disconnected { link }]
    }

    /// Ends a link once what was queued is sent, or after a while.
    pub(super) fn close(&mut self, link: Link) -> Vec<Input> {
        let Some(entry) = self.links.get_mut(&link) else { return Vec::new() };
        match std::mem::replace(&mut entry.phase, Phase::Over) {
            Phase::Open(_) => vec![Input::Disconnected { link }],
            Phase::Held | Phase::Over => Vec::new(),
        }
    }

    /// Ends every link that the machine was told of.
    pub(super) fn close_all(&mut self) {
        for entry in self.links.values_mut() {
            if matches!(entry.phase, Phase::Open(_)) {
                entry.phase = Phase::Over;
            }
        }
    }

    /// Ends every link and waits until what was queued is sent, or a while has passed.
    pub(super) async fn finish(&mut self) {
        self.links.clear();
        while self.writers.join_next().await.is_some() {}
    }

    fn made(&mut self, link: Link, dial: u64) -> Vec<Input> {
        if self.claim(link) {
            return vec![Input::Connected { link, dial: Some(dial) }];
        }
        // It ended before its dial returned, or the other side spoke first, which no honest one does.
        let mut inputs = self.close(link);
        inputs.push(Input::DialFailed { dial });
        inputs
    }

    /// Opens a link that a dial returned; false if the machine was told of it or it has ended.
    fn claim(&mut self, link: Link) -> bool {
        match self.links.get(&link).map(|entry| &entry.phase) {
            None => {
                let phase = Phase::Open(self.open(link));
                self.links.insert(link, Entry { suspects: BTreeSet::new(), gone: false, phase });
                true
            }
            Some(Phase::Held) => {
                self.set_open(link);
                true
            }
            Some(Phase::Open(_) | Phase::Over) => false,
        }
    }

    /// Tells of the links that no dial under way can have made.
    fn release(&mut self) -> Vec<Input> {
        let clear = self
            .links
            .iter()
            .filter(|(_, entry)| matches!(entry.phase, Phase::Held) && entry.suspects.is_empty());
        let clear: Vec<Link> = clear.map(|(link, _)| *link).collect();
        clear
            .into_iter()
            .map(|link| {
                self.set_open(link);
                Input::Connected { link, dial: None }
            })
            .collect()
    }

    fn forget_ended(&mut self) {
        self.links.retain(|_, entry| !entry.gone || !entry.suspects.is_empty());
    }

    fn set_open(&mut self, link: Link) {
        let queue = self.open(link);
        if let Some(entry) = self.links.get_mut(&link) {
            entry.phase = Phase::Open(queue);
        }
    }

    fn open(&mut self, link: Link) -> Queue {
        while self.writers.try_join_next().is_some() {}
        Queue::open(&self.transport, LinkId(link), &mut self.writers)
    }
}

#[cfg(test)]
mod tests;
