use std::{future::Future, io, net::UdpSocket, pin::Pin, sync::Arc, time::Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::sync::watch;

/// Tasks on tokio whose end can be awaited; as quinn's runtime, quinn's tasks too.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    running: Arc<watch::Sender<()>>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(watch::Sender::new(())) }
    }

    /// Starts a task; it counts as running until its future is dropped.
    pub(crate) fn start(&self, future: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.subscribe();
        tokio::spawn(async move {
            future.await;
            drop(running);
        });
    }

    pub(crate) fn count(&self) -> usize {
        self.running.receiver_count()
    }

    pub(crate) async fn until_ended(&self) {
        self.running.closed().await;
    }
}

impl Runtime for Tasks {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.start(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
