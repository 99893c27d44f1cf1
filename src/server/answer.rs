//! An HTTP answer before it goes out, and what is known of the request that it is for: what faults of answers rewrite.
//!
//! It must not know which endpoint answers, nor why.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use futures_util::stream::BoxStream;
use serde_json::Value;

use super::reply::{RpcError, code, error_message};
use super::session::Reader;
use super::sse::{Frame, encode};

/// Status, headers and body of an answer; a stream has no body here.
#[derive(Debug)]
pub(crate) struct ReplyHead {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// What a streamed answer says, piece by piece.
pub(crate) type Outflow = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// An answer before the faults have had it.
pub(crate) struct Reply {
    pub(crate) head: ReplyHead,
    pub(crate) stream: Option<Outflow>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("head", &self.head).finish_non_exhaustive()
    }
}

/// What was asked, as far as it is known.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question of its own")]
pub(crate) struct AskCtx {
    pub(crate) http_method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// What the client calls itself in `User-Agent`.
    pub(crate) agent: String,
    pub(crate) rpc_method: Option<String>,
    pub(crate) is_notification: bool,
    pub(crate) is_response: bool,
    pub(crate) session: Option<String>,
    /// Whether the client goes on with a stream that it had.
    pub(crate) resumes: bool,
    /// Whether it is a message of the era without a handshake.
    pub(crate) modern: bool,
    /// The connection that it came on.
    pub(crate) connection: u64,
}

/// About how long a value is when it is written, in bytes.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 4,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 4,
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>() + 4,
    }
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Self {
        Self { head: ReplyHead { status, headers: Vec::new(), body: Some(Vec::new()) }, stream: None }
    }

    pub(crate) fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { head: ReplyHead { status, headers, body: Some(body) }, stream: None }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let mut written = Vec::with_capacity(weight(body));
        // Into memory, where nothing fails.
        let _ = serde_json::to_writer(&mut written, body);
        Self::bytes(status, "application/json", written)
    }

    pub(crate) fn refuse(status: u16, id: Option<&Value>, code: i64, message: &str) -> Self {
        Self::json(status, &error_message(id, &RpcError::new(code, message)))
    }

    /// The refusal of what needs the store while that is away (RFC 9110 section 15.6.4).
    pub(crate) fn unavailable(id: Option<&Value>) -> Self {
        Self::refuse(503, id, code::UNAVAILABLE, "The session store cannot be reached").with("retry-after", "1")
    }

    pub(crate) fn sse(reader: Reader) -> Self {
        Self::outflow(events(reader))
    }

    /// A stream of events.
    pub(crate) fn outflow(stream: Outflow) -> Self {
        let headers = vec![
            ("content-type".to_owned(), "text/event-stream".to_owned()),
            ("cache-control".to_owned(), "no-cache, no-transform".to_owned()),
        ];
        Self { head: ReplyHead { status: 200, headers, body: None }, stream: Some(stream) }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.head.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = match (self.head.body, self.stream) {
            (None, Some(stream)) => Body::from_stream(stream),
            (body, _) => Body::from(body.unwrap_or_default()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.head.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

fn events(reader: Reader) -> Outflow {
    Box::pin(stream::unfold(reader, |mut reader| async move {
        let frame = reader.recv().await?;
        let item = match frame {
            Frame::Abort => Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)),
            frame => Ok(Bytes::from(encode(&frame))),
        };
        Some((item, reader))
    }))
}
