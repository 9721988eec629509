use std::{future, net::SocketAddr, pin::pin, sync::Arc};

use bytes::Bytes;
use quinn::{
    Connection, ConnectionError, Endpoint, ReadExactError, RecvStream, SendStream, VarInt,
};
use spacepanda_core::{
    base::{Error, ErrorKind, Result},
    transport::{LinkId, TransportEvent},
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use crate::{DIAL_MAX, FLUSH_MAX, FRAME_LEN_MAX, IDLE_MAX, shared::Shared, tls};

/// What the dialler writes first: QUIC shows a stream to the other side with its first byte only.
pub(crate) const OPENING: [u8; 4] = *b"link";

const OTHER_SIDE_ENDED: &str = "the other side ended the link";

/// A connection and the one stream on it.
pub(crate) struct Wire {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// Connects to `address` and opens the stream.
pub(crate) async fn dial(endpoint: &Endpoint, address: SocketAddr) -> Result<Wire> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!("connect to quic://{address}");
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    };
    let connecting =
        endpoint.connect(address, tls::SERVER_NAME).map_err(|error| failed(error.into()))?;
    let opening = async {
        let connection = connecting.await?;
        let (mut send, recv) = connection.open_bi().await?;
        send.write_all(&OPENING).await?;
        Ok(Wire { connection, send, recv })
    };
    match timeout(DIAL_MAX, opening).await {
        Ok(wire) => wire.map_err(failed),
        Err(_) => Err(failed(format!("no answer for {DIAL_MAX:?}").into())),
    }
}

/// Takes the stream that the dialler opens.
pub(crate) async fn answer(incoming: quinn::Incoming) -> Option<Wire> {
    let connection = incoming.await.ok()?;
    let (send, mut recv) = connection.accept_bi().await.ok()?;
    let mut opening = [0; OPENING.len()];
    recv.read_exact(&mut opening).await.ok()?;
    (opening == OPENING).then_some(Wire { connection, send, recv })
}

/// Carries a link's frames until it ends, and tells its beginning and its end.
pub(crate) async fn run(
    shared: Arc<Shared>,
    id: LinkId,
    wire: Wire,
    frames: mpsc::Receiver<Bytes>,
    ended: watch::Receiver<()>,
) {
    shared.tell(TransportEvent::Connected(id)).await;
    let why = tokio::select! {
        why = read(&shared, id, wire.recv) => why,
        why = write(wire.send, frames, ended.clone()) => why,
        () = flushed_long_enough(ended.clone()) => String::new(),
    };
    wire.connection.close(VarInt::from_u32(0), b"");
    let ended_here = ended.has_changed().is_err();
    shared.end(id);
    let why = if ended_here { "ended here".to_owned() } else { why };
    shared.tell(TransportEvent::Disconnected(id, why)).await;
}

/// Tells every frame that arrives; returns why there are no more.
async fn read(shared: &Shared, id: LinkId, mut recv: RecvStream) -> String {
    loop {
        match read_frame(&mut recv).await {
            Ok(frame) => shared.tell(TransportEvent::Frame(id, frame)).await,
            Err(why) => return why,
        }
    }
}

async fn read_frame(recv: &mut RecvStream) -> Result<Bytes, String> {
    let mut len = [0; 4];
    recv.read_exact(&mut len).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(0) => OTHER_SIDE_ENDED.to_owned(),
        other => why_unread(&other),
    })?;
    let len = u32::from_be_bytes(len);
    let len = usize::try_from(len).ok().filter(|len| *len <= FRAME_LEN_MAX).ok_or_else(|| {
        format!("the other side sent a frame of {len} bytes; {FRAME_LEN_MAX} are allowed")
    })?;
    let mut frame = vec![0; len];
    recv.read_exact(&mut frame).await.map_err(|error| why_unread(&error))?;
    Ok(frame.into())
}

/// Writes every frame that the link takes. Once the link was ended here, it takes no more: what it
/// has is written and the stream is finished, whereupon the other side closes the connection.
async fn write(
    mut send: SendStream,
    mut frames: mpsc::Receiver<Bytes>,
    ended: watch::Receiver<()>,
) -> String {
    let mut until_ended = pin!(until_ended(ended));
    loop {
        let frame = tokio::select! {
            biased;
            () = &mut until_ended, if !frames.is_closed() => {
                frames.close();
                continue;
            }
            frame = frames.recv() => frame,
        };
        let Some(frame) = frame else { break };
        if let Err(error) = write_frame(&mut send, frame).await {
            return why_unwritten(&error);
        }
    }
    // It fails only if the other side stopped reading: then there is nothing to finish.
    let _ = send.finish();
    future::pending().await
}

async fn write_frame(send: &mut SendStream, frame: Bytes) -> Result<(), quinn::WriteError> {
    let len = u32::try_from(frame.len()).expect("a frame is at most FRAME_LEN_MAX long");
    let len = Bytes::copy_from_slice(&len.to_be_bytes());
    send.write_all_chunks(&mut [len, frame]).await
}

async fn flushed_long_enough(ended: watch::Receiver<()>) {
    until_ended(ended).await;
    sleep(FLUSH_MAX).await;
}

/// Waits until the link's handle is dropped.
async fn until_ended(mut ended: watch::Receiver<()>) {
    while ended.changed().await.is_ok() {}
}

fn why_unread(error: &ReadExactError) -> String {
    match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(lost)) => why_lost(lost),
        ReadExactError::FinishedEarly(_) => "the other side ended the link in a frame".to_owned(),
        ReadExactError::ReadError(other) => format!("the link broke: {other}"),
    }
}

fn why_unwritten(error: &quinn::WriteError) -> String {
    match error {
        quinn::WriteError::ConnectionLost(lost) => why_lost(lost),
        quinn::WriteError::Stopped(_) => OTHER_SIDE_ENDED.to_owned(),
        other => format!("the link broke: {other}"),
    }
}

fn why_lost(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(_) => OTHER_SIDE_ENDED.to_owned(),
        ConnectionError::TimedOut => format!("nothing was heard for {IDLE_MAX:?}"),
        ConnectionError::Reset => "the other side was started anew".to_owned(),
        ConnectionError::LocallyClosed => "ended here".to_owned(),
        other => format!("the connection broke: {other}"),
    }
}
