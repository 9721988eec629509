#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
const CROWD: usize = 10_000;
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
    let honest = bind(LOOPBACK);
    let link = honest.connect(&server.addresses()).await.unwrap();
    let at_server = connected(&server).await;
    for number in 0..crowd {
        if number % (crowd / 10).max(1) == 0 {
            is_heard((&honest, link), (&server, at_server)).await;
        }
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
    let (taken, of) = (silent.len(), accept::HANDSHAKES_MAX);
    println!("{crowd} diallers, {taken} held by them at the end, {of} at most by the other side");
    println!("bytes and handles {before:?}, then {after:?}");
    assert!(after.0 < before.0 + GROWTH_MAX, "{before:?} {after:?}");
    assert!(after.1 < before.1 + 8, "{before:?} {after:?}");
    assert!(!silent.is_empty());

    let late = bind(LOOPBACK);
    let link = late.connect(&server.addresses()).await.unwrap();
    let at_server = connected(&server).await;
    is_heard((&late, link), (&server, at_server)).await;
}

/// Carries datagrams to a server and none back: behind it no handshake ends.
struct OneWay {
    address: SocketAddr,
    carried: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    carrier: Option<std::thread::JoinHandle<()>>,
}

impl OneWay {
    fn to(server: SocketAddr) -> Self {
        let socket = std::net::UdpSocket::bind(LOOPBACK).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let (carried, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ends) = (Arc::clone(&carried), Arc::clone(&over));
        let carry = move || {
            let mut datagram = [0; 2_048];
            while !ends.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
                if from != server && socket.send_to(&datagram[..len], server).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        Self { address, carried, over, carrier: Some(std::thread::spawn(carry)) }
    }

    fn carried(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for OneWay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            let _ = carrier.join();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_whose_handshakes_never_end_is_bounded_and_shuts_nobody_out() {
    let crowd = std::env::var("SPACEPANDA_CONNECTIONS").ok().and_then(|count| count.parse().ok());
    let crowd = crowd.unwrap_or(CROWD);
    let server = bind(LOOPBACK);
    let hole = OneWay::to(server.local);
    let mut dialler = Endpoint::client(LOOPBACK.parse().unwrap()).unwrap();
    // A dialler that soon forgets whom it let go: of this process it is the smaller part.
    let mut config = tls::configs().unwrap().1;
    let mut transport = quinn::TransportConfig::default();
    transport.initial_rtt(Duration::from_millis(1));
    config.transport_config(Arc::new(transport));
    dialler.set_default_client_config(config);
    let open = || server.endpoint().as_ref().map_or(0, Endpoint::open_connections);
    let honest = bind(LOOPBACK);
    let link = honest.connect(&server.addresses()).await.unwrap();
    let at_server = connected(&server).await;
    let mut silent = std::collections::VecDeque::new();
    let (mut before, mut open_max) = ((0, 0), 0);
    for number in 0..crowd {
        silent.push_back(dialler.connect(hole.address, tls::SERVER_NAME).unwrap());
        if silent.len() > CROWD_HELD {
            silent.pop_front();
        }
        // No faster than they are carried, but for what the system drops.
        for _ in 0..1_000 {
            if hole.carried() + 32 >= number && dialler.open_connections() < 2 * CROWD_HELD {
                break;
            }
            tokio::task::yield_now().await;
        }
        open_max = open_max.max(open());
        if number == 2 * CROWD_HELD.min(crowd / 4) {
            before = held();
        }
        if number % (crowd / 10).max(1) == 0 {
            is_heard((&honest, link), (&server, at_server)).await;
        }
    }
    // At the worst moment somebody new is let in.
    let late = bind(LOOPBACK);
    let link = late.connect(&server.addresses()).await.unwrap();
    let at_server = connected(&server).await;
    is_heard((&late, link), (&server, at_server)).await;
    let (after, carried) = (held(), hole.carried());
    println!("{crowd} diallers, {carried} datagrams; {open_max} connections at once");
    println!("bytes and handles {before:?}, then {after:?}");
    assert!(carried > crowd / 2, "{carried}");
    assert!(open_max <= 2 + accept::HANDSHAKES_MAX, "{open_max} connections at once");
    assert!(after.0 < before.0 + GROWTH_MAX, "{before:?} {after:?}");
    assert!(after.1 < before.1 + 8, "{before:?} {after:?}");
}

/// A frame that somebody sends arrives as the next thing at the other end.
async fn is_heard(from: (&QuicTransport, LinkId), at: (&QuicTransport, LinkId)) {
    from.0.send(from.1, Bytes::from_static(b"hello")).await.unwrap();
    let event = at.0.recv().await.unwrap();
    assert_eq!(event, TransportEvent::Frame(at.1, Bytes::from_static(b"hello")));
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
