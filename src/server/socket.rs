//! What faults want to know and spoil below HTTP: which connections are open, and how header names are spelt.
//!
//! It must not know sessions or messages.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The headers whose names are misread in other spellings than these.
const NAMES: [&[u8]; 2] = [b"mcp-session-id", b"mcp-method"];

/// The connections by number.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<(u64, BTreeSet<u64>)>);

impl Connections {
    fn inner(&self) -> MutexGuard<'_, (u64, BTreeSet<u64>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was opened; gives its number.
    pub(crate) fn opened(&self) -> u64 {
        let mut inner = self.inner();
        inner.0 += 1;
        let number = inner.0;
        inner.1.insert(number);
        number
    }

    /// The connection has ended.
    pub(crate) fn closed(&self, number: u64) {
        self.inner().1.remove(&number);
    }

    /// Whether all of these have ended.
    pub(crate) fn none_of(&self, numbers: &BTreeSet<u64>) -> bool {
        self.inner().1.is_disjoint(numbers)
    }
}

/// A socket that passes everything through; or, for a fault, one that misreads headers unless they are spelt in small
/// letters, or takes blanks for a part of their values.
#[derive(Debug)]
pub(crate) struct Spelling<S> {
    socket: S,
    caseless: bool,
    trimmed: bool,
}

impl<S> Spelling<S> {
    /// Around a socket; `caseless` and `trimmed` is how it ought to be.
    pub(crate) fn new(socket: S, caseless: bool, trimmed: bool) -> Self {
        Self { socket, caseless, trimmed }
    }
}

/// Takes the first letter away from the header's name wherever it has capitals.
fn misread(bytes: &mut [u8]) {
    for known in NAMES {
        for start in 0..bytes.len().saturating_sub(known.len() - 1) {
            let name = &mut bytes[start..start + known.len()];
            if name.eq_ignore_ascii_case(known) && name != known {
                name[0] = b'x';
            }
        }
    }
}

/// Takes the second blank before the value of the header for a part of that value.
fn keep_blanks(bytes: &mut [u8]) {
    const PADDED: &[u8] = b"mcp-name:  ";
    for start in 0..bytes.len().saturating_sub(PADDED.len() - 1) {
        let header = &mut bytes[start..start + PADDED.len()];
        if header == PADDED {
            header[PADDED.len() - 1] = b'_';
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Spelling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if !self.caseless {
            misread(&mut buffer.filled_mut()[before..]);
        }
        if !self.trimmed {
            keep_blanks(&mut buffer.filled_mut()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spelling<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_spellings_are_misread() {
        let mut text = b"mcp-session-id: a\r\nMcp-Session-Id: b".to_vec();
        misread(&mut text);
        assert_eq!(text, b"mcp-session-id: a\r\nxcp-Session-Id: b");
        misread(&mut []);
    }

    #[test]
    fn connections_are_known_until_they_end() {
        let connections = Connections::default();
        let (first, second) = (connections.opened(), connections.opened());
        connections.closed(first);
        assert!(connections.none_of(&[first].into()) && !connections.none_of(&[first, second].into()));
    }
}
