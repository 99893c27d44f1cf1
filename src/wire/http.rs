//! One HTTP/1.1 connection with full control of what is sent: header order and spelling, framing, bytes.
//!
//! Must not know sessions, messages or profiles. Follows RFC 9112; answers are read tolerantly and bounded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::limits::{MAX_CHUNK_LINE, MAX_HEAD, MAX_HEADERS, MAX_INTERIM};
use super::link::{Link, Place, Trust};
use crate::model::Via;
use crate::transcript::Headers;

/// What is copied to go out in one write, in bytes.
const PIECE: usize = 16 * 1024;
/// How much room is made for what comes, in bytes, and from what on there is enough of it.
const ROOM: usize = 8 * 1024;
const LEAST_ROOM: usize = 1024;

/// A request as it goes out.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers in order and spelling; `content-length` is not added.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// So many spaces follow the body, which are made as they are written.
    pub pad: usize,
    /// Where to send it, where that is not the target's place.
    pub place: Option<Place>,
    /// The node of the target to send it to, where there are several: its number, and where it is.
    pub node: Option<(u32, Place)>,
    /// The transport that it belongs to.
    pub via: Via,
    /// The exchange that opened the channel that it belongs to.
    pub channel: Option<u32>,
}

impl Request {
    /// An empty request to a path of the target.
    pub fn to(target: String, method: &str) -> Self {
        Self {
            method: method.to_owned(),
            target,
            headers: Headers::new(),
            body: Vec::new(),
            pad: 0,
            place: None,
            node: None,
            via: Via::StreamableHttp,
            channel: None,
        }
    }
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// Headers as received.
    pub headers: Headers,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1); bytes left of the current one.
    Chunked(u64),
    /// Until the peer closes.
    Close,
    /// Nothing is left.
    Done,
}

/// Why bytes could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection.
    #[error("cannot connect to {address}: {source}; is the server running and the port right?")]
    Connect {
        /// Host and port.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// There is a connection, but no TLS on it.
    #[error("no TLS with {address}: {reason}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong, and what may mend it.
        reason: String,
    },
    /// The peer closed before an answer began.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The peer closed in the middle of an answer.
    #[error("the server closed the connection in the middle of its answer")]
    CutShort,
    /// The bytes are no HTTP/1.1.
    #[error("the answer is no valid HTTP: {0}")]
    Malformed(String),
    /// The system refused to send or read.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: Link,
    buffer: BytesMut,
    framing: Framing,
    keep_alive: bool,
    /// Number of the connection within its client.
    pub number: u32,
    /// The peer.
    pub place: Place,
}

impl Connection {
    /// Connects within `limit`.
    pub async fn open(place: &Place, trust: &Trust, number: u32, limit: Duration) -> Result<Self, WireError> {
        Ok(Self {
            stream: Link::open(place, trust, limit).await?,
            buffer: BytesMut::with_capacity(2048),
            framing: Framing::Done,
            keep_alive: true,
            number,
            place: place.clone(),
        })
    }

