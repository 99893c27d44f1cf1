//! Reading the bodies of requests, within bounds of size and time. It must not know what they say.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::HeaderMap;
use futures_util::StreamExt as _;
use hyper::body::Body as HttpBody;

use super::dispatch::App;
use super::http::MAX_BODY;

/// The most that is taken from the wire of a body that is too large.
const MOST_TAKEN: usize = 16 * MAX_BODY;
/// How long the rest of a body is waited for that nobody is going to read.
const REST: Duration = Duration::from_millis(500);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
}

impl Unread {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::TooSlow => 408,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::TooSlow => "the body did not come in time",
        }
    }
}

/// The body of a request. The rest of one that is too large is taken from the wire all the same, because a client that
/// still sends may miss the answer.
pub(crate) async fn read(app: &App, body: &mut BodyDataStream, most: usize) -> Result<Vec<u8>, Unread> {
    let whole = async {
        // What says beforehand that it is too large is kept nowhere, and of what turns out to be nothing is kept on.
        let announced = usize::try_from(HttpBody::size_hint(body).lower()).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(if announced > most { 0 } else { announced });
        let mut total = 0;
        while let Some(Ok(piece)) = body.next().await {
            total += piece.len();
            if total > MOST_TAKEN {
                break;
            }
            if total > most || announced > most {
                bytes = Vec::new();
            } else {
                bytes.extend_from_slice(&piece);
            }
        }
        if total <= most { Ok(bytes) } else { Err(Unread::TooLarge) }
    };
    tokio::time::timeout(app.config.body_within, whole).await.unwrap_or(Err(Unread::TooSlow))
}

/// Takes what is left of a body from the wire, so that the next request finds the connection open: many clients send
/// head and body apart, and come again at once on the same connection when they are refused. Says whether it is all
/// taken; a client that waits to be asked for its body (RFC 9110 section 10.1.1) is not asked.
pub(crate) async fn all_taken(body: &mut BodyDataStream, headers: &HeaderMap) -> bool {
    if HttpBody::is_end_stream(body) {
        return true;
    }
    if headers.contains_key("expect") {
        return false;
    }
    let rest = async {
        let mut total = 0;
        while let Some(piece) = body.next().await {
            total += piece.map_or(MAX_BODY, |piece| piece.len());
            if total > MAX_BODY {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(REST, rest).await.unwrap_or(false)
}
