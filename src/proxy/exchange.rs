//! One request and its answer, as they pass: heads changed where a fault says so, bodies as they come.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

use super::body::Framing;
use super::connection::Conn;
use super::head::{AnswerHead, Change, Read, RequestHead, Spelling, answer, changed, spelling};
use super::relay::{Line, PIECE};
use super::witness::{Passed, Seen};
use super::wording::{MAX_REWORDED, Wording};
use crate::model::{Direction, Disturbance};

/// The most of a stream that is held back, in bytes.
const MAX_HELD: usize = 16 * 1024 * 1024;

/// What comes after an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Another one may follow.
    Again,
    /// Bytes that are carried as they are.
    Bytes,
    /// The server is done.
    Over,
}

/// What went wrong with one of the ends: it is gone.
type Gone = std::io::Error;

/// Carries one request to a server and its answer back.
pub(super) async fn exchange(
    conn: &Conn,
    mut head: RequestHead,
    host: Option<String>,
    client: &mut DuplexStream,
    ahead: &mut BytesMut,
    line: &mut Line,
) -> After {
    let seen = Seen::new(conn.shared.witness.as_ref(), conn.number, &head.bytes);
    let names = Names { wording: conn.shared.wording.as_ref(), client: format!("http://{}", head.authority) };
    let mut changes: Vec<Change> = host.map(|host| Change::Value("host".to_owned(), host)).into_iter().collect();
    changes.extend(names.wording.iter().flat_map(|wording| wording.of_request(&head, &names.client)));
    match conn.redirect(&head) {
        Some(Redirect::Answer(text)) => {
            let taken = swallow(&mut head.body, client, ahead).await;
            seen.request_over();
            seen.answer(text.as_bytes());
            let told = client.write_all(text.as_bytes()).await;
            seen.end(Passed::Whole);
            return if taken && told.is_ok() { After::Again } else { After::Over };
        }
        Some(Redirect::Pass(first)) => changes.push(Change::First(first)),
        None => {}
    }
    changes.extend(conn.header_changes(Direction::Up));
    let form = match (names.wording, head.body) {
        (Some(wording), Framing::Length(length)) if head.is_form && length <= MAX_REWORDED as u64 => {
            let Some(body) = whole(&mut head.body, client, ahead).await else { return After::Over };
            seen.request_data(&body);
            let body = wording.form(&body, &names.client);
            changes.push(Change::Value("content-length".to_owned(), body.len().to_string()));
            body
        }
        _ => Vec::new(),
    };
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let Line { link, buffer, .. } = line;
    let (mut from_server, mut to_server) = tokio::io::split(link);
    let sent = AtomicBool::new(false);
    let up = async {
        let mut body = head.body;
        let whole = async {
            // What comes of a request may show elsewhere before its last byte is known to be sent.
            if body.is_done() {
                seen.request_over();
            }
            to_server.write_all(&changed(&head.bytes, &changes)).await?;
            to_server.write_all(&form).await?;
            send_body(&mut body, &mut from_client, ahead, &mut to_server, &seen).await
        };
        if whole.await.is_ok_and(|whole| whole) {
            sent.store(true, Ordering::Relaxed);
            // While the answer is on its way the client may leave, which the server has to see.
            while ahead.len() < PIECE {
                if !from_client.read_buf(ahead).await.is_ok_and(|count| count > 0) {
                    sent.store(false, Ordering::Relaxed);
                    seen.end(Passed::ClientLeft);
                    let _ = to_server.shutdown().await;
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let asked = Asked { method: &head.method, target: &head.target, names: &names, seen: &seen };
    let down = get_answer(conn, &asked, &mut from_server, buffer, &mut to_client);
    let after = tokio::select! {
        after = down => after.unwrap_or(After::Over),
        () = up => After::Over,
    };
    match after {
        After::Again => seen.end(Passed::Whole),
        After::Bytes => seen.end(Passed::NotShown),
        // Who is at fault was told where it was seen.
        After::Over => seen.end(Passed::CutShort),
    }
    // An answer before the end of the request, or after that of the client: no more requests to be made out.
    if after == After::Again && !sent.load(Ordering::Relaxed) { After::Bytes } else { after }
}

/// What the server is called on either side.
#[derive(Debug)]
struct Names<'c> {
    wording: Option<&'c Wording>,
    /// The origin by which the client knows the server.
    client: String,
}

/// What an answer is to.
#[derive(Debug)]
struct Asked<'e> {
    method: &'e str,
    target: &'e str,
    names: &'e Names<'e>,
    seen: &'e Seen,
}

/// Takes a whole body with a known length; `None` where the client leaves before its end.
async fn whole(body: &mut Framing, from: &mut (impl AsyncRead + Unpin), ahead: &mut BytesMut) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let taken = body.take_with(ahead, |piece| data.extend_from_slice(piece));
        let _ = ahead.split_to(taken);
        if body.is_done() {
            return Some(data);
        }
        ahead.reserve(PIECE);
        if !from.read_buf(ahead).await.is_ok_and(|count| count > 0) {
            return None;
        }
    }
}

