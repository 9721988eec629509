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

/// Diallers who never finish, unless `SPACEPANDA_CONNECTIONS` says how many.
const CROWD: usize = 1_000;
/// Of them at one time: more than this side lets in.
const CROWD_HELD: usize = 2 * accept::HANDSHAKES_MAX;
/// What a side may come to hold beyond what it held after the first part of the crowd.
const GROWTH_MAX: usize = 48 * 1024 * 1024;

/// Bytes of this process in memory, and its open handles; 0 where the system does not say.
fn held() -> (usize, usize) {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    (pages * 4_096, std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_never_opens_its_stream_is_bounded_and_shuts_nobody_out() {
    let crowd = std::env::var("SPACEPANDA_CONNECTIONS").ok().and_then(|count| count.parse().ok());
    let crowd = crowd.unwrap_or(CROWD);
    let server = bind(LOOPBACK);
    let mut dialler = Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    dialler.set_default_client_config(tls::configs().unwrap().1);
    // Connections that are let go are closed by their dialler: so some are held at any time.
    let mut silent = std::collections::VecDeque::new();
    let mut before = (0, 0);
    for number in 0..crowd {
        // Whoever has to yield or is refused is one of the crowd as well.
        if let Ok(connection) = dialler.connect(server.local, tls::SERVER_NAME).unwrap().await {
            silent.push_back(connection);
        }
        if silent.len() > CROWD_HELD {
            silent.pop_front();
        }
        if number == 2 * CROWD_HELD.min(crowd / 4) {
            before = held();
        }
    }
    let after = held();
    println!("{crowd} diallers; bytes and handles {before:?}, then {after:?}");
    assert!(after.0 < before.0 + GROWTH_MAX, "{before:?} {after:?}");
    assert!(after.1 < before.1 + 8, "{before:?} {after:?}");
    assert!(!silent.is_empty());

    let honest = bind(LOOPBACK);
    let link = honest.connect(&server.addresses()).await.unwrap();
    let at_server = connected(&server).await;
    honest.send(link, Bytes::from_static(b"hello")).await.unwrap();
    let event = server.recv().await.unwrap();
    assert!(
        matches!(event, TransportEvent::Frame(from, hello) if from == at_server && hello == "hello")
    );
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
