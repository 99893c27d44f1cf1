//! What passes through the proxy, as events of a transcript.
//!
//! Looks on and writes down; it changes nothing and decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Via;
use crate::proxy::{Passed, Witness};
use crate::transcript::{End, EventKind, Headers, header};
use crate::wire::{Coding, Decoder, Frame, MAX_BODY, Tap};

/// The client of a recording; who of several speaks is not told apart.
pub(in crate::recording) const CLIENT: &str = "a";
/// The most header lines of one head.
const MAX_HEADERS: usize = 128;

/// Writes down what it is shown.
#[derive(Debug)]
pub struct Recorder {
    tap: Arc<Tap>,
    open: Mutex<HashMap<u32, Open>>,
}

/// An exchange that is not over.
#[derive(Debug)]
struct Open {
    connection: u32,
    method: String,
    target: String,
    headers: Headers,
    body: Vec<u8>,
    /// Whether the request was written down.
    told: bool,
    answer: Option<Answer>,
    /// Which limit of this program was passed.
    passed: Option<End>,
}

/// The answer so far.
#[derive(Debug)]
struct Answer {
    coding: Coding,
    stream: Option<Decoder>,
    body: Vec<u8>,
    /// Bytes since the last whole event of a stream.
    waiting: usize,
}

impl Recorder {
    /// Writes into this transcript.
    pub fn new(tap: Arc<Tap>) -> Self {
        Self { tap, open: Mutex::default() }
    }

    /// Ends what is still under way because the recording ends, which says nothing of either party.
    pub fn finish(&self) {
        let numbers: Vec<u32> = self.open.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        for number in numbers {
            self.with(number, |_, open| {
                open.passed
                    .get_or_insert_with(|| End::Unread("the recording was ended before the answer was".to_owned()));
            });
            self.end(number, Passed::ClientLeft);
        }
    }

    fn with(&self, exchange: u32, what: impl FnOnce(&Tap, &mut Open)) {
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&exchange) {
            what(&self.tap, open);
        }
    }
}

impl Open {
    /// Writes the request down, once.
    fn tell(&mut self, tap: &Tap, exchange: u32) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let body = std::mem::take(&mut self.body);
        let body = (!body.is_empty()).then(|| String::from_utf8_lossy(&body).into());
        tap.record(
            CLIENT,
            EventKind::Request {
                exchange,
                connection: self.connection,
                method: std::mem::take(&mut self.method),
                target: std::mem::take(&mut self.target),
                headers: self.headers.clone(),
                body,
                via: Via::StreamableHttp,
                channel: None,
                tls: false,
            },
        );
    }
}

impl Answer {
    /// Takes a piece of the body; gives what it completes, or the limit that it passes.
    fn take(&mut self, exchange: u32, data: &[u8]) -> Result<Vec<EventKind>, End> {
        let data = self.coding.decode(data).map_err(|error| End::Unread(error.to_string()))?;
        let Some(decoder) = &mut self.stream else {
            self.body.extend_from_slice(&data);
            return if self.body.len() > MAX_BODY { Err(End::TooLarge(MAX_BODY)) } else { Ok(Vec::new()) };
        };
        let frames = decoder.feed(&data);
        self.waiting = if frames.is_empty() { self.waiting + data.len() } else { 0 };
        if self.waiting > MAX_BODY {
            return Err(End::TooLarge(MAX_BODY));
        }
        let event = |frame| match frame {
            Frame::Event { id, event, data, retry } => {
                Some(EventKind::Sse { exchange, id, event, data: data.map(Into::into), retry })
            }
            Frame::Comment(_) => None,
        };
        Ok(frames.into_iter().filter_map(event).collect())
    }
}

impl Witness for Recorder {
    fn request(&self, connection: u64, head: &[u8]) -> u32 {
        let exchange = self.tap.next_exchange();
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut slots);
        // The proxy has read this head already.
        let _ = parsed.parse(head);
        let open = Open {
            connection: u32::try_from(connection).unwrap_or(u32::MAX),
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: headers(parsed.headers),
            body: Vec::new(),
            told: false,
            answer: None,
            passed: None,
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(exchange, open);
        exchange
    }

    fn request_data(&self, exchange: u32, data: &[u8]) {
        self.with(exchange, |tap, open| {
            if open.body.len() + data.len() <= MAX_BODY {
                open.body.extend_from_slice(data);
            } else if open.passed.is_none() {
                open.passed = Some(End::Unread(format!("the request has more than {MAX_BODY} bytes")));
                let why = format!("the body of request {exchange} is too large to be kept whole");
                tap.record(CLIENT, EventKind::LeftOut { why, this_too: false });
            }
        });
    }

    fn request_over(&self, exchange: u32) {
        self.with(exchange, |tap, open| open.tell(tap, exchange));
    }

