//! Paths over two networks keep the contract of transports.

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
    transport::{Transport, memory::MemoryNetwork, paths::Paths},
};

#[derive(Default)]
struct TwoPaths {
    left: MemoryNetwork,
    right: MemoryNetwork,
    opened: AtomicU64,
}

#[async_trait]
impl TransportFactory for TwoPaths {
    /// Every other one is reached on the right alone.
    async fn open(&self) -> Result<Arc<dyn Transport>> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let on_left =
            if number.is_multiple_of(2) { format!("left-{number}") } else { String::new() };
        let left = self.left.transport(&on_left);
        let right = self.right.transport(&format!("right-{number}"));
        Ok(Arc::new(Paths::new(vec![Arc::new(left), Arc::new(right)])))
    }
}

fn main() -> ExitCode {
    run(TwoPaths::default())
}