/// Passes a request's body on; gives false where the client left before its end.
async fn send_body(
    body: &mut Framing,
    from: &mut (impl AsyncRead + Unpin),
    ahead: &mut BytesMut,
    to: &mut (impl AsyncWrite + Unpin),
    seen: &Seen,
) -> Result<bool, Gone> {
    loop {
        let taken = body.take_with(ahead, |data| seen.request_data(data));
        if body.is_done() {
            seen.request_over();
        }
        to.write_all(&ahead.split_to(taken)).await?;
        if body.is_done() {
            return Ok(true);
        }
        ahead.reserve(PIECE);
        if from.read_buf(ahead).await? == 0 {
            to.shutdown().await?;
            return Ok(false);
        }
    }
}

/// Takes a request's body that nobody is going to read.
async fn swallow(body: &mut Framing, from: &mut DuplexStream, ahead: &mut BytesMut) -> bool {
    loop {
        let taken = body.take(ahead);
        let _ = ahead.split_to(taken);
        if body.is_done() {
            return true;
        }
        ahead.reserve(PIECE);
        if !from.read_buf(ahead).await.is_ok_and(|count| count > 0) {
            return false;
        }
    }
}

/// Passes an answer on, those before it (100 to 199) included.
async fn get_answer(
    conn: &Conn,
    asked: &Asked<'_>,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<After, Gone> {
    loop {
        match answer(buffer, asked.method) {
            Read::Whole(mut head) => {
                let mut changes = conn.answer_changes(&head);
                let names = asked.names;
                changes.extend(names.wording.iter().flat_map(|wording| wording.of_answer(&names.client)));
                if let Some(wording) = names.wording.filter(|_| Wording::rewords(&head, asked.target)) {
                    return get_document(asked, wording, &mut head, changes, from, buffer, to).await;
                }
                let bytes = changed(&head.bytes, &changes);
                asked.seen.answer(&bytes);
                to.write_all(&bytes).await?;
                match head.status {
                    101 => return Ok(After::Bytes),
                    100..=199 => continue,
                    200..=299 if asked.method == "CONNECT" => return Ok(After::Bytes),
                    _ => return get_body(conn, asked.seen, &mut head, from, buffer, to).await,
                }
            }
            Read::More => {}
            Read::NotHttp => return Ok(After::Bytes),
        }
        buffer.reserve(PIECE);
        if from.read_buf(buffer).await? == 0 {
            // What was perhaps the beginning of a head is passed on all the same.
            to.write_all(&buffer.split()).await?;
            return Ok(After::Over);
        }
    }
}

