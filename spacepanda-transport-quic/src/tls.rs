use std::{sync::Arc, time::Duration};

use quinn::{
    ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    version::TLS13,
};
use spacepanda_core::base::{Error, ErrorKind, Result};

use crate::{IDLE_MAX, accept::HANDSHAKES_MAX};

/// The name in every certificate; it says nothing.
pub(crate) const SERVER_NAME: &str = "spacepanda";

const ALPN: &[u8] = b"spacepanda/1";
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes on their way in one direction of one link.
const WINDOW: u32 = 1024 * 1024;
/// Bytes kept of one connection before it is accepted, and of all of them.
const INCOMING_BYTES_MAX: u64 = 64 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 4 * 1024 * 1024;

/// How to listen and how to dial, with a certificate of this call's own.
pub(crate) fn configs() -> Result<(ServerConfig, ClientConfig)> {
    make().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "make a certificate for QUIC").with_source(error)
    })
}

fn make() -> Result<(ServerConfig, ClientConfig), Box<dyn std::error::Error + Send + Sync>> {
    // Given explicitly: a process-wide provider would be the application's to choose.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let transport = Arc::new(transport()?);

    let mut server = ServerConfig::with_crypto(Arc::new(server_tls(&provider)?));
    server
        .transport_config(Arc::clone(&transport))
        .max_incoming(HANDSHAKES_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);

    let mut client = ClientConfig::new(Arc::new(client_tls(&provider)?));
    client.transport_config(transport);
    Ok((server, client))
}

fn server_tls(
    provider: &Arc<CryptoProvider>,
) -> Result<QuicServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // No resumption and no early data, which could be replayed.
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    Ok(tls.try_into()?)
}

fn client_tls(
    provider: &Arc<CryptoProvider>,
) -> Result<QuicClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(provider))))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    Ok(tls.try_into()?)
}

fn transport() -> Result<TransportConfig, quinn::VarIntBoundsExceeded> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_MAX)?))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(None);
    Ok(config)
}

/// Accepts any certificate whose key signed the handshake: the link proves who is there.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
