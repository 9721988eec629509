//! spacepanda-core