/// Passes a document on in the words of the client's side.
async fn get_document(
    asked: &Asked<'_>,
    wording: &Wording,
    head: &mut AnswerHead,
    mut changes: Vec<Change>,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<After, Gone> {
    let ends_with_connection = head.body == Framing::Close;
    let mut data = Vec::new();
    let whole = loop {
        let taken = head.body.take_with(buffer, |piece| data.extend_from_slice(piece));
        let _ = buffer.split_to(taken);
        if head.body.is_done() {
            break true;
        }
        buffer.reserve(PIECE);
        if data.len() > MAX_REWORDED || from.read_buf(buffer).await? == 0 {
            break ends_with_connection && data.len() <= MAX_REWORDED;
        }
    };
    let data = wording.document(&data, &asked.names.client);
    for name in ["transfer-encoding", "content-length"] {
        changes.push(Change::Strip(name.to_owned()));
    }
    let mut bytes = changed(&head.bytes, &changes);
    bytes.truncate(bytes.len().saturating_sub(2));
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", data.len()).as_bytes());
    asked.seen.answer(&bytes);
    asked.seen.answer_data(&data);
    to.write_all(&bytes).await?;
    to.write_all(&data).await?;
    Ok(if whole && !ends_with_connection { After::Again } else { over(asked.seen, whole) })
}

/// The server is done; whether its answer was whole.
fn over(seen: &Seen, whole: bool) -> After {
    seen.end(if whole { Passed::Whole } else { Passed::CutShort });
    After::Over
}

/// Passes an answer's body on, held back where streams are.
async fn get_body(
    conn: &Conn,
    seen: &Seen,
    head: &mut AnswerHead,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<After, Gone> {
    let mut force = conn.shared.force.subscribe();
    let mut kept = BytesMut::new();
    loop {
        force.mark_unchanged();
        let taken = head.body.take_with(buffer, |data| seen.answer_data(data));
        kept.unsplit(buffer.split_to(taken));
        let block = if head.event_stream { conn.block() } else { 0 };
        let done = head.body.is_done();
        if (done || kept.len() >= block) && to.write_all(&kept.split()).await.is_err() {
            seen.end(Passed::ClientLeft);
            return Ok(After::Over);
        }
        if done {
            return Ok(After::Again);
        }
        buffer.reserve(PIECE);
        tokio::select! {
            read = from.read_buf(buffer) => if read? == 0 {
                to.write_all(&kept.split()).await?;
                return Ok(over(seen, head.body == Framing::Close));
            },
            changed = force.changed(), if !kept.is_empty() => if changed.is_err() { return Ok(After::Over) },
        }
    }
}

/// What a redirect does with a request.
enum Redirect {
    /// This is the answer.
    Answer(String),
    /// It goes on with this first line.
    Pass(String),
}

impl Conn {
    fn redirect(&self, head: &RequestHead) -> Option<Redirect> {
        let force = self.shared.force.borrow();
        let found = force.each(self.number).find_map(|what| match what {
            Disturbance::Redirect { status, slash, origin } => Some((*status, *slash, origin.clone())),
            _ => None,
        });
        let (status, slash, origin) = found?;
        Some(match spelling(&head.target, slash) {
            Spelling::Right(target) => Redirect::Pass(format!("{} {target} HTTP/1.1", head.method)),
            Spelling::Wrong(target) => {
                let (reason, place) = (reason(status), format!("{}{target}", origin.unwrap_or_default()));
                Redirect::Answer(format!(
                    "HTTP/1.1 {status} {reason}\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n"
                ))
            }
        })
    }

    fn header_changes(&self, lane: Direction) -> Vec<Change> {
        let force = self.shared.force.borrow();
        let armed = force.on(self.number).filter(|armed| armed.fault.direction.includes(lane));
        let changes = armed.filter_map(|armed| match &armed.fault.what {
            Disturbance::StripHeader(name) => Some(Change::Strip(name.clone())),
            Disturbance::RenameHeader { from, to } => Some(Change::Rename(from.clone(), to.clone())),
            _ => None,
        });
        changes.collect()
    }

    fn answer_changes(&self, head: &AnswerHead) -> Vec<Change> {
        let mut changes = self.header_changes(Direction::Down);
        let force = self.shared.force.borrow();
        let status = force.each(self.number).find_map(|what| match what {
            Disturbance::Status { to, of } if head.status >= 200 && of.is_none_or(|of| of == head.status) => Some(*to),
            _ => None,
        });
        changes.extend(status.map(|status| Change::First(format!("HTTP/1.1 {status} {}", reason(status)))));
        changes
    }

    /// In blocks of how many bytes streams are held back.
    fn block(&self) -> usize {
        let force = self.shared.force.borrow();
        let blocks = force.each(self.number).filter_map(|what| match what {
            Disturbance::BufferStreams(block) => Some(block.unwrap_or(u64::MAX)),
            _ => None,
        });
        usize::try_from(blocks.max().unwrap_or(0)).unwrap_or(usize::MAX).min(MAX_HELD)
    }
}

/// The words behind a status; which ones makes no difference to anybody.
fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        300..=399 => "Redirect",
        400..=499 => "Refused",
        _ => "Failed",
    }
}
