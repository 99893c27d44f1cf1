//! Messages of a WebSocket whose upgrade is over (RFC 6455), as the rules of `docs/transports.md` want them.
//!
//! Knows frames and closes; nothing of what the texts say.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::link::Link;

/// The largest message, in bytes.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// How long a close that is not answered is waited for.
const TO_CLOSE: Duration = Duration::from_secs(1);

/// The half that speaks.
#[derive(Debug)]
pub struct Speaker(SplitSink<WebSocketStream<Link>, Message>);

/// The half that listens.
#[derive(Debug)]
pub struct Listener(SplitStream<WebSocketStream<Link>>);

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A ping or a pong.
    Beat,
    /// The server closed; with code and reason where it gave them.
    Closed(Option<(u16, String)>),
    /// The connection ended without a close.
    Gone,
    /// The server broke a rule: what it did, and the code that it is to be closed with.
    Broken(String, u16),
    /// The message passes the bound; how large it was said to be, where that is known.
    TooLarge(usize),
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub fn accept_key(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

/// Both halves of the client's side of a socket; `read` is what came behind the answer to the upgrade.
pub async fn sockets(link: Link, read: Vec<u8>) -> (Speaker, Listener) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_TEXT))
        .max_frame_size(Some(MAX_TEXT))
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0);
    let socket = WebSocketStream::from_partially_read(link, read, Role::Client, Some(config)).await;
    let (speaker, listener) = socket.split();
    (Speaker(speaker), Listener(listener))
}

impl Speaker {
    /// Sends a text message; `Err` says in plain words why not.
    pub async fn say(&mut self, text: String) -> Result<(), String> {
        self.0.send(Message::text(text)).await.map_err(|error| error.to_string())
    }

    /// Sends bytes as a binary message.
    pub async fn say_bytes(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.0.send(Message::binary(bytes)).await.map_err(|error| error.to_string())
    }

    /// Begins to close. That a broken connection cannot be closed properly is no news.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let _ = tokio::time::timeout(TO_CLOSE, self.0.send(Message::Close(Some(frame)))).await;
    }
}

impl Listener {
    /// What comes next.
    pub async fn next(&mut self) -> Incoming {
        match self.0.next().await {
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_))) => Incoming::Gone,
            Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Beat,
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned())))
            }
            Some(Ok(Message::Binary(_))) => {
                Incoming::Broken("the server sent a binary message; messages are texts".to_owned(), 1003)
            }
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, .. }))) => Incoming::TooLarge(size),
            Some(Err(Error::Utf8(_))) => Incoming::Broken("the server sent a text that is no UTF-8".to_owned(), 1007),
            Some(Err(error)) => Incoming::Broken(format!("the server broke the framing of WebSocket: {error}"), 1002),
        }
    }

    /// Waits a moment for the server to answer a close, whatever else it still sends.
    pub async fn see_close(&mut self) {
        let ended = async { while matches!(self.next().await, Incoming::Text(_) | Incoming::Beat) {} };
        let _ = tokio::time::timeout(TO_CLOSE, ended).await;
    }
}
