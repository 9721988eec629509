//! QUIC keeps the contract of transports.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use async_trait::async_trait;
use spacepanda_conformance::transport::{TransportFactory, run};
use spacepanda_core::{base::Result, transport::Transport};
use spacepanda_transport_quic::QuicTransport;

struct Loopback;

#[async_trait]
impl TransportFactory for Loopback {
    async fn open(&self) -> Result<Arc<dyn Transport>> {
        Ok(Arc::new(QuicTransport::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None)?))
    }
}

fn main() -> ExitCode {
    run(Loopback)
}
