use std::sync::Arc;

use spacepanda_core::{register_transport, registry::TransportBackend, transport::Transport};

use crate::{QuicTransport, address, parse_url};

/// Listens where a URL such as `quic://0.0.0.0:0` says.
pub static BACKEND: TransportBackend = TransportBackend {
    scheme: "quic",
    description: "QUIC over UDP",
    open: |url, setup| {
        Box::pin(async move {
            let transport = QuicTransport::bind(parse_url(&url)?, setup.folder)?;
            Ok(Arc::new(transport) as Arc<dyn Transport>)
        })
    },
    check_dialled: |url| address::check_dialled(url).map(|_| ()),
};
register_transport!(BACKEND);
