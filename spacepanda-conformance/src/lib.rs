//! spacepanda-conformance
