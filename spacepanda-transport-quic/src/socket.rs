use std::{
    fs::{self, File},
    io::{self, Read},
    net::{SocketAddr, UdpSocket},
    path::Path,
};

use spacepanda_core::base::{Error, ErrorKind, Result};

const PORT_FILE: &str = "quic.port";
const PORT_FILE_LEN_MAX: u64 = 16;

/// Binds a socket; where the port is free to choose, the one kept in `folder` if that is free.
pub(crate) fn bind(listen: SocketAddr, folder: Option<&Path>) -> Result<UdpSocket> {
    match folder {
        Some(folder) if listen.port() == 0 => bind_kept(listen, folder),
        _ => bind_exactly(listen),
    }
}

fn bind_kept(listen: SocketAddr, folder: &Path) -> Result<UdpSocket> {
    let kept = load_port(folder).map_err(|error| not_kept(folder, error))?;
    let again = kept.and_then(|port| bind_exactly(SocketAddr::new(listen.ip(), port)).ok());
    if let Some(socket) = again {
        return Ok(socket);
    }
    let socket = bind_exactly(listen)?;
    let save = || save_port(folder, socket.local_addr()?.port());
    save().map_err(|error| not_kept(folder, error))?;
    Ok(socket)
}

fn bind_exactly(listen: SocketAddr) -> Result<UdpSocket> {
    UdpSocket::bind(listen).map_err(|error| {
        let (kind, what) = match error.kind() {
            io::ErrorKind::AddrInUse => {
                (ErrorKind::Locked, "another program listens there; end it or take another port")
            }
            io::ErrorKind::AddrNotAvailable => {
                (ErrorKind::Config, "this machine has no such address")
            }
            io::ErrorKind::PermissionDenied => {
                (ErrorKind::Config, "the system does not allow this port; take one above 1023")
            }
            _ => (ErrorKind::Unavailable, "the system refused"),
        };
        Error::new(kind, format!("listen on {listen}: {what}")).with_source(error)
    })
}

/// The port that was kept; none if there is none that can be read.
fn load_port(folder: &Path) -> io::Result<Option<u16>> {
    let file = match File::open(folder.join(PORT_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(PORT_FILE_LEN_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(text.trim().parse().ok().filter(|port| *port != 0))
}

fn save_port(folder: &Path, port: u16) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join(format!("{PORT_FILE}.new"));
    fs::write(&new, format!("{port}\n"))?;
    fs::rename(new, folder.join(PORT_FILE))
}

fn not_kept(folder: &Path, error: io::Error) -> Error {
    let message = format!("keep the port in {}", folder.join(PORT_FILE).display());
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    fn port(socket: &UdpSocket) -> u16 {
        socket.local_addr().unwrap().port()
    }

    #[test]
    fn a_kept_port_that_is_taken_gives_way_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let holder = bind(ANY.parse().unwrap(), Some(folder.path())).unwrap();
        assert_eq!(load_port(folder.path()).unwrap(), Some(port(&holder)));
        let other = bind(ANY.parse().unwrap(), Some(folder.path())).unwrap();
        assert_ne!(port(&other), port(&holder));
        assert_eq!(load_port(folder.path()).unwrap(), Some(port(&other)));
    }

    #[test]
    fn a_damaged_port_file_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in [&b"no port"[..], b"", b"0", b"70000", &[0xff; 10_000]] {
            fs::write(folder.path().join(PORT_FILE), damaged).unwrap();
            let socket = bind(ANY.parse().unwrap(), Some(folder.path())).unwrap();
            assert_eq!(load_port(folder.path()).unwrap(), Some(port(&socket)));
        }
    }

    #[test]
    fn a_port_that_was_given_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let free = bind(ANY.parse().unwrap(), None).unwrap().local_addr().unwrap();
        bind(free, Some(folder.path())).unwrap();
        assert_eq!(load_port(folder.path()).unwrap(), None);
    }

    #[test]
    fn an_address_in_use_is_named() {
        let holder = bind(ANY.parse().unwrap(), None).unwrap();
        let address = holder.local_addr().unwrap();
        let error = bind(address, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains(&address.to_string()));
    }

    #[test]
    fn an_address_of_another_machine_is_a_mistake_in_the_configuration() {
        let error = bind("192.0.2.7:0".parse().unwrap(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
