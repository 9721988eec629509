use minicbor::{Decode, Decoder, Encode};

use crate::base::cbor::{self, CborError};

/// Decodes `[code, fields]`, of which this version knows the codes below `known`.
///
/// # Errors
/// As [`cbor::decode`]; [`CborError::Newer`] also for a code that is not known.
pub(super) fn decode<'b, T>(bytes: &'b [u8], known: u64) -> Result<T, CborError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    cbor::check(bytes)?;
    let mut d = Decoder::new(bytes);
    let is_variant = matches!(d.array(), Ok(Some(2)));
    if is_variant && d.u64().is_ok_and(|code| code >= known) {
        return Err(CborError::Newer);
    }
    cbor::decode(bytes)
}
