//! spacepanda
