use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    transport::{LinkId, TransportEvent},
};
use tokio::sync::{mpsc, watch};

use crate::{
    INBOX_LEN_MAX, LINKS_MAX, LINKS_TAKEN_MAX, OUTBOX_LEN_MAX,
    link::{self, Wire},
    tasks::Tasks,
};

/// What the transport and its links' tasks share.
pub(crate) struct Shared {
    links: Mutex<Links>,
    link_tasks: Tasks,
    inbox: mpsc::Sender<TransportEvent>,
    events: tokio::sync::Mutex<mpsc::Receiver<TransportEvent>>,
    closing: watch::Sender<bool>,
}

struct Links {
    last: u64,
    /// None once the transport is closing.
    open: Option<BTreeMap<LinkId, Handle>>,
}

/// An open link; dropping it ends the link.
struct Handle {
    outbox: mpsc::Sender<Bytes>,
    _open: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (inbox, events) = mpsc::channel(INBOX_LEN_MAX);
        Self {
            links: Mutex::new(Links { last: 0, open: Some(BTreeMap::new()) }),
            link_tasks: Tasks::new(),
            inbox,
            events: tokio::sync::Mutex::new(events),
            closing: watch::Sender::new(false),
        }
    }

    /// Whether a dialler may get a link.
    pub(crate) fn takes_links(&self) -> bool {
        self.link_tasks.count() < LINKS_TAKEN_MAX
    }

    /// Starts a link over a connection that was just made.
    pub(crate) fn add(self: &Arc<Self>, wire: Wire) -> Result<LinkId> {
        let mut links = self.links();
        let id = LinkId(links.last + 1);
        let open = links.open.as_mut().ok_or_else(closed)?;
        if self.link_tasks.count() >= LINKS_MAX {
            let message = format!("make a link by QUIC: there are {LINKS_MAX} already");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let (outbox, frames) = mpsc::channel(OUTBOX_LEN_MAX);
        let (handle, ended) = watch::channel(());
        open.insert(id, Handle { outbox, _open: handle });
        links.last = id.0;
        self.link_tasks.start(link::run(Arc::clone(self), id, wire, frames, ended));
        Ok(id)
    }

    pub(crate) async fn send(&self, link: LinkId, frame: Bytes) -> Result<()> {
        let outbox = {
            let links = self.links();
            let open = links.open.as_ref().ok_or_else(closed)?;
            open.get(&link).ok_or_else(not_connected)?.outbox.clone()
        };
        outbox.send(frame).await.map_err(|_| self.ended_error())
    }

    pub(crate) async fn recv(&self) -> Result<TransportEvent> {
        let event = async { self.events.lock().await.recv().await };
        tokio::select! {
            biased;
            () = self.until_closing() => Err(closed()),
            event = event => event.ok_or_else(closed),
        }
    }

    /// Tells an event once the inbox has room; while closing, nobody is told.
    pub(crate) async fn tell(&self, event: TransportEvent) {
        tokio::select! {
            biased;
            () = self.until_closing() => {}
            // The receiver lives in `self`: sending cannot fail.
            _ = self.inbox.send(event) => {}
        }
    }

    /// Ends a link, if it is open; its task does the rest.
    pub(crate) fn end(&self, link: LinkId) {
        if let Some(open) = &mut self.links().open {
            open.remove(&link);
        }
    }

    /// Ends every link and takes no further one.
    pub(crate) fn end_all(&self) {
        self.closing.send_replace(true);
        self.links().open = None;
    }

    pub(crate) async fn until_closing(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    pub(crate) async fn until_links_ended(&self) {
        self.link_tasks.until_ended().await;
    }

    fn ended_error(&self) -> Error {
        if *self.closing.borrow() { closed() } else { not_connected() }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().expect("no panic while held")
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "use a QUIC transport: it was closed")
}

fn not_connected() -> Error {
    Error::new(ErrorKind::NotConnected, "send by QUIC: there is no such link")
}
