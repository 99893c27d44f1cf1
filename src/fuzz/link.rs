//! The lean way to a server: HTTP over kept connections, or straight into a server of this process. Nothing is recorded.
//!
//! It must not know what a request is for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, Request, Response};
use futures_util::StreamExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::server::FrontDoor;
use crate::wire::{Decoder, Frame};

/// The most bytes of an answer.
const MOST: usize = 8 * 1024 * 1024;

/// How requests get to a server.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over TCP, to one address.
    Network { at: SocketAddr, idle: Mutex<Vec<SendRequest<Body>>> },
    /// Over TCP, to whatever host the URL of a request names.
    Anywhere(Mutex<HashMap<String, Vec<SendRequest<Body>>>>),
    /// Without a network; each connection of it is a front door of its own.
    Here(Mutex<Arc<FrontDoor>>),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the rest of it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }
}

/// The events of an answer, as they come.
pub(crate) struct Events {
    body: BodyDataStream,
    decoder: Decoder,
    waiting: Vec<Frame>,
    /// Keeps the connection as long as the stream is read.
    _connection: Option<SendRequest<Body>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events(…)")
    }
}

impl Events {
    /// The response to a request, if it is on the stream.
    pub(crate) async fn message(&mut self, id: u32) -> Option<serde_json::Value> {
        while let Some(frame) = self.next().await {
            let Frame::Event { data: Some(data), .. } = frame else { continue };
            let message: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
            if message["id"] == id {
                return Some(message);
            }
        }
        None
    }

    /// The next event; nothing where the stream has ended, in order or not.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if !self.waiting.is_empty() {
                return Some(self.waiting.remove(0));
            }
            let bytes: Bytes = self.body.next().await?.ok()?;
            self.waiting = self.decoder.feed(&bytes);
        }
    }
}

/// What came back: an answer, and its stream where it is one.
pub(crate) type Answered = (Answer, Option<Events>);

/// A way to a server, with a limit to what is waited for.
#[derive(Debug)]
pub(crate) struct Link {
    way: Way,
    patience: Duration,
}

impl Link {
    /// Over TCP.
    pub(crate) fn network(at: SocketAddr, patience: Duration) -> Self {
        Self { way: Way::Network { at, idle: Mutex::default() }, patience }
    }

    /// Over TCP, to wherever requests are for.
    pub(crate) fn anywhere(patience: Duration) -> Self {
        Self { way: Way::Anywhere(Mutex::default()), patience }
    }

    /// Straight into a server.
    pub(crate) fn here(door: FrontDoor, patience: Duration) -> Self {
        Self { way: Way::Here(Mutex::new(Arc::new(door))), patience }
    }

    /// Ends every connection that is not in use.
    pub(crate) fn hang_up(&self) {
        match &self.way {
            Way::Network { idle, .. } => idle.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            Way::Anywhere(idle) => idle.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            Way::Here(door) => {
                let mut door = door.lock().unwrap_or_else(PoisonError::into_inner);
                *door = Arc::new(door.another());
            }
        }
    }

    /// Sends a request and reads its answer, up to the events of a stream.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Result<Answered, String> {
        let answered = async {
            let (response, connection) = self.sent(request).await?;
            self.read(response, connection).await
        };
        tokio::time::timeout(self.patience, answered).await.map_err(|_| "none in time".to_owned())?
    }

    async fn sent(&self, request: Request<Body>) -> Result<(Response<Body>, Option<SendRequest<Body>>), String> {
        if let Way::Anywhere(idle) = &self.way {
            return sent_anywhere(idle, request).await;
        }
        let (at, idle) = match &self.way {
            Way::Anywhere(_) => return Err("no address".to_owned()),
            Way::Here(door) => {
                let door = Arc::clone(&door.lock().unwrap_or_else(PoisonError::into_inner));
                return Ok((door.ask(request).await, None));
            }
            Way::Network { at, idle } => (*at, idle),
        };
        let kept = || {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(connection) = idle.pop() {
                if !connection.is_closed() {
                    return Some(connection);
                }
            }
            None
        };
        let mut connection = match kept() {
            Some(connection) => connection,
            None => connect(&at.to_string()).await?,
        };
        connection.ready().await.map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| error.to_string())?;
        Ok((response.map(Body::new), Some(connection)))
    }

    async fn read(&self, response: Response<Body>, connection: Option<SendRequest<Body>>) -> Result<Answered, String> {
        let (head, body) = response.into_parts();
        let mut answer = Answer { status: head.status.as_u16(), headers: head.headers, body: Vec::new() };
        if answer.is_stream() {
            let events = Events {
                body: body.into_data_stream(),
                decoder: Decoder::new(),
                waiting: Vec::new(),
                _connection: connection,
            };
            return Ok((answer, Some(events)));
        }
        let bytes = axum::body::to_bytes(body, MOST).await.map_err(|error| error.to_string())?;
        answer.body = bytes.into();
        if let (Some(connection), Way::Network { idle, .. }) = (connection, &self.way) {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok((answer, None))
    }

    /// How long is waited for anything.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

/// Sends a request to the host of its URL. The connection is not kept, as its place is known by then no more.
async fn sent_anywhere(
    idle: &Mutex<HashMap<String, Vec<SendRequest<Body>>>>,
    mut request: Request<Body>,
) -> Result<(Response<Body>, Option<SendRequest<Body>>), String> {
    let uri = request.uri().clone();
    let authority = uri.authority().ok_or("the URL names no host")?;
    let place = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| "the URL has no path")?;
    let host = authority.as_str().parse().map_err(|_| "the host is none")?;
    request.headers_mut().insert("host", host);
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&place).and_then(Vec::pop);
    let mut connection = match kept.filter(|connection| !connection.is_closed()) {
        Some(connection) => connection,
        None => connect(&place).await?,
    };
    connection.ready().await.map_err(|error| error.to_string())?;
    let response = connection.send_request(request).await.map_err(|error| error.to_string())?;
    Ok((response.map(Body::new), Some(connection)))
}

async fn connect(at: &str) -> Result<SendRequest<Body>, String> {
    let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with its sender; what goes wrong on it, the sender tells.
    tokio::spawn(connection);
    Ok(sender)
}
