//! Deterministic CBOR (RFC 8949, 4.2.1): the one form in which anything is signed, sent or kept.

use minicbor::{Decode, Decoder, Encode, data::Type};

use super::limits::CBOR_DEPTH_MAX;

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Not CBOR, or cut off.
    #[error("the bytes are not well-formed CBOR")]
    Malformed,
    /// CBOR, but not in its one deterministic form.
    #[error("the bytes are not in deterministic form")]
    NotDeterministic,
    /// Nested too deeply.
    #[error("the bytes are nested deeper than allowed")]
    TooDeep,
    /// Something stands after the value.
    #[error("something stands after the value")]
    Trailing,
    /// Well formed, but of another shape than expected.
    #[error("the value has another shape than expected")]
    Shape,
    /// It holds a field that this version does not know.
    #[error("the value holds fields of a newer version")]
    Newer,
}

/// Encodes a value. Types here encode in deterministic form: integer keys ascending, lengths definite.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a vector does not fail")
}

/// Decodes what must be exactly one value that this version knows whole.
///
/// # Errors
/// As [`check`]; [`CborError::Shape`] if it is no `T`; [`CborError::Newer`] if it holds what encoding
/// it again would lose.
pub fn decode<'b, T: Decode<'b, ()> + Encode<()>>(bytes: &'b [u8]) -> Result<T, CborError> {
    let value: T = decode_lenient(bytes)?;
    if encode(&value) != bytes {
        return Err(CborError::Newer);
    }
    Ok(value)
}

/// Decodes one value and skips keys it does not know. For link frames only, never for signed data.
///
/// # Errors
/// As [`check`]; [`CborError::Shape`] if it is no `T`.
pub fn decode_lenient<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, CborError> {
    check(bytes)?;
    minicbor::decode(bytes).map_err(|_| CborError::Shape)
}

