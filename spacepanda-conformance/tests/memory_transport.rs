//! The memory network keeps the contract of transports.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use spacepanda_conformance::transport::{TransportFactory, run};
use spacepanda_core::{
    base::Result,
    transport::{Transport, memory::MemoryNetwork},
};

#[derive(Default)]
struct Memory {
    network: MemoryNetwork,
    opened: AtomicU64,
}

#[async_trait]
impl TransportFactory for Memory {
    async fn open(&self) -> Result<Arc<dyn Transport>> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(self.network.transport(&number.to_string())))
    }
}

fn main() -> ExitCode {
    run(Memory::default())
}
