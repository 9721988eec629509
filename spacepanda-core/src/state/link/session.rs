//! One link, from the first frame to the last.

use bytes::Bytes;
use snow::{HandshakeState, TransportState};
use subtle::ConstantTimeEq;

use super::{
    FRAME_LEN_MAX, Kind, LinkError,
    hello::{Hello, Role, proof},
    message::{Assembly, split},
    noise::handshake,
};
use crate::{
    base::Secret,
    state::identity::{KeyPair, VerifiedCertificate},
};

const HELLO_LEN_MAX: usize = 1_024;
const TAG_LEN: usize = 16;

/// Who this device is: its certificate, and the key that signs for it.
#[derive(Debug, Clone)]
pub struct Me {
    /// The certificate of `device`.
    pub certificate: VerifiedCertificate,
    /// The device's key pair.
    pub device: KeyPair,
}

/// What came of a frame.
#[derive(Debug)]
pub enum Output {
    /// Send this frame.
    Send(Bytes),
    /// The dialler proved its device: answer with [`Session::accept_peer`], or close without a word.
    Asks(VerifiedCertificate),
    /// The dialled side proved its device: the link is established.
    Established(VerifiedCertificate),
    /// A message came.
    Message(Kind, Bytes),
}

/// A link's encryption and proof, without I/O. After an error the link must be closed.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    role: Role,
    /// Of the dialler: what it says once the handshake is over.
    me: Option<(Me, Option<Secret<32>>)>,
    hash: Vec<u8>,
    proof: Option<[u8; 32]>,
    assembly: Assembly,
}

#[derive(Debug)]
enum Stage {
    Handshake(Box<HandshakeState>),
    /// The peer's hello, or one's own word about it, is awaited.
    Proving(Box<TransportState>, Option<VerifiedCertificate>),
    Established(Box<TransportState>),
    Broken,
}

impl Session {
    /// Begins a link as its dialler; the frame is to be sent. `seed` must be used for nothing else,
    /// `meeting` is a meeting secret, of an invite or of a server's members.
    ///
    /// # Errors
    /// If Noise cannot begin.
    pub fn dial(
        seed: &Secret<32>,
        me: Me,
        meeting: Option<Secret<32>>,
    ) -> Result<(Self, Bytes), LinkError> {
        let mut state = handshake(seed, true)?;
        let first = write_handshake(&mut state)?;
        Ok((Self::new(state, Role::Dialler, Some((me, meeting))), first))
    }

    /// Begins a link as its dialled side. `seed` must be used for nothing else.
    ///
    /// # Errors
    /// If Noise cannot begin.
    pub fn accept(seed: &Secret<32>) -> Result<Self, LinkError> {
        Ok(Self::new(handshake(seed, false)?, Role::Dialled, None))
    }

    fn new(state: HandshakeState, role: Role, me: Option<(Me, Option<Secret<32>>)>) -> Self {
        let (stage, assembly) = (Stage::Handshake(Box::new(state)), Assembly::default());
        Self { stage, role, me, hash: Vec::new(), proof: None, assembly }
    }

    /// Takes a frame as it came.
    ///
    /// # Errors
    /// If it is not the next frame of this link, or breaks the protocol; the session is then of no
    /// further use.
    pub fn read(&mut self, frame: &[u8]) -> Result<Vec<Output>, LinkError> {
        if frame.len() > FRAME_LEN_MAX {
            self.stage = Stage::Broken;
            return Err(LinkError::FrameTooLong);
        }
        match std::mem::replace(&mut self.stage, Stage::Broken) {
            Stage::Handshake(state) => self.read_handshake(state, frame),
            Stage::Proving(state, None) => self.read_hello(state, frame),
            Stage::Established(state) => self.read_message(state, frame),
            Stage::Proving(_, Some(_)) | Stage::Broken => Err(LinkError::NotEstablished),
        }
    }

    /// Whether the dialler has shown that it knows the meeting secret `meeting`.
    pub fn knows(&self, meeting: &Secret<32>) -> bool {
        let expected = proof(meeting, &self.hash);
        self.proof.is_some_and(|proof| proof.ct_eq(&expected).into())
    }