/// Checks in one pass, without allocating, that `bytes` are one value in deterministic form: shortest
/// integers, definite lengths, map keys ascending and none twice, at most [`CBOR_DEPTH_MAX`] deep,
/// nothing after.
///
/// # Errors
/// Says which of these it breaks.
pub fn check(bytes: &[u8]) -> Result<(), CborError> {
    let mut walk = Walk { bytes, at: 0 };
    walk.value(CBOR_DEPTH_MAX)?;
    if walk.at == bytes.len() { Ok(()) } else { Err(CborError::Trailing) }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn value(&mut self, depth: usize) -> Result<(), CborError> {
        let (major, argument) = self.head()?;
        match major {
            0 | 1 => Ok(()),
            2 => self.take(argument).map(|_| ()),
            3 => {
                let text = self.take(argument)?;
                std::str::from_utf8(text).map(|_| ()).map_err(|_| CborError::Malformed)
            }
            4 => self.items(argument, depth),
            5 => self.map(argument, depth),
            _ => Err(CborError::NotDeterministic),
        }
    }

    fn items(&mut self, count: u64, depth: usize) -> Result<(), CborError> {
        let depth = depth.checked_sub(1).ok_or(CborError::TooDeep)?;
        for _ in 0..count {
            self.value(depth)?;
        }
        Ok(())
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<(), CborError> {
        let depth = depth.checked_sub(1).ok_or(CborError::TooDeep)?;
        let mut last: Option<&[u8]> = None;
        for _ in 0..count {
            let start = self.at;
            self.value(depth)?;
            let key = &self.bytes[start..self.at];
            if last.is_some_and(|last| last >= key) {
                return Err(CborError::NotDeterministic);
            }
            last = Some(key);
            self.value(depth)?;
        }
        Ok(())
    }

    /// Reads the initial byte and its argument. Of the simple values `false`, `true` and `null` pass.
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        if major == 7 {
            let known = matches!(info, 20..=22);
            return if known { Ok((0, 0)) } else { Err(CborError::NotDeterministic) };
        }
        let (argument, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(self.take(1)?[0]), 24),
            25 => (self.big_endian(2)?, 1 << 8),
            26 => (self.big_endian(4)?, 1 << 16),
            27 => (self.big_endian(8)?, 1 << 32),
            31 => return Err(CborError::NotDeterministic),
            _ => return Err(CborError::Malformed),
        };
        if argument < least { Err(CborError::NotDeterministic) } else { Ok((major, argument)) }
    }

    fn big_endian(&mut self, len: u64) -> Result<u64, CborError> {
        Ok(self.take(len)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn take(&mut self, len: u64) -> Result<&[u8], CborError> {
        let rest = self.bytes.len() - self.at;
        let len = usize::try_from(len).ok().filter(|len| *len <= rest);
        let len = len.ok_or(CborError::Malformed)?;
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }
}

/// Decodes a list of at most `MAX` items; more are refused before any is decoded. For lists whose items
/// take more memory than bytes.
///
/// # Errors
/// If it is no list, is too long, or an item is no `T`.
pub fn decode_list<'b, C, T: Decode<'b, C>, const MAX: usize>(
    d: &mut Decoder<'b>,
    ctx: &mut C,
) -> Result<Vec<T>, minicbor::decode::Error> {
    let len = d.array()?.and_then(|len| usize::try_from(len).ok());
    let len = len.filter(|len| *len <= MAX);
    let len = len.ok_or_else(|| minicbor::decode::Error::message("a list above its limit"))?;
    // Nothing is reserved by what the list says of itself.
    let mut items = Vec::new();
    for _ in 0..len {
        items.push(T::decode(d, ctx)?);
    }
    Ok(items)
}

/// Whether the next value is `null`; it is consumed if so. For optional fields in arrays.
///
/// # Errors
/// If the bytes end here.
pub fn take_null(d: &mut Decoder<'_>) -> Result<bool, minicbor::decode::Error> {
    let null = d.datatype()? == Type::Null;
    if null {
        d.null()?;
    }
    Ok(null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deterministic_form_passes() {
        for bytes in [
            &[0x00][..],
            &[0x18, 24],
            &[0x42, 1, 2],
            &[0x82, 0x01, 0xf6],
            &[0xa2, 0x00, 0x01, 0x01, 0x02],
            &[0x61, b'a'],
        ] {
            assert_eq!(check(bytes), Ok(()), "{bytes:02x?}");
        }
    }

    #[test]
    fn any_other_form_is_refused_by_its_kind() {
        use CborError::{Malformed, NotDeterministic, TooDeep, Trailing};
        for (bytes, why) in [
            (&[][..], Malformed),
            (&[0x18, 23], NotDeterministic),
            (&[0x19, 0, 255], NotDeterministic),
            (&[0x9f, 0xff], NotDeterministic),
            (&[0xa2, 0x01, 0x01, 0x00, 0x02], NotDeterministic),
            (&[0xa2, 0x01, 0x01, 0x01, 0x02], NotDeterministic),
            (&[0xfb, 0, 0, 0, 0, 0, 0, 0, 0], NotDeterministic),
            (&[0xc0, 0x00], NotDeterministic),
            (&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255], Malformed),
            (&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255], Malformed),
            (&[0x61, 0xff], Malformed),
            (&[0x00, 0x00], Trailing),
            (&[0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x00], TooDeep),
        ] {
            assert_eq!(check(bytes), Err(why), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_field_of_a_newer_version_is_named_as_such() {
        #[derive(Debug, Encode, Decode)]
        #[cbor(map)]
        struct Known {
            #[n(0)]
            number: u64,
        }
        assert_eq!(decode::<Known>(&[0xa1, 0x00, 0x07]).map(|known| known.number), Ok(7));
        let newer = [0xa2, 0x00, 0x07, 0x01, 0x01];
        assert_eq!(decode::<Known>(&newer).map(|known| known.number), Err(CborError::Newer));
        assert!(decode_lenient::<Known>(&newer).is_ok());
    }
}
