//! What happens on a WebSocket: texts in, frames out, and the code with which it ends. `docs/transports.md` has the rules.
//!
//! It must not know what the texts say.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Channel;
use super::channel::Seat;
use crate::server::dispatch::App;
use crate::server::http::MAX_BODY;
use crate::server::session::Reader;
use crate::server::sse::Frame;

/// How long the other side may be silent, and how long it may take to take a message.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the end of a connection may take.
const CLOSING: Duration = Duration::from_secs(2);
/// How long the rest of what is not read may stay away, and how much of it is taken: a client that still sends may
/// otherwise miss why it is closed.
const REST: Duration = Duration::from_millis(500);
const MOST_REST: usize = 128 * 1024 * 1024;
/// What is read at a time; most messages are small.
const PIECE: usize = 16 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The request that became the socket, as far as it says who is there.
#[derive(Debug)]
pub(crate) struct Way {
    pub(super) query: String,
    pub(super) headers: HeaderMap,
}

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The other side has gone, or says that it goes.
    Gone,
    /// It does not answer.
    Silent,
    /// A code for the other side; whether what it sends can still be read.
    Code(u16, &'static str, bool),
}

const STOPPED: End = End::Code(1001, "the server stops", true);
const BINARY: End = End::Code(1003, "only texts are taken", true);
const TOKEN_OVER: End = End::Code(4401, "the access token is over", true);
const SESSION_OVER: End = End::Code(4404, "the session has ended", true);
const TAKEN_OVER: End = End::Code(4409, "another socket has resumed this session", true);

/// Carries a channel on the socket that a connection becomes, until either ends. A session outlives it.
pub(crate) async fn carry(app: Arc<App>, channel: Arc<Channel>, fresh: Option<Reader>, way: Way, on: OnUpgrade) {
    if let Ok(upgraded) = on.await {
        let limits = WebSocketConfig::default()
            .read_buffer_size(PIECE)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_BODY))
            .max_frame_size(Some(MAX_BODY));
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
        let end = match channel.sit().await {
            Some(seat) => match fresh.or_else(|| channel.resume()) {
                Some(reader) => talk(&app, &channel, &mut socket, reader, seat, &way).await,
                None => SESSION_OVER,
            },
            None => TAKEN_OVER,
        };
        close(socket, end).await;
    }
    if channel.session().is_none() {
        // Nobody could come back to it.
        channel.end(&app);
    }
}

async fn talk(
    app: &Arc<App>,
    channel: &Channel,
    socket: &mut Socket,
    mut reader: Reader,
    mut seat: Seat,
    way: &Way,
) -> End {
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut seat.wanted => return TAKEN_OVER,
            frame = reader.recv() => {
                let said = async {
                    match frame {
                        None if app.channels.stopping() => Some(STOPPED),
                        None => Some(SESSION_OVER),
                        Some(frame) => say(channel, socket, frame).await,
                    }
                };
                // A client that takes nothing does not keep the next one waiting.
                let end = tokio::select! { end = said => end, _ = &mut seat.wanted => Some(TAKEN_OVER) };
                if let Some(end) = end {
                    return end;
                }
            }
            message = socket.next() => {
                asked = false;
                if let Some(end) = hear(app, channel, way, message) {
                    return end;
                }
            }
            () = channel.never_opened(app) => return SESSION_OVER,
            () = tokio::time::sleep(SILENCE) => {
                if asked || send(socket, Message::Ping(Bytes::new())).await.is_some() {
                    return End::Silent;
                }
                asked = true;
            }
        }
    }
}

/// Says one thing of the server.
async fn say(channel: &Channel, socket: &mut Socket, frame: Frame) -> Option<End> {
    match &frame {
        Frame::Event { data, .. } => {
            let end = send(socket, Message::text(data.clone())).await;
            if end.is_none() {
                channel.delivered(&frame);
            }
            end
        }
        Frame::Abort => Some(End::Silent),
        Frame::Retry(_) | Frame::Endpoint(_) => None,
    }
}

async fn send(socket: &mut Socket, message: Message) -> Option<End> {
    match tokio::time::timeout(SILENCE, socket.send(message)).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some(End::Gone),
        Err(_) => Some(End::Silent),
    }
}

/// Acts on one thing of the client.
fn hear(app: &Arc<App>, channel: &Channel, way: &Way, message: Option<Result<Message, Error>>) -> Option<End> {
    match message {
        Some(Ok(Message::Text(text))) => {
            let Ok(caller) = way.caller(app) else { return Some(TOKEN_OVER) };
            if let Err(refused) = channel.take(app, text.as_bytes(), caller.as_ref()) {
                channel.tell(app, refused.answer, None);
            }
            None
        }
        Some(Ok(Message::Binary(_))) => Some(BINARY),
        Some(Ok(Message::Close(_))) | None => Some(End::Gone),
        // Pings are answered below.
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
        Some(Err(error)) => Some(end_of(&error)),
    }
}

/// What an error of the socket means.
fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => End::Code(1009, "a message may have 4 MiB", false),
        Error::Utf8(_) => End::Code(1007, "a text has to be UTF-8", false),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(_) | Error::AttackAttempt | Error::Capacity(_) => {
            End::Code(1002, "the framing is broken", false)
        }
        _ => End::Gone,
    }
}

/// Ends the connection as it is due, in time.
async fn close(mut socket: Socket, end: End) {
    let closing = async {
        let readable = match end {
            End::Silent => return,
            End::Gone => true,
            End::Code(code, why, readable) => {
                let frame = CloseFrame { code: CloseCode::from(code), reason: why.into() };
                if socket.send(Message::Close(Some(frame))).await.is_err() {
                    return;
                }
                readable
            }
        };
        if readable {
            // Until the other side has said that it closes, or has heard that it may.
            while let Some(Ok(_)) = socket.next().await {}
        } else {
            drain(socket.get_mut()).await;
        }
    };
    // What does not end by then is cut.
    let _ = tokio::time::timeout(CLOSING, closing).await;
}

/// Takes what the other side still sends from the wire.
async fn drain(wire: &mut TokioIo<Upgraded>) {
    if wire.shutdown().await.is_err() {
        return;
    }
    let (mut piece, mut total) = (vec![0; PIECE], 0);
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(REST, wire.read(&mut piece)).await {
        total += read;
        if total > MOST_REST {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_codes() {
        let too_long = Error::Capacity(CapacityError::MessageTooLong { size: 9, max_size: 8 });
        let unmasked = Error::Protocol(ProtocolError::UnmaskedFrameFromClient);
        let gone = Error::Protocol(ProtocolError::ResetWithoutClosingHandshake);
        assert!(matches!(end_of(&too_long), End::Code(1009, ..)));
        assert!(matches!(end_of(&unmasked), End::Code(1002, ..)));
        assert_eq!(end_of(&gone), End::Gone);
        assert_eq!(end_of(&Error::ConnectionClosed), End::Gone);
    }
}