    /// Answers a dialler that asked: proves this device to it; the link is then established.
    ///
    /// # Errors
    /// `NotEstablished` if nobody asked.
    pub fn accept_peer(&mut self, me: &Me) -> Result<Bytes, LinkError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Broken);
        let Stage::Proving(mut state, Some(_)) = stage else {
            return Err(LinkError::NotEstablished);
        };
        let hello = Hello::new(self.role, &self.hash, &me.certificate, &me.device, None);
        let frame = seal(&mut state, &hello.encode())?;
        self.stage = Stage::Established(state);
        Ok(frame)
    }

    /// Encrypts a message; its frames are to be sent in this order, with nothing between.
    ///
    /// # Errors
    /// `NotEstablished` before both sides proved themselves; `MessageTooLong` above the kind's limit.
    pub fn write(&mut self, kind: Kind, message: &[u8]) -> Result<Vec<Bytes>, LinkError> {
        let Stage::Established(state) = &mut self.stage else {
            return Err(LinkError::NotEstablished);
        };
        if message.len() > kind.len_max() {
            return Err(LinkError::MessageTooLong);
        }
        split(kind, message).iter().map(|fragment| seal(state, fragment)).collect()
    }

    fn read_handshake(
        &mut self,
        mut state: Box<HandshakeState>,
        frame: &[u8],
    ) -> Result<Vec<Output>, LinkError> {
        state.read_message(frame, &mut vec![0; frame.len()])?;
        let mut outputs = Vec::new();
        if state.is_my_turn() && !state.is_handshake_finished() {
            outputs.push(Output::Send(write_handshake(&mut state)?));
        }
        if !state.is_handshake_finished() {
            self.stage = Stage::Handshake(state);
            return Ok(outputs);
        }
        self.hash = state.get_handshake_hash().to_vec();
        let mut state = Box::new(state.into_transport_mode()?);
        if let Some((me, meeting)) = self.me.take() {
            let (role, hash) = (self.role, &self.hash);
            let hello = Hello::new(role, hash, &me.certificate, &me.device, meeting.as_ref());
            outputs.push(Output::Send(seal(&mut state, &hello.encode())?));
        }
        self.stage = Stage::Proving(state, None);
        Ok(outputs)
    }

    fn read_hello(
        &mut self,
        mut state: Box<TransportState>,
        frame: &[u8],
    ) -> Result<Vec<Output>, LinkError> {
        if frame.len() > HELLO_LEN_MAX {
            return Err(LinkError::Hello);
        }
        let bytes = open(&mut state, frame)?;
        let dialled = self.role == Role::Dialled;
        let theirs = if dialled { Role::Dialler } else { Role::Dialled };
        let (certificate, proof) = Hello::check(&bytes, theirs, &self.hash)?;
        if dialled {
            self.proof = proof;
            self.stage = Stage::Proving(state, Some(certificate.clone()));
            return Ok(vec![Output::Asks(certificate)]);
        }
        self.stage = Stage::Established(state);
        Ok(vec![Output::Established(certificate)])
    }

    fn read_message(
        &mut self,
        mut state: Box<TransportState>,
        frame: &[u8],
    ) -> Result<Vec<Output>, LinkError> {
        let fragment = open(&mut state, frame)?;
        let message = self.assembly.push(&fragment)?;
        self.stage = Stage::Established(state);
        Ok(message.into_iter().map(|(kind, bytes)| Output::Message(kind, bytes)).collect())
    }
}

fn write_handshake(state: &mut HandshakeState) -> Result<Bytes, LinkError> {
    let mut frame = vec![0; 256];
    let len = state.write_message(&[], &mut frame)?;
    frame.truncate(len);
    Ok(Bytes::from(frame))
}

fn seal(state: &mut TransportState, bytes: &[u8]) -> Result<Bytes, LinkError> {
    let mut frame = vec![0; bytes.len() + TAG_LEN];
    let len = state.write_message(bytes, &mut frame)?;
    frame.truncate(len);
    Ok(Bytes::from(frame))
}

fn open(state: &mut TransportState, frame: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut bytes = vec![0; frame.len()];
    let len = state.read_message(frame, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}
