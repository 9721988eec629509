use crate::base::cbor::CborError;

/// Why a step of a group failed. Whatever it is, nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MlsError {
    /// The bytes are not what they should be.
    #[error("the bytes are no {0}")]
    Malformed(&'static str),
    /// A payload or body is not in its form.
    #[error("not in the form of its type: {0}")]
    Form(#[from] CborError),
    /// A list is too long, unsorted or names one device twice.
    #[error("a list is too long, unsorted or names a device twice")]
    List,
    /// The envelope's body is not held.
    #[error("the body is not held")]
    NoBody,
    /// The welcome holds nothing for this key package.
    #[error("the welcome is not for this key package")]
    NotForMe,
    /// It belongs to another state than this one.
    #[error("it belongs to another state")]
    WrongState,
    /// The sender that MLS authenticated is not the device that signed, or no member.
    #[error("the sender in MLS is not the device that signed")]
    WrongSender,
    /// The commit leads to another state than its header names.
    #[error("the commit leads to another state than it names")]
    WrongChild,
    /// The commit adds or removes others than its header names.
    #[error("the commit adds or removes others than it names")]
    WrongLists,
    /// The authenticated data are not those of the envelope.
    #[error("the authenticated data are not those of the envelope")]
    WrongData,
    /// The commit's path holds no secret that this device can use, though others may.
    #[error("the commit's path holds no secret for this device")]
    Path,
    /// The plaintext does not fit the commitment.
    #[error("the plaintext does not fit the commitment")]
    Commitment,
    /// The message was opened before, or its key is gone.
    #[error("the message was opened before")]
    Used,
    /// The message is too far behind what was opened of its sender.
    #[error("the message is too old for this state")]
    TooOld,
    /// The message is too far ahead of what was opened of its sender.
    #[error("the message is too far ahead of what was opened of its sender")]
    TooNew,
    /// It is one's own, and MLS does not open one's own again.
    #[error("it is one's own")]
    Own,
    /// It cannot be opened: altered, or encrypted for others.
    #[error("it cannot be opened")]
    Unreadable,
    /// This device is no member of this state.
    #[error("this device is no member of this state")]
    Inactive,
    /// This device has no leaf in the state.
    #[error("no leaf of device {0} is in this state")]
    UnknownDevice(crate::base::DeviceId),
    /// A leaf is not that of a certified device with the capabilities that every leaf has.
    #[error("a leaf is not that of a certified device")]
    Leaf,
    /// The key package is not one that may be added.
    #[error("the key package may not be added: {0}")]
    Package(String),
    /// The group's context does not hold settings that this version knows.
    #[error("the group has no settings that this version knows")]
    Settings,
    /// The ratchet tree is not the one that the welcome names.
    #[error("the tree is not the one that the welcome names")]
    Tree,
    /// What was authorized is not what this commit does.
    #[error("what was authorized is not what this commit does")]
    NotAuthorized,
    /// Rows are missing or damaged.
    #[error("rows of the state are missing or damaged")]
    Storage,
    /// MLS refused it otherwise.
    #[error("refused by MLS: {0}")]
    Library(String),
}

impl MlsError {
    /// Keeps only the sentence of an error of OpenMLS.
    pub(super) fn library(error: impl std::fmt::Display) -> Self {
        Self::Library(error.to_string())
    }
}
