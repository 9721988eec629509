#![allow(clippy::unwrap_used)]

use super::*;

const LOOPBACK: &str = "127.0.0.1:0";

fn bind(listen: &str) -> QuicTransport {
    QuicTransport::bind(listen.parse().unwrap(), None).unwrap()
}

async fn connected(transport: &QuicTransport) -> LinkId {
    match transport.recv().await.unwrap() {
        TransportEvent::Connected(link) => link,
        other => panic!("expected a new link, got {other:?}"),
    }
}

/// A dialler that writes what it likes.
async fn raw_wire(to: &QuicTransport) -> (Endpoint, link::Wire) {
    let mut endpoint = Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    endpoint.set_default_client_config(tls::configs().unwrap().1);
    let wire = link::dial(&endpoint, to.local).await.unwrap();
    (endpoint, wire)
}

#[tokio::test]
async fn the_port_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let folder = Some(folder.path().to_owned());
        QuicTransport::bind(LOOPBACK.parse().unwrap(), folder).unwrap()
    };
    let first = open();
    let addresses = first.addresses();
    let dialler = bind(LOOPBACK);
    dialler.connect(&addresses).await.unwrap();
    connected(&first).await;
    first.close().await.unwrap();
    assert_eq!(first.addresses(), Vec::<String>::new());
    let second = open();
    assert_eq!(second.addresses(), addresses);
    drop((first, second));
}

#[tokio::test]
async fn closing_sends_what_was_taken_before() {
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    let link = a.connect(&b.addresses()).await.unwrap();
    let frames = 40;
    let sending = async {
        for _ in 0..frames {
            a.send(link, vec![1; FRAME_LEN_MAX].into()).await.unwrap();
        }
        a.close().await.unwrap();
    };
    let hearing = async {
        let at_b = connected(&b).await;
        for _ in 0..frames {
            let event = b.recv().await.unwrap();
            assert!(matches!(event, TransportEvent::Frame(from, _) if from == at_b));
        }
        let end = TransportEvent::Disconnected(at_b, "the other side ended the link".to_owned());
        assert_eq!(b.recv().await.unwrap(), end);
    };
    tokio::join!(sending, hearing);
}

#[tokio::test]
async fn a_frame_that_claims_too_much_ends_its_link_and_no_other() {
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    let link = a.connect(&b.addresses()).await.unwrap();
    let at_b = connected(&b).await;
    let (_endpoint, mut wire) = raw_wire(&b).await;
    let hostile = connected(&b).await;
    wire.send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let TransportEvent::Disconnected(ended, why) = b.recv().await.unwrap() else { panic!() };
    assert_eq!(ended, hostile);
    assert!(why.contains("4294967295 bytes"), "{why}");

    a.send(link, "lives on".into()).await.unwrap();
    assert_eq!(b.recv().await.unwrap(), TransportEvent::Frame(at_b, "lives on".into()));
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_says_so() {
    let b = bind(LOOPBACK);
    let (_endpoint, mut wire) = raw_wire(&b).await;
    let link = connected(&b).await;
    wire.send.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
    wire.send.finish().unwrap();
    let why = "the other side ended the link in a frame".to_owned();
    assert_eq!(b.recv().await.unwrap(), TransportEvent::Disconnected(link, why));
}

#[tokio::test]
async fn every_transport_has_a_certificate_of_its_own_and_no_process_wide_provider() {
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    let mut seen = Vec::new();
    for transport in [&a, &b] {
        let (_endpoint, wire) = raw_wire(transport).await;
        let identity = wire.connection.peer_identity().unwrap();
        let chain = identity.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap();
        seen.push(chain);
    }
    assert_ne!(seen[0], seen[1]);
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test]
async fn ipv6_is_listened_on_and_dialled() {
    // A machine without IPv6 has no such address.
    let Ok(b) = QuicTransport::bind("[::]:0".parse().unwrap(), None) else { return };
    let a = bind("[::1]:0");
    let address = format!("quic://[::1]:{}", b.local.port());
    let link = a.connect(&[address]).await.unwrap();
    let at_b = connected(&b).await;
    a.send(link, "six".into()).await.unwrap();
    assert_eq!(b.recv().await.unwrap(), TransportEvent::Frame(at_b, "six".into()));
}

#[tokio::test]
async fn another_protocol_is_not_answered() {
    let b = bind(LOOPBACK);
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let error = endpoint.connect(b.local, tls::SERVER_NAME).unwrap().await.unwrap_err();
    assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
}

#[tokio::test]
async fn a_hundred_diallers_at_once_all_get_their_links() {
    let diallers = 100;
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    let addresses = b.addresses();
    let dialling = async {
        let links = (0..diallers).map(|_| a.connect(&addresses));
        for link in futures::future::join_all(links).await {
            link.unwrap();
        }
    };
    let hearing = async |transport: &QuicTransport| {
        for _ in 0..diallers {
            connected(transport).await;
        }
    };
    tokio::join!(dialling, hearing(&a), hearing(&b));
}

#[tokio::test]
async fn dropping_a_transport_ends_its_links() {
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    a.connect(&b.addresses()).await.unwrap();
    let at_b = connected(&b).await;
    drop(a);
    assert!(
        matches!(b.recv().await.unwrap(), TransportEvent::Disconnected(link, _) if link == at_b)
    );
}

#[tokio::test]
async fn an_address_of_another_family_is_unavailable_at_once() {
    let a = bind(LOOPBACK);
    let error = a.connect(&["quic://[2001:db8::7]:4433".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_unreadable_address_does_not_hide_one_that_answers() {
    let (a, b) = (bind(LOOPBACK), bind(LOOPBACK));
    let addresses = [vec!["quic://nowhere".to_owned()], b.addresses()].concat();
    a.connect(&addresses).await.unwrap();
}

#[test]
fn outside_of_a_runtime_it_says_what_it_lacks() {
    let error = QuicTransport::bind(LOOPBACK.parse().unwrap(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