    fn answer(&self, exchange: u32, head: &[u8]) {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut slots);
        let _ = parsed.parse(head);
        let (status, headers) = (parsed.code.unwrap_or_default(), headers(parsed.headers));
        if (100..200).contains(&status) && status != 101 {
            return;
        }
        self.with(exchange, |tap, open| {
            open.tell(tap, exchange);
            let kind = header(&headers, "content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
            let stream = kind.starts_with("text/event-stream").then(Decoder::new);
            let coding = Coding::of(&headers, &open.headers).unwrap_or_else(|error| {
                open.passed = Some(End::Unread(error.to_string()));
                Coding::Plain
            });
            open.answer = Some(Answer { coding, stream, body: Vec::new(), waiting: 0 });
            tap.record(CLIENT, EventKind::Response { exchange, status, headers });
        });
    }

    fn answer_data(&self, exchange: u32, data: &[u8]) {
        self.with(exchange, |tap, open| {
            let Some(answer) = open.answer.as_mut().filter(|_| open.passed.is_none()) else { return };
            match answer.take(exchange, data) {
                Ok(events) => events.into_iter().for_each(|event| tap.record(CLIENT, event)),
                Err(end) => open.passed = Some(end),
            }
        });
    }

    fn end(&self, exchange: u32, how: Passed) {
        let Some(mut open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&exchange) else { return };
        open.tell(&self.tap, exchange);
        let end = open.passed.take().unwrap_or_else(|| match how {
            Passed::Whole => End::Complete,
            Passed::CutShort => End::CutShort,
            Passed::ClientLeft => End::ClosedByUs,
            Passed::Unreachable => End::Failed("the server could not be reached".to_owned()),
            Passed::NotShown => {
                End::Unread("what followed on the connection is no HTTP/1.1, and was not kept".to_owned())
            }
        });
        let body = open.answer.filter(|answer| answer.stream.is_none() && !answer.body.is_empty()).map(|answer| {
            let utf8 = std::str::from_utf8(&answer.body).is_ok();
            EventKind::Body { exchange, text: String::from_utf8_lossy(&answer.body).into(), utf8 }
        });
        let last = EventKind::End { exchange, end };
        // Readers look for a body right before the end.
        self.tap.record_all(CLIENT, body.into_iter().chain([last]).collect());
    }
}

fn headers(parsed: &[httparse::Header<'_>]) -> Headers {
    parsed
        .iter()
        .filter(|header| !header.name.is_empty())
        .map(|header| (header.name.into(), String::from_utf8_lossy(header.value).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WallClock;
    use crate::transcript::Event;

    fn recorder() -> (Recorder, Arc<Tap>) {
        let tap = Arc::new(Tap::new(Arc::new(WallClock::new())));
        (Recorder::new(Arc::clone(&tap)), tap)
    }

    fn words(events: &[Event]) -> Vec<&'static str> {
        let word = |event: &Event| match event.kind {
            EventKind::Request { .. } => "request",
            EventKind::Response { .. } => "response",
            EventKind::Body { .. } => "body",
            EventKind::Sse { .. } => "sse",
            EventKind::End { end: End::Complete, .. } => "whole",
            EventKind::End { end: End::ClosedByUs, .. } => "left",
            EventKind::End { .. } => "end",
            EventKind::Secret { .. } => "secret",
            _ => "other",
        };
        events.iter().map(word).collect()
    }

    #[test]
    fn an_exchange_becomes_events_without_secrets() {
        let (recorder, tap) = recorder();
        let head = b"POST /mcp HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret-token\r\n\r\n";
        let number = recorder.request(1, head);
        recorder.request_data(number, b"{\"a\":");
        recorder.request_data(number, b"1}");
        recorder.request_over(number);
        recorder.answer(number, b"HTTP/1.1 100 Continue\r\n\r\n");
        recorder.answer(number, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        recorder.answer_data(number, b"{\"echo\":\"secret-");
        recorder.answer_data(number, b"token\"}");
        recorder.end(number, Passed::Whole);
        recorder.end(number, Passed::ClientLeft);
        let events = tap.events();
        assert_eq!(words(&events), ["secret", "request", "response", "body", "whole"]);
        let text = format!("{events:?}");
        assert!(
            text.contains("{\\\"a\\\":1}") && text.contains("access#1") && !text.contains("secret-token"),
            "{text}"
        );
    }

    #[test]
    fn a_stream_is_written_down_as_it_comes_and_ends_with_the_recording() {
        let (recorder, tap) = recorder();
        let number = recorder.request(1, b"GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n");
        recorder.request_over(number);
        recorder.answer(number, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        recorder.answer_data(number, b"data: 1\n\nda");
        assert_eq!(words(&tap.events()), ["request", "response", "sse"]);
        recorder.answer_data(number, b"ta: 2\n\n");
        recorder.finish();
        assert_eq!(words(&tap.events()), ["request", "response", "sse", "sse", "end"]);
    }

    #[test]
    fn what_is_too_large_is_left_and_said() {
        let (recorder, tap) = recorder();
        let number = recorder.request(1, b"GET / HTTP/1.1\r\n\r\n");
        recorder.answer(number, b"HTTP/1.1 200 OK\r\n\r\n");
        let piece = vec![b' '; 65_536];
        for _ in 0..=MAX_BODY / 65_536 {
            recorder.answer_data(number, &piece);
        }
        recorder.end(number, Passed::Whole);
        assert!(matches!(
            tap.events().last().map(|event| &event.kind),
            Some(EventKind::End { end: End::TooLarge(_), .. })
        ));
    }
}
