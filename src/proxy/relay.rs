//! Carries what came through the lanes on to a server: request by request where it is HTTP, byte by byte otherwise.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::connection::{Conn, Fate};
use super::exchange::{After, exchange};
use super::head::{Read, RequestHead, request};
use super::upstream::Link;
use super::witness::Seen;

/// How much is read at once, in bytes.
pub(super) const PIECE: usize = 16 * 1024;
/// How long a request is waited for that nobody is going to answer.
const MOMENT: Duration = Duration::from_millis(500);

/// A connection to a server, with what came from it that nobody took yet.
#[derive(Debug)]
pub(super) struct Line {
    /// Which server.
    at: usize,
    pub(super) link: Link,
    pub(super) buffer: BytesMut,
}

/// The connections to servers that one client's connection has.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Line>);

impl Links {
    pub(super) fn close_by_reset(&self) {
        self.0.iter().for_each(|line| line.link.close_by_reset());
    }

    /// Takes what the servers still say, until they leave.
    pub(super) async fn linger(self) {
        for mut line in self.0 {
            // However it ends, it is over.
            let _ = tokio::io::copy(&mut line.link, &mut tokio::io::sink()).await;
        }
    }

    /// The connection to a server, or to the next one that can be reached; gives where it stands.
    async fn reach(&mut self, conn: &Conn, at: usize) -> Option<usize> {
        let servers = &conn.shared.upstreams;
        for at in (0..servers.len()).map(|step| (at + step) % servers.len()) {
            if let Some(place) = self.0.iter().position(|line| line.at == at) {
                if self.0[place].is_quiet() {
                    return Some(place);
                }
                self.0.remove(place);
            }
            if let Ok(link) = servers[at].dial().await {
                self.0.push(Line { at, link, buffer: BytesMut::new() });
                return Some(self.0.len() - 1);
            }
        }
        None
    }
}

impl Line {
    /// Whether nothing came, and nobody closed it, since the last answer.
    fn is_quiet(&mut self) -> bool {
        self.buffer.is_empty() && self.link.read_buf(&mut self.buffer).now_or_never().is_none()
    }
}

/// What came next, while nothing is under way.
enum Next {
    Request(RequestHead),
    /// Something that is carried on as it is: no HTTP, the end of the client, or a server that speaks first.
    Bytes,
}

/// Carries everything between a client and the servers until one of the ends is closed.
pub(super) async fn relay(conn: &Arc<Conn>, mut client: DuplexStream, links: &mut Links) {
    let mut ahead = BytesMut::new();
    let Some(mut place) = links.reach(conn, conn.shared.turn(conn.number, false)).await else {
        conn.shared.unreachable();
        unanswered(conn, &mut client, &mut ahead).await;
        return conn.end(Fate::RESET);
    };
    loop {
        let head = match next(&mut client, &mut ahead, &mut links.0[place]).await {
            Next::Request(head) => head,
            Next::Bytes => return raw(client, &ahead, &mut links.0[place]).await,
        };
        conn.shared.asked();
        if conn.shared.takes_turns_by_request(conn.number) {
            let Some(reached) = links.reach(conn, conn.shared.turn(conn.number, true)).await else {
                conn.shared.unreachable();
                return conn.end(Fate::RESET);
            };
            place = reached;
        }
        let host = conn.shared.upstreams[links.0[place].at].host.clone();
        match exchange(conn, head, host, &mut client, &mut ahead, &mut links.0[place]).await {
            After::Again => {}
            After::Bytes => return raw(client, &ahead, &mut links.0[place]).await,
            After::Over => return,
        }
    }
}

/// Has a witness see the request for which there is no server; it gets a moment to come.
async fn unanswered(conn: &Conn, client: &mut DuplexStream, ahead: &mut BytesMut) {
    if conn.shared.witness.is_none() {
        return;
    }
    let whole = async {
        loop {
            if let Read::Whole(head) = request(ahead) {
                return Seen::unreachable(conn.shared.witness.as_ref(), conn.number, &head.bytes);
            }
            ahead.reserve(PIECE);
            if ahead.len() > PIECE || !client.read_buf(ahead).await.is_ok_and(|count| count > 0) {
                return;
            }
        }
    };
    // Nobody has to send anything.
    let _ = tokio::time::timeout(MOMENT, whole).await;
}

/// Waits for a request, or for what shows that none comes.
async fn next(client: &mut DuplexStream, ahead: &mut BytesMut, line: &mut Line) -> Next {
    loop {
        if !ahead.is_empty() {
            match request(ahead) {
                Read::Whole(head) => return Next::Request(head),
                Read::More => {}
                Read::NotHttp => return Next::Bytes,
            }
        }
        if !line.buffer.is_empty() {
            return Next::Bytes;
        }
        ahead.reserve(PIECE);
        line.buffer.reserve(PIECE);
        tokio::select! {
            biased;
            // A server that speaks or leaves while nobody asks: nothing more is understood of it.
            _ = line.link.read_buf(&mut line.buffer) => return Next::Bytes,
            read = client.read_buf(ahead) => {
                if !read.is_ok_and(|count| count > 0) {
                    return Next::Bytes;
                }
            }
        }
    }
}

/// Carries bytes as they are, both ways, each until its end.
async fn raw(mut client: DuplexStream, ahead: &[u8], line: &mut Line) {
    let came = line.buffer.split();
    // An error means that one of the ends is gone, and with it the connection.
    if client.write_all(&came).await.is_ok() && line.link.write_all(ahead).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut line.link).await;
    }
}
