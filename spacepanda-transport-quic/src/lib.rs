//! spacepanda-transport-quic
