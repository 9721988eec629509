use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use openmls_traits::OpenMlsProvider;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    MlsError, RowChange, Rows,
    crypto::{SeededCrypto, SeededRandom},
};
use crate::base::Secret;

/// Why OpenMLS's storage failed: a row is not what it was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row of the group cannot be read or written")]
pub(super) struct RowError;

/// OpenMLS's storage: the rows of one scope in memory, and which of them changed. Nothing leaves it but
/// whole, by [`Self::take_changes`].
#[derive(Debug, Default)]
pub(super) struct Overlay(Mutex<Scope>);

#[derive(Debug, Default)]
struct Scope {
    rows: Rows,
    /// The keys changed since the changes were last taken; `None` if the whole scope is new.
    changed: Option<BTreeSet<Vec<u8>>>,
    deferral: Deferral,
}

/// Whether the row of message secrets is written when OpenMLS says so. It grows with the group and
/// would be written by every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Deferral {
    #[default]
    Off,
    /// It is not; nothing was to be written yet.
    On,
    /// It is not, and would have been.
    Due,
}

impl Overlay {
    /// A scope that is not kept anywhere yet: all of it counts as changed.
    pub(super) fn new_scope(rows: Rows) -> Self {
        Self(Mutex::new(Scope { rows, ..Scope::default() }))
    }

    /// A scope that is kept as it is here.
    pub(super) fn kept_scope(rows: Rows) -> Self {
        let changed = Some(BTreeSet::new());
        Self(Mutex::new(Scope { rows, changed, deferral: Deferral::Off }))
    }

    /// All rows.
    pub(super) fn rows(&self) -> Rows {
        self.scope().rows.clone()
    }

    /// What changed since the last call; everything, if it is the first of a new scope.
    pub(super) fn take_changes(&self) -> Vec<RowChange> {
        let mut scope = self.scope();
        let changed = scope.changed.replace(BTreeSet::new());
        let keys = changed.unwrap_or_else(|| scope.rows.iter().map(|row| row.0.to_vec()).collect());
        keys.into_iter()
            .map(|key| RowChange { value: scope.rows.get(&key).cloned(), key })
            .collect()
    }

    /// Begins to ignore writes of the message secrets, which stay in OpenMLS's memory.
    pub(super) fn defer(&self) {
        self.scope().deferral = Deferral::On;
    }

    /// Stops ignoring them. Returns whether one was ignored: whether the secrets changed.
    pub(super) fn stop_deferring(&self) -> bool {
        std::mem::take(&mut self.scope().deferral) == Deferral::Due
    }

    /// Whether a write of the message secrets is to be ignored; it is noted as due if so.
    pub(super) fn defers(&self) -> bool {
        let mut scope = self.scope();
        if scope.deferral == Deferral::Off {
            return false;
        }
        scope.deferral = Deferral::Due;
        true
    }

    pub(super) fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, RowError> {
        let value = self.scope().rows.get(key).cloned();
        value.map(|value| decode(&value)).transpose()
    }

    pub(super) fn write<T: Serialize + ?Sized>(
        &self,
        key: Vec<u8>,
        value: &T,
    ) -> Result<(), RowError> {
        self.put(key, encode(value)?.into());
        Ok(())
    }

    pub(super) fn put(&self, key: Vec<u8>, value: Bytes) {
        let mut scope = self.scope();
        if let Some(changed) = &mut scope.changed {
            changed.insert(key.clone());
        }
        scope.rows.put(key, value);
    }

    pub(super) fn delete(&self, key: &[u8]) {
        let mut scope = self.scope();
        if let Some(changed) = &mut scope.changed {
            changed.insert(key.to_vec());
        }
        scope.rows.delete(key);
    }

    fn scope(&self) -> MutexGuard<'_, Scope> {
        self.0.lock().expect("no panic while held")
    }
}

/// A row's key: its label and the hash of OpenMLS's own key, so that its length is bounded.
pub(super) fn row_key<K: Serialize + ?Sized>(label: &str, key: &K) -> Result<Vec<u8>, RowError> {
    Ok([label.as_bytes(), &Sha256::digest(encode(key)?)].concat())
}

/// A value as it is kept: CBOR, a third smaller than JSON where it is bytes, as most is.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, RowError> {
    minicbor_serde::to_vec(value).map_err(|_| RowError)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    minicbor_serde::from_slice(bytes).map_err(|_| RowError)
}

/// What OpenMLS is given for one step: an overlay, and entropy from the step's seed.
pub(super) struct Step<'a> {
    overlay: &'a Overlay,
    crypto: SeededCrypto,
    random: SeededRandom,
}

impl<'a> Step<'a> {
    /// Begins the part `part` of a step. Parts of one step draw different entropy.
    pub(super) fn new(overlay: &'a Overlay, seed: &Secret<32>, part: &str) -> Self {
        let digest = |purpose: &str| {
            let hash = Sha256::new().chain_update("spacepanda-step-v1").chain_update(seed.expose());
            Secret::new(hash.chain_update(purpose).chain_update(part).finalize().into())
        };
        let crypto = SeededCrypto::new(digest("seal:"));
        Self { overlay, crypto, random: SeededRandom::new(&digest("draw:")) }
    }
}

impl OpenMlsProvider for Step<'_> {
    type CryptoProvider = SeededCrypto;
    type RandProvider = SeededRandom;
    type StorageProvider = Overlay;

    fn storage(&self) -> &Overlay {
        self.overlay
    }

    fn crypto(&self) -> &SeededCrypto {
        &self.crypto
    }

    fn rand(&self) -> &SeededRandom {
        &self.random
    }
}

impl From<RowError> for MlsError {
    fn from(_: RowError) -> Self {
        Self::Storage
    }
}
