//! Decoders of bytes from outside or from disk, as values: what the mutation tests and fuzzing run over.

use minicbor::{Decode, Encode};

use super::{
    ChannelId, DeviceId, EnvelopeId, IdentityId, MessageId, ServerId, StateId, Timestamp, Tip, cbor,
};

/// One decoder, with samples of what it decodes.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// What it decodes. The word before the first space is its group: one fuzz target each.
    pub name: &'static str,
    /// What its bytes owe.
    pub form: Form,
    /// Valid bytes as the real code makes them, the same for the same seed.
    pub samples: fn(&mut Sampler) -> Vec<Vec<u8>>,
    /// Decodes: what the decoded encodes to, or `None` if it was refused. What has no encoding of its
    /// own gives no bytes.
    pub decode: fn(&[u8]) -> Option<Vec<u8>>,
}

/// What is owed by bytes that decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// They are the only ones that mean what they mean: encoding gives them back.
    Exact,
    /// What a newer version adds is skipped: encoding what is left gives bytes that are exact.
    Lenient,
    /// Nothing: others define the form.
    Foreign,
}

impl Decoder {
    /// The name of its group.
    pub fn group(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }

    /// Decodes `bytes`, and says what they break of what they owe.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge(&self, bytes: &[u8]) -> Result<(), &'static str> {
        let Some(again) = (self.decode)(bytes) else { return Ok(()) };
        match self.form {
            Form::Foreign => Ok(()),
            Form::Exact if again == bytes => Ok(()),
            Form::Exact => Err("what decodes encodes to other bytes"),
            Form::Lenient if again.len() > bytes.len() => Err("what decodes encodes to more bytes"),
            Form::Lenient if (self.decode)(&again) == Some(again) => Ok(()),
            Form::Lenient => Err("what was encoded is not decoded as itself"),
        }
    }
}

/// Bytes that one may allocate to decode `len` of them.
pub const fn allocation_max(len: usize) -> u64 {
    16 * len as u64 + 1024 * 1024
}

/// Decodes and encodes again what knows its form by its type.
pub fn exact<T: for<'b> Decode<'b, ()> + Encode<()>>(bytes: &[u8]) -> Option<Vec<u8>> {
    cbor::decode::<T>(bytes).ok().map(|value| cbor::encode(&value))
}

/// As [`exact`], for frames of links.
pub fn lenient<T: for<'b> Decode<'b, ()> + Encode<()>>(bytes: &[u8]) -> Option<Vec<u8>> {
    cbor::decode_lenient::<T>(bytes).ok().map(|value| cbor::encode(&value))
}

/// Values for samples: all from one seed.
pub struct Sampler(blake3::OutputReader);

impl Sampler {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof())
    }

    /// So many bytes, all different from those before.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A vector of bytes, shorter than `len_max`.
    pub fn blob(&mut self, len_max: u64) -> Vec<u8> {
        let mut blob = vec![0; usize::try_from(self.below(len_max)).unwrap_or(0)];
        self.0.fill(&mut blob);
        blob
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A number below `end`, which is not 0; small ones are as likely as great ones.
    pub fn below(&mut self, end: u64) -> u64 {
        let shift = self.bytes::<1>()[0] % 64;
        (self.number() >> shift) % end
    }

    /// A stamp of this century.
    pub fn stamp(&mut self) -> Timestamp {
        Timestamp::from_micros(self.below(4_000_000_000_000_000))
    }

    /// A tip.
    pub fn tip(&mut self) -> Tip {
        Tip { device: self.device(), number: 1 + self.below(u64::MAX >> 1), id: self.envelope() }
    }

    /// Fewer than `end` tips, ascending.
    pub fn tips(&mut self, end: u64) -> Vec<Tip> {
        let mut tips: Vec<_> = (0..self.below(end)).map(|_| self.tip()).collect();
        tips.sort_unstable();
        tips
    }
}

macro_rules! ids {
    ($($name:ident $id:ident)*) => {
        impl Sampler {$(
            /// An id.
            pub fn $name(&mut self) -> $id {
                $id::new(self.bytes())
            }
        )*}
    };
}

ids! {
    channel ChannelId
    device DeviceId
    envelope EnvelopeId
    identity IdentityId
    message MessageId
    server ServerId
    state StateId
}
