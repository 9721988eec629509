use std::{collections::BTreeMap, sync::Arc};

use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    store::ProviderStorageBackend,
};

use super::disk::Disk;

/// Where the nodes of a world keep things.
///
/// The world saves and reads as a node's driver does, and decides when a save is made, fails, or
/// never happens because its node crashed: a backend is only asked to save what is to be kept.
pub trait Disks: Send {
    /// Opens what a node keeps, with everything that was saved in it before. Whatever was opened for
    /// an earlier life of the node has been dropped.
    ///
    /// # Errors
    /// The backend's; the run ends then.
    fn open(&mut self, node: usize) -> Result<Arc<dyn ProviderStorageBackend>>;

    /// Puts a copy of what a node keeps aside, instead of an earlier one.
    ///
    /// # Errors
    /// `Unsupported` where that cannot be done.
    fn copy(&mut self, node: usize) -> Result<()> {
        let _ = node;
        Err(Error::new(ErrorKind::Unsupported, "copy a disk"))
    }

    /// Makes what another node keeps, of which nothing is open, a copy of what a node keeps now.
    ///
    /// # Errors
    /// `Unsupported` where that cannot be done.
    fn clone_to(&mut self, node: usize, other: usize) -> Result<()> {
        let _ = (node, other);
        Err(Error::new(ErrorKind::Unsupported, "clone a disk"))
    }

    /// Makes what a node keeps the copy that was put aside, while nothing of it is open. Without a copy
    /// nothing changes.
    ///
    /// # Errors
    /// `Unsupported` where that cannot be done.
    fn restore(&mut self, node: usize) -> Result<()> {
        let _ = node;
        Err(Error::new(ErrorKind::Unsupported, "restore a disk"))
    }
}

/// Disks in memory, which outlive their nodes' crashes and nothing else.
#[derive(Debug, Default)]
pub struct MemoryDisks {
    disks: BTreeMap<usize, Arc<Disk>>,
    copies: BTreeMap<usize, Disk>,
}

impl Disks for MemoryDisks {
    fn open(&mut self, node: usize) -> Result<Arc<dyn ProviderStorageBackend>> {
        Ok(Arc::clone(self.disks.entry(node).or_default()) as Arc<dyn ProviderStorageBackend>)
    }

    fn copy(&mut self, node: usize) -> Result<()> {
        if let Some(disk) = self.disks.get(&node) {
            self.copies.insert(node, disk.copied());
        }
        Ok(())
    }

    fn clone_to(&mut self, node: usize, other: usize) -> Result<()> {
        if let Some(clone) = self.disks.get(&node).map(|disk| disk.copied()) {
            self.disks.insert(other, Arc::new(clone));
        }
        Ok(())
    }

    fn restore(&mut self, node: usize) -> Result<()> {
        if let Some(copy) = self.copies.get(&node) {
            self.disks.insert(node, Arc::new(copy.copied()));
        }
        Ok(())
    }
}