    /// Sends a request: in one write, as far as it is not large.
    pub async fn send(&mut self, request: &Request) -> Result<(), WireError> {
        let mut bytes = Vec::with_capacity(512 + request.body.len().min(PIECE));
        bytes.extend_from_slice(format!("{} {} HTTP/1.1\r\n", request.method, request.target).as_bytes());
        for (name, value) in &request.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        if request.body.len() <= PIECE {
            bytes.extend_from_slice(&request.body);
            self.stream.write_all(&bytes).await?;
        } else {
            self.stream.write_all(&bytes).await?;
            self.stream.write_all(&request.body).await?;
        }
        let mut left = request.pad;
        while left > 0 {
            let piece = left.min(PIECE);
            self.stream.write_all(&[b' '; PIECE][..piece]).await?;
            left -= piece;
        }
        // TLS keeps what is not a whole record yet.
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads the head of the answer; skips informational ones.
    pub async fn head(&mut self, method: &str) -> Result<Head, WireError> {
        let mut interim = 0;
        loop {
            if let Some(head) = self.parse_head(method)? {
                if (100..200).contains(&head.status) && head.status != 101 {
                    interim += 1;
                    if interim > MAX_INTERIM {
                        let text = format!("more than {MAX_INTERIM} informational answers came before the real one");
                        return Err(WireError::Malformed(text));
                    }
                    continue;
                }
                return Ok(head);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(WireError::Malformed(format!("its head is longer than {MAX_HEAD} bytes")));
            }
            let empty = self.buffer.is_empty();
            if self.read_more().await? == 0 {
                return Err(if empty { WireError::Closed } else { WireError::CutShort });
            }
        }
    }

    fn parse_head(&mut self, method: &str) -> Result<Option<Head>, WireError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut slots);
        let length = match response.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(WireError::Malformed(format!("its head has more than {MAX_HEADERS} lines")));
            }
            Err(error) => return Err(WireError::Malformed(error.to_string())),
        };
        let status = response.code.unwrap_or_default();
        let version = response.version;
        let headers: Headers = response
            .headers
            .iter()
            .map(|header| (header.name.into(), String::from_utf8_lossy(header.value).into()))
            .collect();
        let _ = self.buffer.split_to(length);
        let find = |name| crate::transcript::header(&headers, name);
        let connection = find("connection").unwrap_or_default().to_ascii_lowercase();
        self.keep_alive = version == Some(1) && !connection.contains("close");
        let chunked = find("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        self.framing = if method == "HEAD" || status == 204 || status == 304 || (100..200).contains(&status) {
            Framing::Done
        } else if chunked {
            Framing::Chunked(0)
        } else if let Some(length) = find("content-length") {
            let length = length
                .trim()
                .parse()
                .map_err(|_| WireError::Malformed(format!("content-length is `{length}`, not a number")))?;
            if length == 0 { Framing::Done } else { Framing::Length(length) }
        } else {
            Framing::Close
        };
        Ok(Some(Head { status, headers }))
    }

    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            match self.framing {
                Framing::Done => return Ok(None),
                Framing::Length(left) if !self.buffer.is_empty() => {
                    let piece = self.take(left);
                    let left = left - piece.len() as u64;
                    self.framing = if left == 0 { Framing::Done } else { Framing::Length(left) };
                    return Ok(Some(piece));
                }
                Framing::Close if !self.buffer.is_empty() => return Ok(Some(self.buffer.split().freeze())),
                Framing::Chunked(left) if left > 0 && !self.buffer.is_empty() => {
                    let piece = self.take(left);
                    self.framing = Framing::Chunked(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Framing::Chunked(0) => {
                    if self.next_chunk()? {
                        continue;
                    }
                }
                Framing::Length(_) | Framing::Close | Framing::Chunked(_) => {}
            }
            if self.read_more().await? == 0 {
                self.keep_alive = false;
                if self.framing == Framing::Close {
                    self.framing = Framing::Done;
                    return Ok(None);
                }
                return Err(WireError::CutShort);
            }
        }
    }

    /// Whether another request may follow on this connection.
    pub fn reusable(&self) -> bool {
        self.keep_alive && self.framing == Framing::Done && self.buffer.is_empty()
    }

    /// Whether nothing came, and the peer did not close, since the last answer ended; as far as can be told.
    pub fn is_quiet(&mut self) -> bool {
        self.buffer.is_empty() && self.stream.is_quiet()
    }

    /// The bare byte stream, and what was read of it beyond the last answer.
    pub fn into_parts(self) -> (Link, Vec<u8>) {
        (self.stream, self.buffer.to_vec())
    }

    fn take(&mut self, at_most: u64) -> Bytes {
        let length = usize::try_from(at_most).unwrap_or(usize::MAX).min(self.buffer.len());
        self.buffer.split_to(length).freeze()
    }

    /// Reads a chunk's size line once it is whole. Gives false where more bytes are needed.
    fn next_chunk(&mut self) -> Result<bool, WireError> {
        // The line break that ends the chunk before.
        let skip = usize::from(self.buffer.starts_with(b"\r\n")) * 2;
        let Some(end) = self.buffer[skip..].windows(2).position(|pair| pair == b"\r\n") else {
            if self.buffer.len() > MAX_CHUNK_LINE {
                return Err(WireError::Malformed(format!("a chunk size line is longer than {MAX_CHUNK_LINE} bytes")));
            }
            return Ok(false);
        };
        let line = String::from_utf8_lossy(&self.buffer[skip..skip + end]).into_owned();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| WireError::Malformed(format!("`{digits}` is no chunk size")))?;
        if size > 0 {
            let _ = self.buffer.split_to(skip + end + 2);
            self.framing = Framing::Chunked(size);
            return Ok(true);
        }
        // The last chunk: trailers, if any, up to a blank line.
        let rest = &self.buffer[skip + end..];
        let Some(blank) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            if rest.len() > MAX_HEAD {
                return Err(WireError::Malformed(format!("its trailers are longer than {MAX_HEAD} bytes")));
            }
            return Ok(false);
        };
        let _ = self.buffer.split_to(skip + end + blank + 4);
        self.framing = Framing::Done;
        Ok(true)
    }

    async fn read_more(&mut self) -> Result<usize, WireError> {
        // What is left of the last piece does for small ones; to ask for more each time would copy what has come so far.
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            self.buffer.reserve(ROOM);
        }
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn place(address: &str) -> Place {
        let (host, port) = address.rsplit_once(':').expect("host and port");
        Place { host: host.to_owned(), port: port.parse().expect("a number"), tls: false, through: None, inlet: None }
    }

    /// Serves these pieces, one write each, to whoever connects, and closes.
    async fn answer(pieces: &'static [&'static str]) -> (Connection, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address").to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.expect("written");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        (Connection::open(&place(&address), &Trust::default(), 1, Duration::from_secs(5)).await.expect("open"), server)
    }

    async fn body(connection: &mut Connection) -> Result<String, WireError> {
        let mut text = String::new();
        while let Some(piece) = connection.piece().await? {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        Ok(text)
    }

    #[tokio::test]
    async fn chunks_cut_anywhere_are_joined() {
        let (mut connection, _server) = answer(&[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r",
            "\nabc\r\n2;x=y\r\nde",
            "\r\n0\r\n",
            "\r\n",
        ])
        .await;
        assert_eq!(connection.head("POST").await.expect("head").status, 200);
        assert_eq!(body(&mut connection).await.expect("body"), "abcde");
        assert!(connection.reusable());
    }

    #[tokio::test]
    async fn a_body_cut_short_is_told() {
        let (mut connection, _server) = answer(&["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]).await;
        connection.head("POST").await.expect("head");
        assert!(matches!(body(&mut connection).await, Err(WireError::CutShort)));
    }

    #[tokio::test]
    async fn bytes_that_are_no_http_are_told() {
        let (mut connection, _server) = answer(&["SSH-2.0-nope\r\n\r\n"]).await;
        assert!(matches!(connection.head("POST").await, Err(WireError::Malformed(_))));
    }

    #[tokio::test]
    async fn a_body_without_length_ends_with_the_connection() {
        let (mut connection, _server) =
            answer(&["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nab", "cd"]).await;
        connection.head("POST").await.expect("head");
        assert_eq!(body(&mut connection).await.expect("body"), "abcd");
        assert!(!connection.reusable());
    }
}
