//! Byte streams to a server of the same process: what a listening socket is, without the network.
//!
//! The bytes on it are those that would go over a socket. A connection that is dropped ends both ways, as a socket does.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// The most bytes that wait on one way of a stream; more is written once some of it was read.
const ROOM: usize = 256 * 1024;

/// Opens streams to the server. All of one server are the same.
#[derive(Clone)]
pub struct Inlet(mpsc::UnboundedSender<DuplexStream>);

/// Where the server takes them.
#[derive(Debug)]
pub struct Intake(mpsc::UnboundedReceiver<DuplexStream>);

impl Inlet {
    /// Both ends.
    pub fn new() -> (Self, Intake) {
        let (open, taken) = mpsc::unbounded_channel();
        (Self(open), Intake(taken))
    }

    /// A new stream; refused where the server takes no more.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = duplex(ROOM);
        self.0.send(theirs).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

impl Intake {
    /// The next stream that somebody opened; never where nobody can.
    pub async fn accept(&mut self) -> DuplexStream {
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
}
