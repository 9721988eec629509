#![doc = include_str!("../README.md")]

mod accept;
mod address;
mod backend;
mod link;
mod shared;
mod socket;
mod tasks;
mod tls;

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use quinn::{Endpoint, EndpointConfig, VarInt};
use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    transport::{LinkId, Transport, TransportEvent},
};
use tokio::time::timeout;

pub use self::{address::parse_url, backend::BACKEND};
use self::{shared::Shared, tasks::Tasks};

/// The greatest frame, in bytes.
pub const FRAME_LEN_MAX: usize = 65_535;
/// How long one address may take to answer.
pub const DIAL_MAX: Duration = Duration::from_secs(5);
/// How long an ended link may take for the frames that it had taken.
pub const FLUSH_MAX: Duration = Duration::from_secs(2);
/// How long the other side may be silent before a link ends.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
/// Links at one time, those included whose end was not received yet.
pub const LINKS_MAX: usize = 2_048;
/// Links from which on diallers are refused: strangers cannot use up what this side needs to dial.
pub const LINKS_TAKEN_MAX: usize = 1_536;
/// Events of all links that wait for `recv`; while there are as many, no link is read.
pub const INBOX_LEN_MAX: usize = 64;
/// Frames that one link takes before they are written; `send` waits while there are as many.
pub const OUTBOX_LEN_MAX: usize = 16;

/// How long `close` waits for the system to give the port back.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// Frames over QUIC: one connection with one stream per link.
///
/// - The link proves who is at the other end; here any certificate is accepted.
/// - Frames of all links come through one inbox of [`INBOX_LEN_MAX`] events, which the links fill in
///   turn. A link whose event waits is not read, so that its sender waits in the end; no frame is
///   dropped, and no link waits for another one once `recv` is called.
/// - `disconnect` and `close` still send the frames that the link had taken, for at most
///   [`FLUSH_MAX`]. `close` waits for that and for the port to be free again; dropping the transport
///   ends its links at once.
pub struct QuicTransport {
    endpoint: Mutex<Option<Endpoint>>,
    local: SocketAddr,
    shared: Arc<Shared>,
    sockets: Tasks,
}

impl QuicTransport {
    /// Listens on `listen`; call it within a tokio runtime.
    ///
    /// With port 0 the system chooses. Given a `folder`, the port it chose is kept there in
    /// `quic.port` and taken again the next time, while it is free. `[::]` listens on IPv4 too where
    /// the system does so by default (not on Windows).
    ///
    /// # Errors
    /// `Locked` if somebody listens there already; `Config` if this machine has no such address, the
    /// port is not allowed, or there is no tokio runtime; `Unavailable` for any other failure.
    pub fn bind(listen: SocketAddr, folder: Option<PathBuf>) -> Result<Self> {
        tokio::runtime::Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Config, "open QUIC outside of a tokio runtime").with_source(error)
        })?;
        let socket = socket::bind(listen, folder.as_deref())?;
        let unavailable = |error| {
            let message = format!("listen on {listen}");
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        };
        let local = socket.local_addr().map_err(unavailable)?;
        let (server, client) = tls::configs()?;
        let sockets = Tasks::new();
        let runtime = Arc::new(sockets.clone());
        let config = EndpointConfig::default();
        let mut endpoint =
            Endpoint::new(config, Some(server), socket, runtime).map_err(unavailable)?;
        endpoint.set_default_client_config(client);
        let shared = Arc::new(Shared::new());
        sockets.start(accept::all(endpoint.clone(), Arc::clone(&shared), sockets.clone()));
        Ok(Self { endpoint: Mutex::new(Some(endpoint)), local, shared, sockets })
    }

    fn endpoint(&self) -> MutexGuard<'_, Option<Endpoint>> {
        self.endpoint.lock().expect("no panic while held")
    }

    async fn dial(&self, endpoint: &Endpoint, address: &str) -> Result<LinkId> {
        let wire = link::dial(endpoint, address::read(address)?).await?;
        self.shared.add(wire)
    }

    async fn dial_each(&self, endpoint: Endpoint, addresses: &[String]) -> Result<LinkId> {
        let mut failed: Option<Error> = None;
        for address in addresses.iter().filter(|address| address::is_own(address)) {
            match self.dial(&endpoint, address).await {
                Ok(link) => return Ok(link),
                Err(error) if error.kind() == ErrorKind::Unavailable => failed = Some(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            Error::new(ErrorKind::Unsupported, "connect by QUIC: no address begins with quic://")
        }))
    }
}

#[async_trait]
impl Transport for QuicTransport {
    fn addresses(&self) -> Vec<String> {
        if self.endpoint().is_none() {
            return Vec::new();
        }
        address::announced(self.local, &address::interfaces())
    }

    fn frame_len_max(&self) -> usize {
        FRAME_LEN_MAX
    }

    /// As the port says; an address that cannot be read is an error only if no other one answers.
    async fn connect(&self, addresses: &[String]) -> Result<LinkId> {
        let endpoint = self.endpoint().clone().ok_or_else(shared::closed)?;
        tokio::select! {
            biased;
            () = self.shared.until_closing() => Err(shared::closed()),
            link = self.dial_each(endpoint, addresses) => link,
        }
    }

    async fn send(&self, link: LinkId, frame: Bytes) -> Result<()> {
        if frame.len() > FRAME_LEN_MAX {
            let message = format!("send a frame of {} bytes: at most {FRAME_LEN_MAX}", frame.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.shared.send(link, frame).await
    }

    async fn recv(&self) -> Result<TransportEvent> {
        self.shared.recv().await
    }

    async fn disconnect(&self, link: LinkId) -> Result<()> {
        self.shared.end(link);
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        let Some(endpoint) = self.endpoint().take() else { return Ok(()) };
        endpoint.set_server_config(None);
        self.shared.end_all();
        self.shared.until_links_ended().await;
        endpoint.close(VarInt::from_u32(0), b"closed");
        drop(endpoint);
        // The port may stay taken a little longer; that is no failure of the caller's.
        let _ = timeout(RELEASE_MAX, self.sockets.until_ended()).await;
        Ok(())
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.shared.end_all();
        if let Some(endpoint) = self.endpoint().take() {
            endpoint.close(VarInt::from_u32(0), b"dropped");
        }
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTransport").field("local", &self.local).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
