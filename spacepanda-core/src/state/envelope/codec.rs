use std::{fmt, sync::Arc};

use bytes::Bytes;
use minicbor::{Decoder, Encoder};

use super::header::{BodyRef, Header};
use crate::{
    base::{
        EnvelopeId, LogEntry, Tip,
        cbor::{self, CborError},
        limits::{BODY_LEN_MAX, ENVELOPE_LEN_MAX, HEADER_LEN_MAX},
    },
    state::identity::{self, KeyPair},
};

const DOMAIN: &str = "spacepanda-envelope-v1";
const BODY_DOMAIN: &str = "spacepanda-body-v1";

/// Why bytes were refused as an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than any envelope may be, in whole or in a part.
    #[error("the envelope is larger than allowed")]
    TooLarge,
    /// Not in the form of an envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] CborError),
    /// A header that no author may write.
    #[error("the header contradicts itself or a limit")]
    Header,
    /// A header of another version.
    #[error("the header has version {0}, which this program does not know")]
    Version(u8),
    /// The sender's key did not sign this header.
    #[error("the signature does not fit")]
    Signature,
    /// The body is not the one that the header names.
    #[error("the body is not the one that the header names")]
    Body,
    /// The header names an order that its parents do not give.
    #[error("the order does not follow from the parents")]
    Order,
}

/// Hashes `bytes` under a domain: BLAKE3 of `domain || bytes`.
pub fn hash(domain: &str, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain.as_bytes()).update(bytes);
    hasher.finalize().into()
}

/// An envelope as it was received: within its limits and well formed, nothing checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    header: Arc<Header>,
    header_bytes: Bytes,
    signature: [u8; 64],
    body: Option<Bytes>,
}

impl Envelope {
    /// Decodes exactly one envelope. Every part is bounded before it is copied.
    ///
    /// # Errors
    /// If it is too large, not well formed, or its header contradicts itself.
    pub fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_LEN_MAX {
            return Err(EnvelopeError::TooLarge);
        }
        cbor::check(bytes)?;
        let (header, signature, body) = parts(bytes).map_err(|_| CborError::Shape)?;
        if header.len() > HEADER_LEN_MAX || body.is_some_and(|body| body.len() > BODY_LEN_MAX) {
            return Err(EnvelopeError::TooLarge);
        }
        let decoded: Header = cbor::decode(header)?;
        decoded.check()?;
        Ok(Self {
            header: Arc::new(decoded),
            header_bytes: bytes.slice_ref(header),
            signature: signature.try_into().map_err(|_| CborError::Shape)?,
            body: body.map(|body| bytes.slice_ref(body)),
        })
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The envelope as it travels.
    pub(super) fn encode(&self) -> Bytes {
        let Envelope { header_bytes, signature, body, .. } = self;
        let len = header_bytes.len() + body.as_ref().map_or(0, Bytes::len) + 80;
        let mut e = Encoder::new(Vec::with_capacity(len));
        e.array(3)
            .and_then(|e| e.bytes(header_bytes)?.bytes(signature))
            .and_then(|e| match body {
                Some(body) => e.bytes(body),
                None => e.null(),
            })
            .expect("writing to a vector does not fail");
        e.into_writer().into()
    }

    /// Checks the signature over the exact bytes, and that the body, if there is one, is the header's.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`] or [`EnvelopeError::Body`].
    pub fn verify(self) -> Result<Verified, EnvelopeError> {
        let sender = self.header.sender.as_bytes();
        identity::check_key(sender).map_err(|_| EnvelopeError::Signature)?;
        identity::verify(sender, DOMAIN, &self.header_bytes, &self.signature)
            .map_err(|_| EnvelopeError::Signature)?;
        self.trust()
    }

    /// Takes an envelope back from one's own log, where only verified ones are appended.
    ///
    /// # Errors
    /// [`EnvelopeError::Body`] if the body is not the header's.
    pub fn trust(self) -> Result<Verified, EnvelopeError> {
        if let Some(body) = &self.body
            && self.header.body != Some(body_ref(body))
        {
            return Err(EnvelopeError::Body);
        }
        let id = EnvelopeId::new(hash(DOMAIN, &self.header_bytes));
        Ok(Verified { id, envelope: self })
    }
}

/// Header, signature and body, as they stand in the bytes.
type Parts<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

fn parts(bytes: &[u8]) -> Result<Parts<'_>, minicbor::decode::Error> {
    let mut d = Decoder::new(bytes);
    if d.array()? != Some(3) {
        return Err(minicbor::decode::Error::message("an envelope has three parts"));
    }
    let (header, signature) = (d.bytes()?, d.bytes()?);
    let body = if cbor::take_null(&mut d)? { None } else { Some(d.bytes()?) };
    Ok((header, signature, body))
}

fn body_ref(body: &[u8]) -> BodyRef {
    BodyRef { hash: hash(BODY_DOMAIN, body), length: u32::try_from(body.len()).unwrap_or(u32::MAX) }
}

/// An envelope that its sender's key signed, with the body that its header names or without one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    id: EnvelopeId,
    envelope: Envelope,
}

impl Verified {
    /// Signs an envelope of one's own. `header.body` is filled in from `body`.
    ///
    /// # Errors
    /// If the header contradicts itself or a limit, or `keys` are not the sender's.
    pub fn sign(
        mut header: Header,
        body: Option<Bytes>,
        keys: &KeyPair,
    ) -> Result<Self, EnvelopeError> {
        header.body = body.as_deref().map(body_ref);
        header.check()?;
        if keys.public() != header.sender.as_bytes() {
            return Err(EnvelopeError::Signature);
        }
        let header_bytes = Bytes::from(cbor::encode(&header));
        if header_bytes.len() > HEADER_LEN_MAX {
            return Err(EnvelopeError::TooLarge);
        }
        let signature = keys.sign(DOMAIN, &header_bytes);
        Envelope { header: Arc::new(header), header_bytes, signature, body }.trust()
    }

    /// Its id: the hash of the signed bytes.
    pub fn id(&self) -> EnvelopeId {
        self.id
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.envelope.header
    }

    /// Where it stands in its log.
    pub fn tip(&self) -> Tip {
        self.header().tip(self.id)
    }

    /// The body; `None` if the header names none, or it is not held.
    pub fn body(&self) -> Option<&Bytes> {
        self.envelope.body.as_ref()
    }

    /// The same envelope with `body`, if that is the one its header names.
    ///
    /// # Errors
    /// [`EnvelopeError::Body`] if it is another.
    pub fn with_body(mut self, body: Bytes) -> Result<Self, EnvelopeError> {
        self.envelope.body = Some(body);
        self.envelope.trust()
    }

    /// The same envelope without its body.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.envelope.body = None;
        self
    }

    /// The envelope as it travels.
    pub fn encode(&self) -> Bytes {
        self.envelope.encode()
    }

    /// The entry of a log that it is.
    pub fn log_entry(&self) -> LogEntry {
        LogEntry {
            device: self.header().sender,
            number: self.header().sequence,
            id: self.id,
            previous: self.header().previous,
            body_held: self.body().is_some(),
            bytes: self.encode(),
        }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({:?}, {:?})", self.id, self.header().payload_type)
    }
}
