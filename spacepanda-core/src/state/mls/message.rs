use std::fmt;

use bytes::Bytes;
use openmls::{
    framing::errors::MessageDecryptionError,
    prelude::{
        MlsMessageBodyIn, MlsMessageIn, ProcessMessageError, ProcessedMessageContent,
        ProtocolMessage, Sender, ValidationError,
        tls_codec::{Deserialize, Serialize},
    },
};
use openmls_traits::{OpenMlsProvider, random::OpenMlsRand};

use super::{
    Group, MessagePayload, MlsError,
    crypto::LeafSigner,
    facts,
    overlay::{RowError, Step},
    payload::{Sealed, message_aad},
};
use crate::{
    base::{ChannelId, MessageId, Secret, cbor},
    state::{
        envelope::{Header, Opened, Origin, PayloadType, Verified, hash},
        identity::KeyPair,
    },
};

/// A message as its envelope carries it. Its `Debug` shows no salt, by which its content could be guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The envelope's payload.
    pub payload: MessagePayload,
    /// The envelope's body: an MLSMessage with the PrivateMessage (RFC 9420, 6.3).
    pub body: Bytes,
    /// The salt, to be kept with the content: both are handed over to who cannot open the body.
    pub salt: [u8; 32],
}

/// A message that was opened. Its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext {
    /// Its name among those of its device.
    pub id: MessageId,
    /// What it says, in the form of the channel's content.
    pub content: Vec<u8>,
    /// What proves, with the content, the commitment in the header.
    pub salt: [u8; 32],
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({:?}, {} bytes)", self.payload, self.body.len())
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({:?}, {} bytes)", self.id, self.content.len())
    }
}

/// What a message's header commits its author to: BLAKE3 of `"spacepanda-commitment-v1"`, salt, content.
pub fn commitment(salt: &[u8; 32], content: &[u8]) -> [u8; 32] {
    hash("spacepanda-commitment-v1", &[salt, content].concat())
}

impl Group {
    /// Encrypts a message in this state. Nothing of it may be sent before the changes are kept: a
    /// sender that forgets them would use a key twice.
    ///
    /// # Errors
    /// [`MlsError::WrongSender`] or [`MlsError::Inactive`] if this device is not `signer` or no member.
    /// The state is then as before.
    pub fn encrypt(
        &mut self,
        signer: &KeyPair,
        channel: &ChannelId,
        content: &[u8],
        id: MessageId,
        seed: &Secret<32>,
    ) -> Result<Encrypted, MlsError> {
        self.check_signer(signer)?;
        self.whole(|group| {
            let step = Step::new(&group.overlay, seed, "encrypt");
            let salt = step.rand().random_array().map_err(MlsError::library)?;
            let sealed = cbor::encode(&Sealed { salt, content: content.to_vec() });
            group.mls.set_aad(message_aad(channel));
            let message = group
                .mls
                .create_message(&step, &LeafSigner(signer), &sealed)
                .map_err(MlsError::library)?;
            let body = message.tls_serialize_detached().map_err(MlsError::library)?.into();
            let commitment = commitment(&salt, content);
            let payload = MessagePayload { id, state: group.state_id(), commitment };
            Ok(Encrypted { payload, body, salt })
        })
    }

    /// Opens a message of somebody else.
    ///
    /// # Errors
    /// [`MlsError::NoBody`], [`MlsError::WrongState`] if it belongs to another state,
    /// [`MlsError::Own`], [`MlsError::Used`] if it was opened before, [`MlsError::TooOld`],
    /// [`MlsError::TooNew`], [`MlsError::Unreadable`]; [`MlsError::WrongSender`],
    /// [`MlsError::WrongData`] and [`MlsError::Commitment`] if the envelope says otherwise than MLS.
    /// The state is then as before.
    pub fn decrypt(
        &mut self,
        envelope: &Verified,
        seed: &Secret<32>,
    ) -> Result<Opened<Plaintext>, MlsError> {
        let header = envelope.header();
        if header.payload_type != PayloadType::Message {
            return Err(MlsError::Malformed("message"));
        }
        let payload = MessagePayload::decode(&header.payload)?;
        if payload.state != self.state_id() {
            return Err(MlsError::WrongState);
        }
        if !self.is_active() {
            return Err(MlsError::Inactive);
        }
        let message = private_message(envelope.body().ok_or(MlsError::NoBody)?)?;
        if message.group_id() != self.mls.group_id() || message.epoch() != self.mls.epoch() {
            return Err(MlsError::WrongState);
        }
        let sealed = self.whole(|group| group.open(header, &payload, message, seed))?;
        let Sealed { salt, content } = sealed;
        Ok(Opened::new(Origin::of(header), Plaintext { id: payload.id, content, salt }))
    }

    fn open(
        &mut self,
        header: &Header,
        payload: &MessagePayload,
        message: ProtocolMessage,
        seed: &Secret<32>,
    ) -> Result<Sealed, MlsError> {
        let step = Step::new(&self.overlay, seed, "decrypt");
        let processed = self.mls.process_message(&step, message).map_err(unreadable)?;
        let sender = match processed.sender() {
            Sender::Member(index) => facts::device_at(&self.mls, *index)?,
            _ => return Err(MlsError::WrongSender),
        };
        if sender != header.sender {
            return Err(MlsError::WrongSender);
        }
        if processed.aad() != message_aad(&header.channel) {
            return Err(MlsError::WrongData);
        }
        let content = match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(content) => content.into_bytes(),
            ProcessedMessageContent::OwnPrivateMessage => return Err(MlsError::Own),
            _ => return Err(MlsError::Malformed("message")),
        };
        let sealed: Sealed = cbor::decode(&content)?;
        if commitment(&sealed.salt, &sealed.content) == payload.commitment {
            Ok(sealed)
        } else {
            Err(MlsError::Commitment)
        }
    }

    /// Does `step` whole, or leaves the state as it was: rows, and OpenMLS's group from them.
    fn whole<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, MlsError>,
    ) -> Result<T, MlsError> {
        let before = self.overlay.before();
        let result = step(self);
        if result.is_err() {
            self.overlay.restore(before);
            self.reload()?;
        }
        result
    }
}

fn private_message(bytes: &[u8]) -> Result<ProtocolMessage, MlsError> {
    match MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract) {
        Ok(MlsMessageBodyIn::PrivateMessage(message)) => Ok(message.into()),
        _ => Err(MlsError::Malformed("message")),
    }
}

fn unreadable(error: ProcessMessageError<RowError>) -> MlsError {
    match error {
        ProcessMessageError::StorageError(_) => MlsError::Storage,
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(error)) => {
            of_decryption(&error)
        }
        other => MlsError::library(other),
    }
}

/// OpenMLS does not export the type of these errors, so their names tell them apart.
fn of_decryption(error: &MessageDecryptionError) -> MlsError {
    let MessageDecryptionError::SecretTreeError(error) = error else {
        return MlsError::Unreadable;
    };
    match format!("{error:?}").as_str() {
        "SecretReuseError" => MlsError::Used,
        "TooDistantInThePast" => MlsError::TooOld,
        "TooDistantInTheFuture" => MlsError::TooNew,
        _ => MlsError::Unreadable,
    }
}
