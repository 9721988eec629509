//! Who somebody is: an identity key that certifies device keys.

mod certificate;
#[cfg(any(test, fuzzing))]
pub(crate) mod decoders;
mod fitting;
mod key;

pub use certificate::{CertificateError, DeviceCertificate, VerifiedCertificate};
pub(crate) use fitting::remembering;
pub use key::{KeyError, KeyPair, SIGNATURE_LEN, SignatureError, check_key, verify};
