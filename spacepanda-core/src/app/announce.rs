//! The addresses that a node tells others to dial, where its person knows them better than it does.

use super::engine::AppError;
use crate::{
    base::{
        Error, ErrorKind,
        limits::{ADDRESS_LEN_MAX, ADDRESSES_MAX},
    },
    registry::Registry,
};

/// Checks what is to be announced. A scheme that `registry` lacks may be that of a transport `at_hand`,
/// which alone knows how its addresses are written.
///
/// # Errors
/// `announce.too_many`, `announce.url_invalid`, `announce.scheme_unknown`.
pub(super) fn check(
    addresses: &[String],
    registry: &Registry,
    at_hand: bool,
) -> Result<(), AppError> {
    if addresses.len() > ADDRESSES_MAX {
        return Err(too_many(addresses.len()));
    }
    addresses.iter().try_for_each(|address| check_one(address, registry, at_hand))
}

fn check_one(address: &str, registry: &Registry, at_hand: bool) -> Result<(), AppError> {
    if address.len() > ADDRESS_LEN_MAX {
        let sentence = format!("an address has at most {ADDRESS_LEN_MAX} bytes");
        return Err(refused("announce.url_invalid", &Error::new(ErrorKind::Config, sentence)));
    }
    match registry.check_dialled(address) {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            if at_hand {
                Ok(())
            } else {
                Err(refused("announce.scheme_unknown", &error))
            }
        }
        checked => checked.map_err(|error| refused("announce.url_invalid", &error)),
    }
}

fn too_many(len: usize) -> AppError {
    AppError::new(
        "announce.too_many",
        format!(
            "A node announces at most {ADDRESSES_MAX} addresses, and {len} were given. The node is not \
             open. Leave some out, then open it again."
        ),
    )
}

/// What was given is not repeated: it may hold a password.
fn refused(code: &'static str, error: &Error) -> AppError {
    AppError::new(
        code,
        format!(
            "The node cannot announce an address that others could not dial: {error}. The node is not \
             open. Correct the address, then open it again."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::TransportBackend;

    static PIGEON: TransportBackend = TransportBackend {
        scheme: "pigeon",
        description: "Carries frames by bird",
        open: |_, _| Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "open")) }),
        check_dialled: |url| match url.path() {
            "nowhere" => Err(Error::new(ErrorKind::Config, "no bird flies there")),
            _ => Ok(()),
        },
    };

    #[test]
    fn what_others_could_not_dial_is_refused_with_a_stable_code() {
        let mut registry = Registry::new();
        registry.add_transport(&PIGEON);
        let code = |addresses: &[&str], at_hand| {
            let addresses: Vec<_> = addresses.iter().map(|it| (*it).to_owned()).collect();
            check(&addresses, &registry, at_hand).map_err(|error| error.code())
        };
        assert_eq!(code(&["pigeon:roof", "pigeon:tree"], false), Ok(()));
        assert_eq!(code(&["pigeon:roof", "pigeon:nowhere"], true), Err("announce.url_invalid"));
        assert_eq!(code(&["roof"], true), Err("announce.url_invalid"));
        assert_eq!(code(&["owl:roof"], false), Err("announce.scheme_unknown"));
        assert_eq!(code(&["owl:roof"], true), Ok(()));
        assert_eq!(code(&["pigeon:roof"; ADDRESSES_MAX + 1], true), Err("announce.too_many"));
        let long = format!("pigeon:{}", "x".repeat(ADDRESS_LEN_MAX));
        assert_eq!(code(&[&long], true), Err("announce.url_invalid"));
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let addresses = ["owl://me:secret@roof".to_owned()];
        let error = check(&addresses, &Registry::new(), false).map_err(|error| error.to_string());
        assert!(error.is_err_and(|sentence| !sentence.contains("secret")));
    }
}
