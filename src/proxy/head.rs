//! Heads of HTTP/1.1 messages: where they end, what they say of the body behind them, and how they are changed.
//!
//! What nobody wants changed stays byte for byte as it was sent.

use bytes::{Bytes, BytesMut};

use super::body::Framing;
use crate::model::Slash;

/// The longest head that is looked into, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The most lines of one.
const MAX_LINES: usize = 128;

/// What the bytes at the beginning of a buffer are.
#[derive(Debug)]
pub(super) enum Read<H> {
    /// A head, taken out of the buffer.
    Whole(H),
    /// Perhaps the beginning of one.
    More,
    /// No HTTP/1.1, or longer than is looked into.
    NotHttp,
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) bytes: Bytes,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Framing,
    /// What the client calls the server, by its `Host`.
    pub(super) authority: String,
    /// Whether the body is a form.
    pub(super) is_form: bool,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) bytes: Bytes,
    pub(super) status: u16,
    pub(super) body: Framing,
    pub(super) event_stream: bool,
}

/// Reads the head of a request.
pub(super) fn request(buffer: &mut BytesMut) -> Read<RequestHead> {
    // Nobody asks in small letters; other protocols are told from HTTP by that before a line of theirs is whole.
    let method = buffer[..].split(|byte| *byte == b' ').next().unwrap_or_default();
    if !method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') {
        return Read::NotHttp;
    }
    let mut slots = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => {
            let method = parsed.method.unwrap_or_default().to_owned();
            let target = parsed.path.unwrap_or_default().to_owned();
            let body = framing(parsed.headers).unwrap_or(Framing::Done);
            let authority = value(parsed.headers, "host").unwrap_or_default();
            let kind = value(parsed.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
            let is_form = kind.starts_with("application/x-www-form-urlencoded");
            let bytes = buffer.split_to(length).freeze();
            Read::Whole(RequestHead { bytes, method, target, body, authority, is_form })
        }
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => Read::More,
        Ok(httparse::Status::Partial) | Err(_) => Read::NotHttp,
    }
}

/// Reads the head of an answer to a request with this method.
pub(super) fn answer(buffer: &mut BytesMut, method: &str) -> Read<AnswerHead> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut parsed = httparse::Response::new(&mut slots);
    match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => {
            let status = parsed.code.unwrap_or_default();
            let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
            let body = if bodiless { Framing::Done } else { framing(parsed.headers).unwrap_or(Framing::Close) };
            let kind = value(parsed.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
            let event_stream = kind.starts_with("text/event-stream");
            Read::Whole(AnswerHead { bytes: buffer.split_to(length).freeze(), status, body, event_stream })
        }
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => Read::More,
        Ok(httparse::Status::Partial) | Err(_) => Read::NotHttp,
    }
}

fn value(headers: &[httparse::Header<'_>], name: &str) -> Option<String> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(found.value).trim().to_owned())
}

/// What the headers say of the body; chunks count more than a length (RFC 9112 section 6.3).
fn framing(headers: &[httparse::Header<'_>]) -> Option<Framing> {
    let coding = value(headers, "transfer-encoding").map(|coding| coding.to_ascii_lowercase());
    if let Some(coding) = coding {
        return Some(if coding.contains("chunked") { Framing::CHUNKED } else { Framing::Close });
    }
    Some(value(headers, "content-length")?.parse().map_or(Framing::Close, Framing::Length))
}

/// A change of a head's lines.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Takes a header out.
    Strip(String),
    /// Gives a header another name.
    Rename(String, String),
    /// Gives a header another value.
    Value(String, String),
    /// Puts texts in the place of others in a header.
    Reword(String, Vec<(String, String)>),
    /// Puts another first line in place.
    First(String),
}

/// A head with some of its lines changed.
pub(super) fn changed(head: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut new = Vec::with_capacity(head.len() + 64);
    for (at, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if let Some(line) = changes.iter().try_fold(line.to_vec(), |line, change| change.apply(at == 0, line)) {
            new.extend(line);
        }
    }
    new
}

impl Change {
    /// The line after the change; `None` where it is gone.
    fn apply(&self, first: bool, line: Vec<u8>) -> Option<Vec<u8>> {
        let name_end = line.iter().position(|byte| *byte == b':').filter(|_| !first);
        let named = |name: &str| name_end.is_some_and(|end| line[..end].eq_ignore_ascii_case(name.as_bytes()));
        match self {
            Self::First(text) if first => Some(format!("{text}\r\n").into_bytes()),
            Self::Strip(name) if named(name) => None,
            Self::Rename(from, to) if named(from) => {
                Some([to.as_bytes(), &line[name_end.unwrap_or_default()..]].concat())
            }
            Self::Value(name, value) if named(name) => {
                let end = name_end.unwrap_or_default();
                Some([&line[..end], b": ", value.as_bytes(), b"\r\n"].concat())
            }
            Self::Reword(name, pairs) if named(name) => {
                let text = String::from_utf8_lossy(&line).into_owned();
                Some(super::wording::replaced(&text, pairs).into_bytes())
            }
            _ => Some(line),
        }
    }
}

/// What a redirect for a slash makes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// It is asked in the wrong spelling, and is sent to this path and query.
    Wrong(String),
    /// It is asked in the right one, for which the server behind has this target.
    Right(String),
}

