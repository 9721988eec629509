//! spacepanda-store-memory
