//! Reads Rust source as far as paths go, and judges them by the law.

pub(crate) mod paths;
pub(crate) mod source;
pub(crate) mod tables;
pub(crate) mod tokens;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
