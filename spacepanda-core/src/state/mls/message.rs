use std::{fmt, time::SystemTime};

use bytes::Bytes;
use openmls::{
    framing::errors::MessageDecryptionError,
    prelude::{
        MlsGroup, MlsMessageBodyIn, MlsMessageIn, PastEpochDeletion, ProcessMessageError,
        ProcessedMessageContent, ProtocolMessage, Sender, ValidationError,
        tls_codec::{Deserialize, Serialize},
    },
};
use openmls_traits::{OpenMlsProvider, random::OpenMlsRand};

use super::{
    Group, MessagePayload, MlsError,
    crypto::LeafSigner,
    facts,
    group::Unwritten,
    overlay::{RowError, Step},
    payload::{Sealed, message_aad},
};
use crate::{
    base::{Bug, ChannelId, MessageId, Secret, cbor},
    state::{
        envelope::{Header, Opened, Origin, PayloadType, Verified, hash},
        identity::KeyPair,
    },
};

/// How many messages are opened before the secrets are written to their row in any case.
const OPENED_UNWRITTEN_MAX: usize = 64;

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

/// Opens a message by what somebody who opened it handed over: its author committed to just this.
///
/// # Errors
/// [`MlsError::Commitment`] if it is anything else; [`MlsError::Malformed`] and [`MlsError::Form`] if
/// the envelope is no message.
pub fn handed_over(
    envelope: &Verified,
    salt: [u8; 32],
    content: Vec<u8>,
) -> Result<Opened<Plaintext>, MlsError> {
    let payload = message_payload(envelope.header())?;
    let proven = commitment(&salt, &content) == payload.commitment;
    if !proven && !Bug::TakesAnyHandOver.is_planted() {
        return Err(MlsError::Commitment);
    }
    let plaintext = Plaintext { id: payload.id, content, salt };
    Ok(Opened::new(Origin::of(envelope.header()), plaintext))
}

fn message_payload(header: &Header) -> Result<MessagePayload, MlsError> {
    if header.payload_type != PayloadType::Message {
        return Err(MlsError::Malformed("message"));
    }
    MessagePayload::decode(&header.payload)
}

impl Group {
    /// Encrypts a message in this state. Nothing of it may be sent before the changes are kept: a
    /// sender that forgets them would use a key twice.
    ///
    /// # Errors
    /// [`MlsError::WrongSender`] or [`MlsError::Inactive`] if this device is not `signer` or no member.
    /// No key is used twice after any error.
    pub fn encrypt(
        &mut self,
        signer: &KeyPair,
        channel: &ChannelId,
        content: &[u8],
        id: MessageId,
        seed: &Secret<32>,
    ) -> Result<Encrypted, MlsError> {
        self.check_signer(signer)?;
        let step = Step::new(&self.overlay, seed, "encrypt");
        let salt = step.rand().random_array().map_err(MlsError::library)?;
        let sealed = cbor::encode(&Sealed { salt, content: content.to_vec() });
        self.mls.set_aad(message_aad(channel));
        self.overlay.defer();
        let message = self.mls.create_message(&step, &LeafSigner(signer), &sealed);
        if self.overlay.stop_deferring() {
            self.unwritten = Unwritten::Encrypted;
        }
        let message = message.map_err(MlsError::library)?;
        let body = message.tls_serialize_detached().map_err(MlsError::library)?.into();
        let payload =
            MessagePayload { id, state: self.state_id(), commitment: commitment(&salt, content) };
        Ok(Encrypted { payload, body, salt })
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
        let payload = message_payload(header)?;
        if payload.state != self.state_id() {
            return Err(MlsError::WrongState);
        }
        if !self.is_active() {
            return Err(MlsError::Inactive);
        }
        let body = envelope.body().ok_or(MlsError::NoBody)?;
        let message = private_message(body)?;
        if message.group_id() != self.mls.group_id() || message.epoch() != self.mls.epoch() {
            return Err(MlsError::WrongState);
        }
        let mut opened = self.replayable()?;
        self.overlay.defer();
        let sealed = self.open(header, &payload, message, seed);
        let advanced = self.overlay.stop_deferring();
        match sealed {
            Ok(Sealed { salt, content }) => {
                opened.push(body.clone());
                self.unwritten = Unwritten::Opened(opened);
                let plaintext = Plaintext { id: payload.id, content, salt };
                Ok(Opened::new(Origin::of(header), plaintext))
            }
            Err(error) => {
                if advanced {
                    self.replay(&opened)?;
                }
                self.unwritten = Unwritten::Opened(opened);
                Err(error)
            }
        }
    }

    /// The bodies by which the secrets in memory follow from their row; writes them first if there are
    /// none or too many.
    fn replayable(&mut self) -> Result<Vec<Bytes>, MlsError> {
        match &mut self.unwritten {
            Unwritten::Opened(opened) if opened.len() < OPENED_UNWRITTEN_MAX => {
                Ok(std::mem::take(opened))
            }
            _ => {
                self.write_secrets()?;
                Ok(Vec::new())
            }
        }
    }

    /// Takes OpenMLS's group from the rows again and opens `bodies`: a message that MLS opened and the
    /// envelope belied must not burn its key.
    fn replay(&mut self, bodies: &[Bytes]) -> Result<(), MlsError> {
        self.mls = MlsGroup::load(&self.overlay, self.mls.group_id())?.ok_or(MlsError::Storage)?;
        self.overlay.defer();
        let step = Step::new(&self.overlay, &Secret::new([0; 32]), "replay");
        let replayed = bodies.iter().try_for_each(|body| {
            let processed = self.mls.process_message(&step, private_message(body)?);
            processed.map(|_| ()).map_err(unreadable)
        });
        self.overlay.stop_deferring();
        replayed
    }

    /// Writes the message secrets to their row, if they changed since they last were.
    pub(super) fn write_secrets(&mut self) -> Result<(), MlsError> {
        match &self.unwritten {
            Unwritten::Nothing => return Ok(()),
            Unwritten::Opened(opened) if opened.is_empty() => {}
            Unwritten::Opened(_) | Unwritten::Encrypted => {
                // It deletes nothing, for there are no past epochs, but writes the row.
                let nothing = PastEpochDeletion::before_timestamp(SystemTime::UNIX_EPOCH);
                let step = Step::new(&self.overlay, &Secret::new([0; 32]), "write");
                self.mls
                    .delete_past_epoch_secrets(&step, nothing)
                    .map_err(|_| MlsError::Storage)?;
            }
        }
        self.unwritten = Unwritten::Nothing;
        Ok(())
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
