//! A member with OpenMLS alone: its own provider and storage, no envelope and no policy.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, ExtensionType,
    KeyPackage, Lifetime, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProtocolMessage,
    ProtocolVersion, RatchetTreeIn, StagedWelcome,
    tls_codec::{Deserialize, Serialize},
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::{
    OpenMlsProvider,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use spacepanda_core::state::{envelope::Verified, identity::KeyPair, mls::CommitBody};

use crate::world::Member;

/// What every leaf lists: our extension, last resort, and the first version.
const EXTENSIONS: [u16; 3] = [0xF0A1, 0x000A, 0xF0B1];

struct LeafSigner<'a>(&'a KeyPair);

impl Signer for LeafSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign_raw(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub(crate) struct RawMember {
    provider: OpenMlsRustCrypto,
    group: Option<MlsGroup>,
}

impl RawMember {
    /// A member to be, and the key package to add it by.
    pub(crate) fn new(member: &Member) -> (Self, Vec<u8>) {
        let provider = OpenMlsRustCrypto::default();
        let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
        let capabilities = Capabilities::builder()
            .versions(vec![ProtocolVersion::Mls10])
            .ciphersuites(vec![suite])
            .extensions(EXTENSIONS.map(ExtensionType::from).to_vec())
            .credentials(vec![CredentialType::Basic])
            .build();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(member.certificate.encode()).into(),
            signature_key: member.keys.public().to_vec().into(),
        };
        let bundle = KeyPackage::builder()
            .key_package_lifetime(Lifetime::init(0, u64::MAX))
            .leaf_node_capabilities(capabilities)
            .build(suite, &provider, &LeafSigner(&member.keys), credential)
            .unwrap();
        let package = MlsMessageOut::from(bundle.into_key_package());
        (Self { provider, group: None }, package.tls_serialize_detached().unwrap())
    }

    pub(crate) fn enter(&mut self, welcome: &[u8], tree: &[u8]) {
        let MlsMessageBodyIn::Welcome(welcome) =
            MlsMessageIn::tls_deserialize_exact(welcome).unwrap().extract()
        else {
            panic!("a welcome")
        };
        let tree = RatchetTreeIn::tls_deserialize_exact(tree).unwrap();
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .max_past_epochs(0)
            .number_of_resumption_psks(1)
            .build();
        let staged = StagedWelcome::build_from_welcome(&self.provider, &config, welcome).unwrap();
        let staged = staged.skip_lifetime_validation().with_ratchet_tree(tree).build().unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// The same again, read from a copy of its storage.
    pub(crate) fn copy(&self) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let values = self.provider.storage().values.read().unwrap().clone();
        *provider.storage().values.write().unwrap() = values;
        let mut copy = Self { provider, group: None };
        copy.load(self);
        copy
    }

    /// Reads its group from its storage.
    pub(crate) fn load(&mut self, of: &Self) {
        let id = of.group.as_ref().unwrap().group_id();
        self.group = MlsGroup::load(self.provider.storage(), id).unwrap();
    }

    /// Processes a commit and merges it.
    pub(crate) fn follow(&mut self, sent: &Verified) {
        let body = CommitBody::decode(sent.body().unwrap()).unwrap();
        let message = MlsMessageIn::tls_deserialize_exact(body.commit).unwrap();
        let MlsMessageBodyIn::PublicMessage(message) = message.extract() else { panic!("public") };
        let group = self.group.as_mut().unwrap();
        let processed =
            group.process_message(&self.provider, ProtocolMessage::from(message)).unwrap();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("a commit")
        };
        group.merge_staged_commit(&self.provider, *staged).unwrap();
    }

    /// What its storage holds, in bytes.
    pub(crate) fn stored_bytes(&self) -> usize {
        let values = self.provider.storage().values.read().unwrap();
        values.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}
