//! What a node is as a whole: one identity, one device, one store.

use std::{fmt, sync::Arc};

use crate::{
    base::{DeviceId, IdentityId},
    store::{Capability, ProviderStorageBackend},
};

/// The root object of a node: made once, when it opens, and handed down.
///
/// There is one store per identity, for life. Nothing below the node opens one of its own.
#[derive(Clone)]
pub struct IdentityContext {
    identity: IdentityId,
    device: DeviceId,
    storage: Arc<dyn ProviderStorageBackend>,
}

impl IdentityContext {
    pub(super) fn new(
        (identity, device): (IdentityId, DeviceId),
        storage: Arc<dyn ProviderStorageBackend>,
    ) -> Self {
        Self { identity, device, storage }
    }

    /// Whose node it is.
    pub fn identity(&self) -> IdentityId {
        self.identity
    }

    /// Which device it is.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// What the store promises: without durability, what the node holds ends with the process.
    pub fn store_capability(&self) -> Capability {
        self.storage.capability()
    }
}

impl fmt::Debug for IdentityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityContext").finish_non_exhaustive()
    }
}
