use bytes::Bytes;
use minicbor::{Decoder, Encoder, data::Type};

use super::rows::Form;
use crate::base::LogEntry;

/// An entry's bytes, taken apart so that the body can go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) form: Form,
    pub(super) header: Bytes,
    pub(super) signature: Bytes,
    pub(super) body: Option<Bytes>,
}

impl Parts {
    /// Takes `entry` apart. What is not an envelope byte for byte is kept whole.
    pub(super) fn of(entry: &LogEntry) -> Self {
        let split = split(&entry.bytes).filter(|(header, signature, body)| {
            envelope(header, signature, body.as_deref()) == entry.bytes
        });
        match split {
            Some((header, signature, body)) => {
                let bodiless = entry.body_held && body.is_none();
                let form = if bodiless { Form::Bodiless } else { Form::Split };
                Self { form, header, signature, body }
            }
            None => {
                let form = if entry.body_held { Form::Whole } else { Form::WholeWithout };
                let (header, signature) = (entry.bytes.clone(), Bytes::new());
                Self { form, header, signature, body: None }
            }
        }
    }

    /// The entry's bytes, and whether they include the body.
    pub(super) fn join(self) -> (Bytes, bool) {
        match self.form {
            Form::Whole => (self.header, true),
            Form::WholeWithout => (self.header, false),
            Form::Split | Form::Bodiless => {
                let held = self.form == Form::Bodiless || self.body.is_some();
                (envelope(&self.header, &self.signature, self.body.as_deref()), held)
            }
        }
    }
}

/// The three parts of an envelope, `[header, signature, body or null]`.
fn split(bytes: &Bytes) -> Option<(Bytes, Bytes, Option<Bytes>)> {
    let mut decoder = Decoder::new(bytes);
    if decoder.array().ok()? != Some(3) {
        return None;
    }
    let header = bytes.slice_ref(decoder.bytes().ok()?);
    let signature = bytes.slice_ref(decoder.bytes().ok()?);
    let body = match decoder.datatype().ok()? {
        Type::Null => decoder.null().ok().map(|()| None)?,
        _ => Some(bytes.slice_ref(decoder.bytes().ok()?)),
    };
    Some((header, signature, body))
}

fn envelope(header: &[u8], signature: &[u8], body: Option<&[u8]>) -> Bytes {
    let len = header.len() + signature.len() + body.map_or(0, <[u8]>::len) + 32;
    let mut encoder = Encoder::new(Vec::with_capacity(len));
    write(&mut encoder, header, signature, body).expect("writing to a vector does not fail");
    encoder.into_writer().into()
}

fn write(
    encoder: &mut Encoder<Vec<u8>>,
    header: &[u8],
    signature: &[u8],
    body: Option<&[u8]>,
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    encoder.array(3)?.bytes(header)?.bytes(signature)?;
    match body {
        Some(body) => encoder.bytes(body)?.ok(),
        None => encoder.null()?.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, EnvelopeId};

    fn entry(bytes: &[u8], body_held: bool) -> LogEntry {
        LogEntry {
            device: DeviceId::new([1; 32]),
            number: 1,
            id: EnvelopeId::new([1; 32]),
            previous: None,
            body_held,
            bytes: Bytes::copy_from_slice(bytes),
        }
    }

    #[test]
    fn whatever_is_taken_apart_comes_together_byte_for_byte() {
        for (bytes, form) in [
            (&[0x83, 0x41, 1, 0x41, 2, 0x41, 3][..], Form::Split),
            (&[0x83, 0x40, 0x40, 0x40], Form::Split),
            (&[0x83, 0x41, 1, 0x41, 2, 0xf6], Form::Bodiless),
            (&[0x83, 0x58, 1, 1, 0x41, 2, 0x41, 3], Form::Whole),
            (&[0x83, 0x41, 1, 0x41, 2, 0x41, 3, 0], Form::Whole),
            (&[0x83, 0x41, 1, 0x41, 2, 0x5f, 0xff], Form::Whole),
            (&[0x82, 0x41, 1, 0x41, 2], Form::Whole),
            (&[0x83, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255], Form::Whole),
            (b"bytes", Form::Whole),
            (&[], Form::Whole),
        ] {
            let entry = entry(bytes, true);
            let parts = Parts::of(&entry);
            assert_eq!(parts.form, form, "{bytes:02x?}");
            assert_eq!(parts.join(), (entry.bytes, true));
        }
    }

    #[test]
    fn what_lacks_its_body_says_so() {
        let without = entry(&[0x83, 0x41, 1, 0x41, 2, 0xf6], false);
        assert_eq!(Parts::of(&without).form, Form::Split);
        assert_eq!(Parts::of(&without).join(), (without.bytes, false));
        assert_eq!(Parts::of(&entry(b"bytes", false)).join(), (Bytes::from("bytes"), false));
    }
}
