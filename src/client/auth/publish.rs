//! The step `publish`: a document on this machine that an authorization server may fetch, such as the metadata of a
//! client whose id is a URL. Every fetch is an event of the transcript.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::custom::with_members;
use crate::client::sim::Sim;
use crate::scenario::Publish;
use crate::transcript::{EventKind, Headers};
use crate::wire::Tap;

/// The longest head of a request that is read.
const MOST_HEAD: usize = 16 * 1024;
/// How long a request may take, head and answer.
const WITHIN: Duration = Duration::from_secs(5);
/// How many requests are answered at once.
const AT_ONCE: usize = 16;

/// What is answered at a path.
#[derive(Debug, Clone)]
struct Page {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

/// The documents by path.
type Pages = Arc<Mutex<HashMap<String, Page>>>;

/// A place on this machine with documents; it is gone when this is dropped.
#[derive(Debug)]
pub(in crate::client) struct Site {
    origin: String,
    pages: Pages,
    task: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    async fn open(tap: Arc<Tap>, client: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let pages = Pages::default();
        let task =
            tokio::spawn(serve(listener, Visits { origin: origin.clone(), pages: Arc::clone(&pages), tap, client }));
        Ok(Self { origin, pages, task })
    }
}

/// What answering needs to know.
#[derive(Debug, Clone)]
struct Visits {
    origin: String,
    pages: Pages,
    tap: Arc<Tap>,
    client: String,
}

async fn serve(listener: TcpListener, visits: Visits) {
    let mut open = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        if open.len() >= AT_ONCE {
            open.join_next().await;
        }
        let visits = visits.clone();
        // A visitor that hangs up or dawdles is no affair of ours.
        open.spawn(async move { tokio::time::timeout(WITHIN, visit(socket, &visits)).await.is_ok() });
    }
}

async fn visit(mut socket: TcpStream, visits: &Visits) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MOST_HEAD || socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let page = visits.pages.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    let page = page.unwrap_or(Page { status: 404, headers: Headers::new(), body: Vec::new() });
    let url = format!("{}{path}", visits.origin);
    visits.tap.record(&visits.client, EventKind::Fetched { url, method: method.to_owned() });
    let mut answer = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", page.status, page.body.len());
    for (name, value) in &page.headers {
        answer.extend([name, ": ", value, "\r\n"]);
    }
    answer.push_str("connection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await?;
    if method != "HEAD" {
        socket.write_all(&page.body).await?;
    }
    socket.shutdown().await
}

impl Sim {
    /// Publishes the document that the step describes, and keeps its URL for `{document}`.
    pub(in crate::client) async fn publish(self: &Arc<Self>, step: &Publish) {
        if self.state().site.is_none() {
            match Site::open(Arc::clone(&self.tap), self.name.clone()).await {
                Ok(site) => self.state().site = Some(site),
                Err(error) => return self.leave_out(format!("no document can be published on this machine: {error}")),
            }
        }
        let Some(url) = self.state().site.as_ref().map(|site| format!("{}{}", site.origin, step.path)) else { return };
        self.state().credential.document = Some(url.clone());
        let credential = self.state().credential.clone();
        let does = &self.profile.oauth.value;
        let document = json!({
            "client_id": url,
            "client_name": does.client_name,
            "redirect_uris": [self.redirect_uri()],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let fill = |text: &str| self.fill(&credential, text);
        let body = step.body.as_deref().map(fill);
        let body = body.unwrap_or_else(|| with_members(document, &step.set, &fill).to_string());
        let mut headers = Headers::new();
        if !step.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".into(), "application/json".into()));
        }
        let given = step
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().into(), fill(value.as_deref()?).into())));
        headers.extend(given);
        let mut bytes = body.clone().into_bytes();
        bytes.resize(bytes.len() + step.pad, b' ');
        let page = Page { status: step.status, headers: headers.clone(), body: bytes };
        let pages = self.state().site.as_ref().map(|site| Arc::clone(&site.pages));
        if let Some(pages) = pages {
            pages.lock().unwrap_or_else(PoisonError::into_inner).insert(step.path.clone(), page);
        }
        let kind = EventKind::Published { url, status: step.status, headers, body: body.into(), pad: step.pad };
        self.tap.record(&self.name, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WallClock;

    #[tokio::test]
    async fn a_document_is_served_and_its_visitors_are_told() {
        let tap = Arc::new(Tap::new(Arc::new(WallClock::new())));
        let site = Site::open(Arc::clone(&tap), "a".to_owned()).await.expect("a free port");
        let headers = vec![("x-y".into(), "z".into())];
        let page = Page { status: 203, headers, body: b"{}".to_vec() };
        site.pages.lock().expect("no panic").insert("/a".to_owned(), page);
        let address = site.origin.trim_start_matches("http://").to_owned();
        let mut answers = Vec::new();
        for path in ["/a", "/b"] {
            let mut socket = TcpStream::connect(&address).await.expect("open");
            let asked = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            socket.write_all(asked.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.expect("an answer that ends");
            answers.push(answer);
        }
        let first = "HTTP/1.1 203 -\r\ncontent-length: 2\r\nx-y: z\r\nconnection: close\r\n\r\n{}";
        let second = "HTTP/1.1 404 -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(answers, [first, second]);
        let fetched = |event: &crate::transcript::Event| match &event.kind {
            EventKind::Fetched { url, method } => Some((url.clone(), method.clone())),
            _ => None,
        };
        let told: Vec<_> = tap.events().iter().filter_map(fetched).collect();
        let expected = ["/a", "/b"].map(|path| (format!("{}{path}", site.origin), "GET".to_owned()));
        assert_eq!(told, expected);
    }
}
