//! Byte streams to a server of the same process: what a listening socket is, without the network.
//!
//! The bytes on it are those that would go over a socket. A connection that is dropped ends both ways, as a socket does, and
//! one that is reset ends with an error behind what was sent before.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;

/// The most bytes that wait on one way of a stream; more is written once some of it was read.
const ROOM: usize = 256 * 1024;

/// Opens streams to the server. All of one server are the same.
#[derive(Clone)]
pub struct Inlet(mpsc::UnboundedSender<Pipe>);

/// Where the server takes them.
#[derive(Debug)]
pub struct Intake(mpsc::UnboundedReceiver<Pipe>);

/// One end of such a stream.
#[derive(Debug)]
pub struct Pipe {
    stream: DuplexStream,
    /// Whether it was reset; both ends know.
    reset: Arc<AtomicBool>,
}

impl Pipe {
    /// Both ends.
    fn pair() -> (Self, Self) {
        let (ours, theirs) = duplex(ROOM);
        let reset = Arc::new(AtomicBool::new(false));
        (Self { stream: ours, reset: Arc::clone(&reset) }, Self { stream: theirs, reset })
    }

    /// Has the other end meet an error once this one is dropped, and what was sent before is read.
    pub fn close_by_reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let ended = matches!(read, Poll::Ready(Ok(()))) && room > 0 && buffer.filled().len() == before;
        if ended && self.is_reset() { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { read }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Err(_)) if self.is_reset() => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Inlet {
    /// Both ends.
    pub fn new() -> (Self, Intake) {
        let (open, taken) = mpsc::unbounded_channel();
        (Self(open), Intake(taken))
    }

    /// A new stream; refused where the server takes no more.
    pub fn connect(&self) -> io::Result<Pipe> {
        let (ours, theirs) = Pipe::pair();
        self.0.send(theirs).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

impl Intake {
    /// The next stream that somebody opened; never where nobody can.
    pub async fn accept(&mut self) -> Pipe {
        match self.0.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inlet")
    }
}

// How a place is reached does not make it another one.
impl PartialEq for Inlet {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Inlet {}

impl Hash for Inlet {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn streams_are_taken_in_order_and_refused_afterwards() {
        let (inlet, mut intake) = Inlet::new();
        let mut client = inlet.connect().expect("open");
        let mut server = intake.accept().await;
        client.write_all(b"ping").await.expect("written");
        let mut four = [0; 4];
        server.read_exact(&mut four).await.expect("read");
        assert_eq!(&four, b"ping");
        drop(server);
        assert_eq!(client.read(&mut four).await.expect("ended"), 0);
        drop(intake);
        assert_eq!(inlet.connect().expect_err("refused").kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn what_is_reset_ends_with_an_error_behind_what_was_sent() {
        let (mut ours, mut theirs) = Pipe::pair();
        theirs.write_all(b"last").await.expect("written");
        theirs.close_by_reset();
        drop(theirs);
        let mut four = [0; 4];
        ours.read_exact(&mut four).await.expect("it was sent before");
        assert_eq!(ours.read(&mut four).await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ours.write_all(b"more").await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    }
}
