//! Messages above Noise: each of a kind, split into frames and put together again.

use bytes::Bytes;

use super::{FRAME_LEN_MAX, LinkError};
use crate::base::limits::{ENVELOPE_LEN_MAX, TREE_LEN_MAX};

const TAG_LEN: usize = 16;
const FRAGMENT_LEN_MAX: usize = FRAME_LEN_MAX - TAG_LEN;
const OVERHEAD: usize = 1_024;

/// What a message is for. The codes are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A frame of the sync engine.
    Sync = 1,
    /// An envelope pushed outside of sync.
    Push = 2,
    /// A request for one envelope's body.
    BodyRequest = 3,
    /// A request for a state's ratchet tree.
    TreeRequest = 4,
    /// A ratchet tree.
    Tree = 5,
    /// A message handed over to somebody who could not open it.
    HandOver = 6,
    /// Signed addresses.
    AddressRecords = 7,
    /// A newcomer's request.
    JoinRequest = 8,
    /// What became of it.
    JoinReply = 9,
    /// Typing and presence.
    Ephemeral = 10,
    /// What two devices tell each other to make a better link.
    Signals = 11,
    /// A part of an attachment.
    AttachmentChunk = 12,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Sync,
        Self::Push,
        Self::BodyRequest,
        Self::TreeRequest,
        Self::Tree,
        Self::HandOver,
        Self::AddressRecords,
        Self::JoinRequest,
        Self::JoinReply,
        Self::Ephemeral,
        Self::Signals,
        Self::AttachmentChunk,
    ];

    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Bytes of a message of this kind at most.
    pub fn len_max(self) -> usize {
        match self {
            Self::Tree => TREE_LEN_MAX + OVERHEAD,
            _ => ENVELOPE_LEN_MAX + OVERHEAD,
        }
    }
}

/// Splits a message into fragments: `[more: 0 | 1]`, of the first the kind, then bytes.
pub(super) fn split(kind: Kind, message: &[u8]) -> Vec<Vec<u8>> {
    let (first, mut rest) = message.split_at(message.len().min(FRAGMENT_LEN_MAX - 2));
    let mut fragments = vec![[&[u8::from(!rest.is_empty()), kind as u8], first].concat()];
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.len().min(FRAGMENT_LEN_MAX - 1));
        fragments.push([&[u8::from(!after.is_empty())], part].concat());
        rest = after;
    }
    fragments
}

/// Puts fragments together, bounded by their kind before anything is kept.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    partial: Option<(Kind, Vec<u8>)>,
}

impl Assembly {
    pub(super) fn push(&mut self, fragment: &[u8]) -> Result<Option<(Kind, Bytes)>, LinkError> {
        let (more, rest) = fragment.split_first().ok_or(LinkError::Fragment)?;
        let more = match more {
            0 => false,
            1 => true,
            _ => return Err(LinkError::Fragment),
        };
        let (kind, mut message, part) = match self.partial.take() {
            Some((kind, message)) => (kind, message, rest),
            None => {
                let (code, part) = rest.split_first().ok_or(LinkError::Fragment)?;
                (Kind::from_code(*code).ok_or(LinkError::Fragment)?, Vec::new(), part)
            }
        };
        if message.len() + part.len() > kind.len_max() {
            return Err(LinkError::MessageTooLong);
        }
        if more && part.is_empty() {
            return Err(LinkError::Fragment);
        }
        message.extend_from_slice(part);
        if more {
            self.partial = Some((kind, message));
            return Ok(None);
        }
        Ok(Some((kind, Bytes::from(message))))
    }
}
