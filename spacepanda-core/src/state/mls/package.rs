use std::collections::BTreeSet;

use openmls::prelude::{
    BasicCredential, CredentialWithKey, KeyPackage, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, ProtocolVersion,
    tls_codec::{Deserialize, Serialize},
};
use openmls_traits::OpenMlsProvider;

use super::{
    MlsError, PackageRef, Rows,
    crypto::{LeafSigner, SeededCrypto},
    facts,
    overlay::{Overlay, Step},
    settings, shape,
    version::{self, Program},
};
use crate::{
    base::{Secret, limits::PAYLOAD_LEN_MAX},
    state::identity::{KeyPair, VerifiedCertificate},
};

/// How often a key package may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageUse {
    /// By one commit of a path.
    Once,
    /// By any number, where nothing else is left.
    LastResort,
}

/// A key package just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageMade {
    /// What is published: an MLSMessage.
    pub package: Vec<u8>,
    /// Its reference.
    pub reference: PackageRef,
    /// Its private part, to be kept before the package is published, until the window has passed
    /// every state that it was used for.
    pub private: Rows,
}

/// What a valid key package says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFacts {
    /// Its reference.
    pub reference: PackageRef,
    /// Whose it is.
    pub certificate: VerifiedCertificate,
    /// How often it may be used.
    pub package_use: PackageUse,
    /// The protocol versions that its owner can speak.
    pub versions: BTreeSet<u16>,
}

/// Makes a key package for the device of `certificate`, whose keys `signer` is.
///
/// # Errors
/// [`MlsError::WrongSender`] if the keys are another device's.
pub fn key_package(
    signer: &KeyPair,
    certificate: &VerifiedCertificate,
    package_use: PackageUse,
    seed: &Secret<32>,
) -> Result<KeyPackageMade, MlsError> {
    key_package_of(Program::THIS, signer, certificate, package_use, seed)
}

/// Makes a key package as `program` does.
pub(super) fn key_package_of(
    program: Program,
    signer: &KeyPair,
    certificate: &VerifiedCertificate,
    package_use: PackageUse,
    seed: &Secret<32>,
) -> Result<KeyPackageMade, MlsError> {
    let credential = credential(signer, certificate)?;
    let overlay = Overlay::new_scope(Rows::default());
    let step = Step::new(&overlay, seed, "package");
    let mut builder = KeyPackage::builder()
        .key_package_lifetime(settings::endless())
        .leaf_node_capabilities(settings::capabilities(program));
    if package_use == PackageUse::LastResort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(settings::SUITE, &step, &LeafSigner(signer), credential)
        .map_err(MlsError::library)?;
    let reference = facts::reference(bundle.key_package(), step.crypto())?;
    let package = MlsMessageOut::from(bundle.into_key_package())
        .tls_serialize_detached()
        .map_err(MlsError::library)?;
    Ok(KeyPackageMade { package, reference, private: overlay.rows() })
}

/// Checks a key package whole: form, signatures, suite, certificate, capabilities, and a lifetime
/// without end.
///
/// # Errors
/// [`MlsError::Malformed`] if the bytes are none; [`MlsError::Package`] says what it breaks.
pub fn package_facts(package: &[u8]) -> Result<PackageFacts, MlsError> {
    let crypto = SeededCrypto::new(Secret::new([0; 32]));
    validate(package, &crypto).map(|(_, facts)| facts)
}

pub(super) fn validate(
    bytes: &[u8],
    crypto: &SeededCrypto,
) -> Result<(KeyPackage, PackageFacts), MlsError> {
    let package = parse(bytes)?
        .validate(crypto, ProtocolVersion::Mls10)
        .map_err(|error| MlsError::Package(error.to_string()))?;
    if package.ciphersuite() != settings::SUITE {
        return Err(MlsError::Package("another cipher suite".into()));
    }
    let leaf = facts::of_leaf(package.leaf_node());
    let certificate = leaf.certificate.ok_or(MlsError::Leaf)?;
    if !leaf.endless {
        return Err(MlsError::Package("its lifetime ends".into()));
    }
    if !leaf.capable {
        return Err(MlsError::Package("capabilities are missing".into()));
    }
    let package_use = if package.last_resort() { PackageUse::LastResort } else { PackageUse::Once };
    let reference = facts::reference(&package, crypto)?;
    let versions = version::spoken(package.leaf_node().capabilities());
    Ok((package, PackageFacts { reference, certificate, package_use, versions }))
}

fn parse(bytes: &[u8]) -> Result<KeyPackageIn, MlsError> {
    let malformed = MlsError::Malformed("key package");
    if bytes.len() > PAYLOAD_LEN_MAX {
        return Err(malformed);
    }
    shape::check_message(bytes, "key package")?;
    match MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract) {
        Ok(MlsMessageBodyIn::KeyPackage(package)) => Ok(package),
        _ => Err(malformed),
    }
}

/// A leaf's credential: the certificate's exact bytes, for the device's key.
pub(super) fn credential(
    signer: &KeyPair,
    certificate: &VerifiedCertificate,
) -> Result<CredentialWithKey, MlsError> {
    if certificate.device().as_bytes() != signer.public() {
        return Err(MlsError::WrongSender);
    }
    Ok(CredentialWithKey {
        credential: BasicCredential::new(certificate.encode()).into(),
        signature_key: signer.public().to_vec().into(),
    })
}
