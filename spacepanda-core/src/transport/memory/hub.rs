use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::{LINK_FRAMES_MAX, LINKS_MAX};
use crate::{
    base::{Error, ErrorKind, Result},
    transport::{LinkId, TransportEvent},
};

/// Who is on the network and what is on its way; nothing here waits.
#[derive(Default)]
pub(super) struct Hub {
    names: BTreeMap<String, u64>,
    ends: BTreeMap<u64, End>,
    last_end: u64,
}

struct End {
    name: String,
    links: BTreeMap<LinkId, Link>,
    last_link: u64,
    events: VecDeque<TransportEvent>,
    /// Links whose `Disconnected` was not received yet.
    unfinished: usize,
    news: Arc<Notify>,
}

struct Link {
    far_end: u64,
    far_link: LinkId,
    room: Arc<Semaphore>,
}

impl Hub {
    /// Adds an end; `Notify` tells it of events and of its closing.
    pub(super) fn open(&mut self, name: &str) -> (u64, Arc<Notify>) {
        self.last_end += 1;
        if !name.is_empty() {
            self.names.insert(name.to_owned(), self.last_end);
        }
        let news = Arc::new(Notify::new());
        let end = End {
            name: name.to_owned(),
            links: BTreeMap::new(),
            last_link: 0,
            events: VecDeque::new(),
            unfinished: 0,
            news: Arc::clone(&news),
        };
        self.ends.insert(self.last_end, end);
        (self.last_end, news)
    }

    pub(super) fn check_open(&self, end: u64) -> Result<()> {
        self.end(end).map(|_| ())
    }

    /// The name by which `end` is reached, if it is.
    pub(super) fn reached_as(&self, end: u64) -> Option<String> {
        let name = &self.ends.get(&end)?.name;
        (self.names.get(name) == Some(&end)).then(|| name.clone())
    }

    /// Links `from` with whoever has `name`.
    pub(super) fn link(&mut self, from: u64, name: &str) -> Result<LinkId> {
        let nobody = || format!("connect to memory://{name}: nobody has that name");
        let to =
            *self.names.get(name).ok_or_else(|| Error::new(ErrorKind::Unavailable, nobody()))?;
        for end in [from, to] {
            if self.end(end)?.unfinished >= LINKS_MAX {
                let message = format!("connect to memory://{name}: one side has too many links");
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
        let near_link = self.end_mut(from)?.next_link();
        let far_link = self.end_mut(to)?.next_link();
        self.end_mut(from)?.connected(near_link, to, far_link);
        self.end_mut(to)?.connected(far_link, from, near_link);
        Ok(near_link)
    }

    /// What a sender acquires for each frame; closed when the link ends.
    pub(super) fn room(&self, end: u64, link: LinkId) -> Result<Arc<Semaphore>> {
        let link = self.end(end)?.links.get(&link).ok_or_else(not_connected)?;
        Ok(Arc::clone(&link.room))
    }

    pub(super) fn push(&mut self, end: u64, link: LinkId, frame: Bytes) -> Result<()> {
        let link = self.end(end)?.links.get(&link).ok_or_else(not_connected)?;
        let (far_end, far_link) = (link.far_end, link.far_link);
        self.end_mut(far_end)?.tell(TransportEvent::Frame(far_link, frame));
        Ok(())
    }

    pub(super) fn pop(&mut self, end: u64) -> Result<Option<TransportEvent>> {
        let at = self.end_mut(end)?;
        let event = at.events.pop_front();
        match &event {
            Some(TransportEvent::Frame(link, _)) => self.make_room(end, *link),
            Some(TransportEvent::Disconnected(..)) => at.unfinished -= 1,
            Some(TransportEvent::Connected(_)) | None => {}
        }
        Ok(event)
    }

    /// Ends a link on both sides, after what is on its way.
    pub(super) fn unlink(&mut self, end: u64, link: LinkId) {
        let Some(far) = self.ends.get_mut(&end).and_then(|at| at.ended(link, "ended here")) else {
            return;
        };
        if let Some(at) = self.ends.get_mut(&far.far_end) {
            at.ended(far.far_link, "the other side ended the link");
        }
    }

    /// Removes an end; those linked with it are told after what it had sent.
    pub(super) fn close(&mut self, end: u64) {
        let links = self.ends.get(&end).map(|at| at.links.keys().copied().collect::<Vec<_>>());
        for link in links.unwrap_or_default() {
            self.unlink(end, link);
        }
        let Some(closed) = self.ends.remove(&end) else { return };
        if self.names.get(&closed.name) == Some(&end) {
            self.names.remove(&closed.name);
        }
        closed.news.notify_one();
    }

    fn make_room(&self, end: u64, link: LinkId) {
        let Some(near) = self.ends.get(&end).and_then(|at| at.links.get(&link)) else { return };
        let far = self.ends.get(&near.far_end).and_then(|at| at.links.get(&near.far_link));
        if let Some(far) = far {
            far.room.add_permits(1);
        }
    }

    fn end(&self, end: u64) -> Result<&End> {
        self.ends.get(&end).ok_or_else(closed)
    }

    fn end_mut(&mut self, end: u64) -> Result<&mut End> {
        self.ends.get_mut(&end).ok_or_else(closed)
    }
}

impl End {
    fn next_link(&mut self) -> LinkId {
        self.last_link += 1;
        LinkId(self.last_link)
    }

    fn connected(&mut self, link: LinkId, far_end: u64, far_link: LinkId) {
        let room = Arc::new(Semaphore::new(LINK_FRAMES_MAX));
        self.links.insert(link, Link { far_end, far_link, room });
        self.unfinished += 1;
        self.tell(TransportEvent::Connected(link));
    }

    fn ended(&mut self, link: LinkId, why: &str) -> Option<Link> {
        let ended = self.links.remove(&link)?;
        ended.room.close();
        self.tell(TransportEvent::Disconnected(link, why.to_owned()));
        Some(ended)
    }

    fn tell(&mut self, event: TransportEvent) {
        self.events.push_back(event);
        self.news.notify_one();
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "use a memory transport: it was closed")
}

fn not_connected() -> Error {
    Error::new(ErrorKind::NotConnected, "send in memory: there is no such link")
}
