use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

use crate::{
    base::limits::PEER_BYTES_MAX,
    transport::{LinkId, Transport},
};

/// How long a link that is being closed may take to send what was queued.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// What a queued frame costs beside its bytes.
const FRAME_COST: usize = 64;

/// The frames that wait for one link, with a task that sends them: a slow link delays nobody else.
///
/// Dropping it closes the link after what was queued is sent, or after [`LEAVE_MAX`].
pub(super) struct Queue {
    frames: mpsc::UnboundedSender<Bytes>,
    /// What is queued, at most `PEER_BYTES_MAX`, so that the channel needs no bound of its own.
    queued: Arc<AtomicUsize>,
    cut: oneshot::Sender<()>,
}

impl Queue {
    pub(super) fn open(
        transport: &Arc<dyn Transport>,
        link: LinkId,
        writers: &mut JoinSet<()>,
    ) -> Self {
        let (frames, to_send) = mpsc::unbounded_channel();
        let (cut, left) = oneshot::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let (transport, waiting) = (Arc::clone(transport), Arc::clone(&queued));
        writers.spawn(async move {
            tokio::select! {
                () = write(&*transport, link, to_send, &waiting) => {}
                () = patience(left) => {}
            }
            // A link that is gone already is no error, and the transport tells of the rest.
            let _ = transport.disconnect(link).await;
        });
        Self { frames, queued, cut }
    }

    /// Queues a frame; false if there is no room for it.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let cost = frame.len() + FRAME_COST;
        if self.queued.load(Ordering::Relaxed) + cost > PEER_BYTES_MAX {
            return false;
        }
        self.queued.fetch_add(cost, Ordering::Relaxed);
        // The writer may have ended with its link: then the transport tells of that.
        let _ = self.frames.send(frame);
        true
    }

    /// Closes the link without sending what is queued.
    pub(super) fn cut(self) {
        // The writer may have ended already.
        let _ = self.cut.send(());
    }
}

/// Sends until the queue is dropped and empty, or the link takes no more.
async fn write(
    transport: &dyn Transport,
    link: LinkId,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    queued: &AtomicUsize,
) {
    while let Some(frame) = frames.recv().await {
        let cost = frame.len() + FRAME_COST;
        if transport.send(link, frame).await.is_err() {
            return;
        }
        queued.fetch_sub(cost, Ordering::Relaxed);
    }
}

/// Ends at once if the link is cut, and a while after its queue was dropped.
async fn patience(cut: oneshot::Receiver<()>) {
    if cut.await.is_err() {
        sleep(LEAVE_MAX).await;
    }
}
