use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use spacepanda_core::base::{Error, ErrorKind, Result, limits::ADDRESSES_MAX};
use url::{Host, Url};

const SCHEME: &str = "quic";

/// Reads `quic://ip:port`, such as `quic://0.0.0.0:0` or `quic://[::]:4433`.
///
/// # Errors
/// `Config` for anything else: another scheme, a name instead of an IP address, no port, or anything
/// before the address or after the port.
pub fn parse_url(url: &Url) -> Result<SocketAddr> {
    let bare = url.scheme() == SCHEME
        && url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        // A scheme that browsers do not know: its IPv4 addresses are not read as such.
        Some(Host::Domain(text)) => text.parse().ok(),
        None => None,
    };
    let address = ip.zip(url.port()).map(|(ip, port)| SocketAddr::new(ip, port));
    // A URL that holds a password is not repeated to people.
    address.filter(|_| bare).ok_or_else(|| unreadable("the QUIC address"))
}

/// Whether an address is for this transport.
pub(crate) fn is_own(address: &str) -> bool {
    address.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Reads an address that can be dialled.
pub(crate) fn read(address: &str) -> Result<SocketAddr> {
    let url =
        Url::parse(address).map_err(|error| unreadable("the QUIC address").with_source(error))?;
    check_dialled(&url)
}

/// As [`parse_url`], and somebody can be there.
pub(crate) fn check_dialled(url: &Url) -> Result<SocketAddr> {
    let socket = parse_url(url)?;
    if socket.port() == 0 || socket.ip().is_unspecified() {
        return Err(unreadable(&format!("{socket}, at which nobody can be,")));
    }
    Ok(socket)
}

fn unreadable(what: &str) -> Error {
    let message = format!(
        "read {what}: expected quic://, an IP address and a port, and nothing more, \
         such as quic://192.0.2.7:4433 or quic://[2001:db8::7]:4433"
    );
    Error::new(ErrorKind::Config, message)
}

/// The addresses of this machine's interfaces; none if they cannot be listed.
pub(crate) fn interfaces() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(|interface| interface.ip()).collect()
}

/// The URLs at which a socket bound to `local` can be reached.
///
/// For `0.0.0.0` and `[::]` these are the interfaces' addresses, without those that mean something
/// on one machine or one wire only.
pub(crate) fn announced(local: SocketAddr, interfaces: &[IpAddr]) -> Vec<String> {
    let url = |ip: IpAddr| format!("{SCHEME}://{}", SocketAddr::new(ip, local.port()));
    if !local.ip().is_unspecified() {
        return vec![url(local.ip())];
    }
    let reached: BTreeSet<IpAddr> =
        interfaces.iter().copied().filter(|ip| is_heard(local, *ip) && is_announced(*ip)).collect();
    reached.into_iter().take(ADDRESSES_MAX).map(url).collect()
}

fn is_heard(local: SocketAddr, ip: IpAddr) -> bool {
    // Windows separates the families unless told otherwise.
    if local.is_ipv4() || cfg!(windows) { local.is_ipv4() == ip.is_ipv4() } else { true }
}

fn is_announced(ip: IpAddr) -> bool {
    let one_wire = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !one_wire && !ip.is_loopback() && !ip.is_unspecified()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_url_is_an_ip_address_and_a_port() {
        for (url, socket) in [
            ("quic://0.0.0.0:0", "0.0.0.0:0"),
            ("quic://192.0.2.7:4433/", "192.0.2.7:4433"),
            ("quic://[::]:0", "[::]:0"),
            ("QUIC://[2001:db8::7]:4433", "[2001:db8::7]:4433"),
        ] {
            assert_eq!(parse_url(&Url::parse(url).unwrap()).unwrap(), socket.parse().unwrap());
        }
    }

    #[test]
    fn any_other_url_is_refused_with_one_that_is_right() {
        for url in [
            "quic:",
            "quic://",
            "quic://192.0.2.7",
            "quic://example.org:4433",
            "quic://192.0.2.7:4433/path",
            "quic://192.0.2.7:4433?query",
            "quic://192.0.2.7:4433#fragment",
            "quic://me@192.0.2.7:4433",
            "quic://me:secret@192.0.2.7:4433",
            "https://192.0.2.7:4433",
        ] {
            let error = parse_url(&Url::parse(url).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            let text = error.to_string();
            assert!(text.contains("such as quic://192.0.2.7:4433") && !text.contains("secret"));
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        for address in ["quic://192.0.2.7:99999", "quic://192.0.2.7:0", "quic://0.0.0.0:1", "quic:"]
        {
            assert_eq!(read(address).unwrap_err().kind(), ErrorKind::Config, "{address}");
        }
        assert!(is_own("quic:") && is_own("Quic://x") && !is_own("quick:") && !is_own("quic"));
    }

    #[test]
    fn all_zeros_announce_the_interfaces_of_their_family_and_never_loopback() {
        let interfaces =
            ips(&["127.0.0.1", "10.0.0.2", "169.254.1.1", "::1", "fe80::1", "2001:db8::7"]);
        let v4 = announced("0.0.0.0:7".parse().unwrap(), &interfaces);
        assert_eq!(v4, ["quic://10.0.0.2:7"]);
        let both = announced("[::]:7".parse().unwrap(), &interfaces);
        let v6 = "quic://[2001:db8::7]:7";
        assert_eq!(both, if cfg!(windows) { vec![v6] } else { vec!["quic://10.0.0.2:7", v6] });
        assert!(announced("0.0.0.0:7".parse().unwrap(), &ips(&["127.0.0.1"])).is_empty());
    }

    #[test]
    fn one_address_announces_itself_loopback_too() {
        let interfaces = ips(&["127.0.0.1", "10.0.0.2"]);
        for (local, url) in [("127.0.0.1:7", "quic://127.0.0.1:7"), ("[::1]:7", "quic://[::1]:7")] {
            assert_eq!(announced(local.parse().unwrap(), &interfaces), [url]);
        }
    }

    #[test]
    fn no_more_addresses_are_announced_than_a_record_holds() {
        let interfaces: Vec<IpAddr> = (1..=20).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        assert_eq!(announced("0.0.0.0:7".parse().unwrap(), &interfaces).len(), ADDRESSES_MAX);
    }
}
