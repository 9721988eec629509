use minicbor::{Decode, Encode};
use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, Extensions, GroupContext,
    Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    ProtocolVersion, RequiredCapabilitiesExtension, SenderRatchetConfiguration, UnknownExtension,
};

use super::{MlsError, tree::Window, version::Program};
use crate::base::{ServerId, cbor};

/// The format of the extension in the group context.
const FORMAT: u16 = 1;
/// The type of that extension (of the range for private use, RFC 9420, 17.3).
const EXTENSION: u16 = 0xF0A1;
/// X25519, ChaCha20-Poly1305, SHA-256, Ed25519: 0x0003.
pub(super) const SUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
/// How many generations behind the newest of a sender can still be opened.
const OUT_OF_ORDER: u32 = 256;
/// How many generations may be skipped.
const FORWARD: u32 = 4_096;
/// Messages are padded to a multiple of this many bytes.
const PADDING: usize = 128;

/// The id of a server's group: its server's id and its generation.
pub fn group_id(server: &ServerId, generation: u32) -> Vec<u8> {
    [&server.as_bytes()[..], &generation.to_be_bytes()].concat()
}

/// What a group was made with; all of its states share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which generation of its group it is: one more each time the group starts over.
    pub generation: u32,
    /// How many hours a state is kept after it was left.
    pub window_hours: u16,
    /// How many newer states are kept before a state ends.
    pub window_states: u16,
}

impl Settings {
    /// How long the group keeps states that were left.
    pub fn window(&self) -> Window {
        Window { hours: self.window_hours, states: self.window_states }
    }
}

/// The content of the extension: format, generation, version, window in hours, window in states.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Content {
    #[n(0)]
    format: u16,
    #[n(1)]
    generation: u32,
    #[n(2)]
    version: u16,
    #[n(3)]
    window_hours: u16,
    #[n(4)]
    window_states: u16,
}

impl Content {
    fn of(extensions: &Extensions<GroupContext>) -> Result<Self, MlsError> {
        let content = extensions.unknown(EXTENSION).ok_or(MlsError::Settings)?;
        cbor::decode(&content.0).map_err(|_| MlsError::Settings)
    }
}

impl Settings {
    /// The extensions of the context of a group at `version`.
    pub(super) fn extensions(&self, version: u16) -> Result<Extensions<GroupContext>, MlsError> {
        let Self { generation, window_hours, window_states } = *self;
        let content = Content { format: FORMAT, generation, version, window_hours, window_states };
        let content = UnknownExtension(cbor::encode(&content));
        Extensions::from_vec(vec![
            Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
                &[ExtensionType::Unknown(EXTENSION)],
                &[],
                &[CredentialType::Basic],
            )),
            Extension::Unknown(EXTENSION, content),
        ])
        .map_err(MlsError::library)
    }

    /// Reads the settings and the version off a group's context.
    pub(super) fn read(context: &GroupContext) -> Result<(Self, u16), MlsError> {
        let extensions = context.extensions();
        let required = extensions.required_capabilities().is_some_and(|required| {
            required.extension_types().contains(&ExtensionType::Unknown(EXTENSION))
        });
        let content = Content::of(extensions)?;
        if !required || content.format != FORMAT || context.ciphersuite() != SUITE {
            return Err(MlsError::Settings);
        }
        let Content { generation, version, window_hours, window_states, .. } = content;
        Ok((Self { generation, window_hours, window_states }, version))
    }

    /// The version that `extensions` set in a group of these settings, if they set nothing else.
    pub(super) fn version_alone(&self, extensions: &Extensions<GroupContext>) -> Option<u16> {
        let version = Content::of(extensions).ok()?.version;
        (self.extensions(version).ok()? == *extensions).then_some(version)
    }
}

/// The capabilities of every leaf of a program. `LastResort` is among them from the start: a
/// last-resort package without it would split the group.
pub(super) fn capabilities(program: Program) -> Capabilities {
    let everybody = [ExtensionType::Unknown(EXTENSION), ExtensionType::LastResort];
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![SUITE])
        .extensions(everybody.into_iter().chain(program.extensions()).collect())
        .credentials(vec![CredentialType::Basic])
        .build()
}

/// Whether a leaf's capabilities hold what every leaf's must.
pub(super) fn are_capable(capabilities: &Capabilities) -> bool {
    capabilities.versions().contains(&ProtocolVersion::Mls10)
        && capabilities.ciphersuites().contains(&SUITE.into())
        && capabilities.credentials().contains(&CredentialType::Basic)
        && [ExtensionType::Unknown(EXTENSION), ExtensionType::LastResort]
            .iter()
            .all(|extension| capabilities.extensions().contains(extension))
}

/// A lifetime without end: with another, who can join would depend on the clock.
pub(super) fn endless() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// Whether a lifetime is exactly the endless one.
pub(super) fn is_endless(lifetime: &Lifetime) -> bool {
    (lifetime.not_before(), lifetime.not_after()) == (0, u64::MAX)
}

pub(super) fn create_config(
    settings: &Settings,
    program: Program,
) -> Result<MlsGroupCreateConfig, MlsError> {
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(1)
        .padding_size(PADDING)
        .sender_ratchet_configuration(ratchet())
        .use_ratchet_tree_extension(false)
        .capabilities(capabilities(program))
        .lifetime(endless())
        .with_group_context_extensions(settings.extensions(program.greatest)?)
        .build())
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(0)
        .number_of_resumption_psks(1)
        .padding_size(PADDING)
        .sender_ratchet_configuration(ratchet())
        .use_ratchet_tree_extension(false)
        .build()
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD)
}
