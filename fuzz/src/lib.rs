//! One target per group of decoders, over the table that the mutation tests run over too.

use std::sync::LazyLock;

use spacepanda_core::{
    app::engine::decoders,
    base::decoder::{Decoder, allocation_max},
};

static TABLE: LazyLock<Vec<Decoder>> = LazyLock::new(decoders);

/// The decoders of a group. The first byte of an input is an index among them.
pub fn group(name: &str) -> Vec<&'static Decoder> {
    TABLE.iter().filter(|decoder| decoder.group() == name).collect()
}

/// The names of all groups, each once.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = TABLE.iter().map(Decoder::group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Decodes what stands behind the first byte, and panics if the decoder breaks a rule.
pub fn run(name: &str, input: &[u8]) {
    let decoders = group(name);
    let Some((index, bytes)) = input.split_first() else { return };
    let decoder = decoders[usize::from(*index) % decoders.len()];
    let mut judged = Ok(());
    let info = allocation_counter::measure(|| judged = decoder.judge(bytes));
    assert_eq!(judged, Ok(()), "{}", decoder.name);
    let max = allocation_max(bytes.len());
    assert!(info.bytes_max <= max, "{}: {} bytes at once, of {max}", decoder.name, info.bytes_max);
}