/// Judges the spelling of a target; one that is no path is right as it is.
pub(super) fn spelling(target: &str, slash: Slash) -> Spelling {
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let with = path.ends_with('/');
    if !path.starts_with('/') || path == "/" {
        return Spelling::Right(target.to_owned());
    }
    let other = if with { format!("{}{query}", path.trim_end_matches('/')) } else { format!("{path}/{query}") };
    if with == (slash == Slash::Add) { Spelling::Right(other) } else { Spelling::Wrong(other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_their_bodies() {
        let mut buffer = BytesMut::from("POST /mcp HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        let Read::Whole(head) = request(&mut buffer) else { panic!("whole") };
        assert_eq!((head.method.as_str(), head.target.as_str(), head.body), ("POST", "/mcp", Framing::Length(3)));
        assert_eq!(&buffer[..], b"abc");
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let Read::Whole(head) = answer(&mut BytesMut::from(text), "POST") else { panic!("whole") };
        assert!(head.event_stream && head.body == Framing::CHUNKED && head.status == 200);
        let Read::Whole(head) = answer(&mut BytesMut::from(text), "HEAD") else { panic!("whole") };
        assert_eq!(head.body, Framing::Done);
        assert!(matches!(request(&mut BytesMut::from("POST /mcp HT")), Read::More));
        assert!(matches!(request(&mut BytesMut::from("\x16\x03\x01\x02")), Read::NotHttp));
        assert!(matches!(request(&mut BytesMut::from("hello")), Read::NotHttp));
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(MAX_HEAD));
        assert!(matches!(request(&mut BytesMut::from(endless.as_str())), Read::NotHttp));
    }

    #[test]
    fn only_what_is_meant_changes() {
        let head = b"HTTP/1.1 401 No\r\nWWW-Authenticate:  Bearer x:y\r\nX-Odd : 1\r\n\r\n";
        let renamed = changed(head, &[Change::Rename("www-authenticate".to_owned(), "x-remapped".to_owned())]);
        assert_eq!(renamed, b"HTTP/1.1 401 No\r\nx-remapped:  Bearer x:y\r\nX-Odd : 1\r\n\r\n");
        let both = [Change::Strip("WWW-authenticate".to_owned()), Change::First("HTTP/1.1 502 Bad".to_owned())];
        assert_eq!(changed(head, &both), b"HTTP/1.1 502 Bad\r\nX-Odd : 1\r\n\r\n");
        let host = [Change::Value("host".to_owned(), "b".to_owned())];
        assert_eq!(changed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &host), b"GET / HTTP/1.1\r\nHost: b\r\n\r\n");
        assert_eq!(changed(head, &[]), head);
    }

    #[test]
    fn a_path_has_one_right_spelling() {
        let (right, wrong) =
            (|text: &str| Spelling::Right(text.to_owned()), |text: &str| Spelling::Wrong(text.to_owned()));
        assert_eq!(spelling("/mcp?x=1/", Slash::Add), wrong("/mcp/?x=1/"));
        assert_eq!(spelling("/mcp/?x=1", Slash::Add), right("/mcp?x=1"));
        assert_eq!(spelling("/mcp/", Slash::Remove), wrong("/mcp"));
        assert_eq!(spelling("/mcp", Slash::Remove), right("/mcp/"));
        assert_eq!(spelling("/", Slash::Add), right("/"));
        assert_eq!(spelling("*", Slash::Add), right("*"));
    }
}
