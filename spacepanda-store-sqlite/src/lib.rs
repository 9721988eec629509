//! spacepanda-store-sqlite
