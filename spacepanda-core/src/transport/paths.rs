//! Several transports as one, and the pauses between attempts to reach somebody.

mod backoff;
mod links;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{self, BoxFuture, FutureExt};
use tokio::{sync::watch, time::timeout};

pub use self::backoff::{BACKOFF_MAX, BACKOFF_MIN, Backoff};
use self::links::{Links, Place};
use super::{LinkId, Transport, TransportEvent};
use crate::base::{Error, ErrorKind, Result};

/// How long one transport may try one address.
pub const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);

/// Several transports as one: every way on which somebody may be reached.
///
/// Its links have numbers of its own. `connect` offers each address, in order, to each transport, in
/// the order in which they were given, for at most [`ADDRESS_PATIENCE`] each. Where all fail, the
/// error is the one that leaves most hope: `Unavailable` before `Config` before `Unsupported`. A
/// transport that ends by itself ends its links; the others go on.
pub struct Paths {
    transports: Vec<Arc<dyn Transport>>,
    announced: Vec<String>,
    links: Mutex<Links>,
    first_heard: AtomicUsize,
    closed: watch::Sender<bool>,
}

impl Paths {
    /// Joins `transports`; they are used through this value alone from here on.
    pub fn new(transports: Vec<Arc<dyn Transport>>) -> Self {
        let links = Mutex::new(Links::new(transports.len()));
        let (closed, _) = watch::channel(false);
        let announced = Vec::new();
        Self { transports, announced, links, first_heard: AtomicUsize::new(0), closed }
    }

    /// Gives out `addresses` as those at which the transports can be reached, in place of what they
    /// find themselves; none of them leaves it to the transports.
    #[must_use]
    pub fn announcing(mut self, addresses: Vec<String>) -> Self {
        self.announced = addresses;
        self
    }

    async fn try_one(&self, transport: usize, address: &String) -> Result<LinkId> {
        let _dialling = Dialling::new(&self.links);
        let connecting = self.transports[transport].connect(std::slice::from_ref(address));
        let link = timeout(ADDRESS_PATIENCE, connecting).await.map_err(|_| {
            let message = format!("connect to {address}: no answer for {ADDRESS_PATIENCE:?}");
            Error::new(ErrorKind::Unavailable, message)
        })??;
        Ok(lock(&self.links).made(Place { transport, link }))
    }

    /// The next event of any transport that still goes on, each of them first in its turn.
    async fn heard(&self, going: &[usize]) -> Heard {
        let turn = self.first_heard.fetch_add(1, Ordering::Relaxed) % going.len().max(1);
        let (later, first) = going.split_at(turn);
        let mut waiting: Vec<BoxFuture<'_, Heard>> = vec![self.until_closed().boxed()];
        waiting.extend(first.iter().chain(later).map(|&transport| {
            let event = self.transports[transport].recv();
            event.map(move |event| Heard::Event(transport, event)).boxed()
        }));
        // The futures that lose are dropped: `recv` is cancel safe.
        future::select_all(waiting).await.0
    }

    async fn until_closed(&self) -> Heard {
        let mut closed = self.closed.subscribe();
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = closed.wait_for(|closed| *closed).await;
        Heard::Closed
    }

    fn check_open(&self) -> Result<()> {
        if *self.closed.borrow() { Err(closed()) } else { Ok(()) }
    }
}

enum Heard {
    Closed,
    Event(usize, Result<TransportEvent>),
}

#[async_trait]
impl Transport for Paths {
    fn addresses(&self) -> Vec<String> {
        if !self.announced.is_empty() && self.check_open().is_ok() {
            return self.announced.clone();
        }
        self.transports.iter().flat_map(|transport| transport.addresses()).collect()
    }

    /// The least of all transports; 0 if there are none.
    fn frame_len_max(&self) -> usize {
        self.transports.iter().map(|transport| transport.frame_len_max()).min().unwrap_or(0)
    }

    async fn connect(&self, addresses: &[String]) -> Result<LinkId> {
        self.check_open()?;
        let mut failed =
            Error::new(ErrorKind::Unsupported, "connect: no transport takes any of the addresses");
        for address in addresses {
            for transport in 0..self.transports.len() {
                match self.try_one(transport, address).await {
                    Ok(link) => return Ok(link),
                    Err(error) if hope(&error) > hope(&failed) => failed = error,
                    Err(_) => {}
                }
                self.check_open()?;
            }
        }
        Err(failed)
    }

    async fn send(&self, link: LinkId, frame: Bytes) -> Result<()> {
        self.check_open()?;
        let max = self.frame_len_max();
        if frame.len() > max {
            let message = format!("send a frame of {} bytes: at most {max}", frame.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let place = lock(&self.links).place(link).ok_or_else(|| {
            Error::new(ErrorKind::NotConnected, "send on a path: there is no such link")
        })?;
        let sent = self.transports[place.transport].send(place.link, frame).await;
        sent.map_err(|error| match error.kind() {
            ErrorKind::Closed if !*self.closed.borrow() => {
                Error::new(ErrorKind::NotConnected, "send on a path: its transport was closed")
            }
            _ => error,
        })
    }

    async fn recv(&self) -> Result<TransportEvent> {
        loop {
            self.check_open()?;
            let going = {
                let mut links = lock(&self.links);
                if let Some(event) = links.waiting() {
                    return Ok(event);
                }
                links.going()
            };
            if going.is_empty() && !self.transports.is_empty() {
                return Err(closed());
            }
            match self.heard(&going).await {
                Heard::Closed => return Err(closed()),
                Heard::Event(transport, Err(_)) => lock(&self.links).stopped(transport),
                Heard::Event(transport, Ok(event)) => {
                    if let Some(event) = lock(&self.links).translate(transport, event) {
                        return Ok(event);
                    }
                }
            }
        }
    }

    async fn disconnect(&self, link: LinkId) -> Result<()> {
        let place = lock(&self.links).place(link);
        match place {
            Some(place) => self.transports[place.transport].disconnect(place.link).await,
            None => Ok(()),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.closed.send_replace(true) {
            return Ok(());
        }
        let closing = self.transports.iter().map(|transport| transport.close());
        future::join_all(closing).await.into_iter().collect()
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("transports", &self.transports.len()).finish_non_exhaustive()
    }
}

/// While one lives, `Links` remembers links that ended: a `connect` may still return one of them.
struct Dialling<'a>(&'a Mutex<Links>);

impl<'a> Dialling<'a> {
    fn new(links: &'a Mutex<Links>) -> Self {
        lock(links).dialling_begins();
        Self(links)
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        lock(self.0).dialling_ends();
    }
}

fn hope(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Unsupported => 0,
        ErrorKind::Config => 1,
        ErrorKind::Closed => 2,
        _ => 3,
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "use the paths: they were closed")
}

fn lock(links: &Mutex<Links>) -> MutexGuard<'_, Links> {
    links.lock().expect("no panic while held")
}

#[cfg(test)]
mod tests;
