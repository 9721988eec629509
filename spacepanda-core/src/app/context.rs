//! What a node is as a whole: one identity, one device at a time, one store.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

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
    first_device: DeviceId,
    device: watch::Receiver<Option<DeviceId>>,
    storage: Arc<dyn ProviderStorageBackend>,
}

impl IdentityContext {
    pub(super) fn new(
        identity: IdentityId,
        (first_device, device): (DeviceId, watch::Receiver<Option<DeviceId>>),
        storage: Arc<dyn ProviderStorageBackend>,
    ) -> Self {
        Self { identity, first_device, device, storage }
    }

    /// Whose node it is.
    pub fn identity(&self) -> IdentityId {
        self.identity
    }

    /// Which device it is now.
    pub fn device(&self) -> DeviceId {
        self.device.borrow().unwrap_or(self.first_device)
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
