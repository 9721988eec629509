//! spacepanda-conformance

pub mod transport;
