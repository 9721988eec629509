//! Bytes as nobody honest would send them.

/// How far apart alterations are.
const STRIDE: usize = 13;

/// The bytes cut short, altered and drawn out, each in many places.
pub(crate) fn spoilt(bytes: &[u8]) -> Vec<Vec<u8>> {
    [cut(bytes), altered(bytes), vec![[bytes, &[0]].concat()]].concat()
}

/// The bytes cut short at every 13th place.
pub(crate) fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
    (0..bytes.len()).step_by(STRIDE).map(|at| bytes[..at].to_vec()).collect()
}

/// The bytes with every 13th altered, one at a time.
pub(crate) fn altered(bytes: &[u8]) -> Vec<Vec<u8>> {
    let alter = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x55;
        bytes
    };
    (0..bytes.len()).step_by(STRIDE).map(alter).collect()
}

/// Bytes of many lengths that mean nothing.
pub(crate) fn garbage() -> Vec<Vec<u8>> {
    let mut last = 1_u32;
    let mut byte = move || {
        last = last.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        last.to_be_bytes()[0]
    };
    let lens = [0, 1, 2, 16, 31, 32, 33, 48, 64, 96, 100, 1_000, 20_000, 65_535];
    let mut all: Vec<Vec<u8>> =
        lens.iter().map(|len| (0..*len).map(|_| byte()).collect()).collect();
    all.extend(lens.iter().map(|len| vec![0xff; *len]));
    all.extend(lens.iter().map(|len| vec![0; *len]));
    all
}
