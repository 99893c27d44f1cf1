//! A login by a person at a browser: the client listens on this machine for what the browser brings back.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::client::entry::{Hidden, KnownClient, Wallet};
use crate::client::sim::Sim;
use crate::model::Challenge;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long a browser may take to say what it wants.
const TO_ASK: Duration = Duration::from_secs(10);
/// No head of a request is longer, in bytes.
const LONGEST: usize = 32 * 1024;

const DONE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>mcp-rehearsal</title>\
    <p>That was all. The rehearsal goes on in the terminal; this page can be closed.</p></html>";

impl Sim {
    /// Has a person consent once; the grant is for every case of the rehearsal.
    pub(super) async fn ask_person(self: &Arc<Self>, wallet: &Arc<Wallet>, challenge: Option<&Challenge>) -> bool {
        let Some(person) = &wallet.person else { return false };
        let known = self.target.client.as_ref().and_then(|client| client.redirect_uri.as_deref());
        let place = Url::parse(known.unwrap_or("http://127.0.0.1/callback"));
        let Ok(mut place) = place else {
            self.note("the redirect URI of the client is none that can be listened at");
            return false;
        };
        let port = place.port().unwrap_or(0);
        let listener = match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => listener,
            Err(error) => {
                self.note(&format!("port {port} of this machine cannot be had for the way back: {error}"));
                return false;
            }
        };
        // On this machine any port will do (RFC 8252 section 7.3).
        if place.set_port(listener.local_addr().ok().map(|address| address.port())).is_err() {
            return false;
        }
        let path = place.path().to_owned();
        if self.redirect_uri.set(place.to_string()).is_err() {
            self.note("the person was asked already, and nothing came of it");
            return false;
        }
        if !self.identify(PATIENCE).await {
            return false;
        }
        let asked = self.authorization_url(self.scope_to_ask(challenge, None).as_deref());
        let Some(asked) = asked else { return false };
        person.ask(&asked.url);
        let Ok(Some(place)) = tokio::time::timeout(PATIENCE, way_back(&listener, &path)).await else {
            self.note("nobody consented within five minutes");
            return false;
        };
        let Some(code) = self.code_in(&place, &asked) else { return false };
        if !self.redeem(code, asked.verifier, PATIENCE).await {
            return false;
        }
        let credential = self.state().credential.clone();
        let client = KnownClient {
            id: credential.client_id.unwrap_or_default(),
            secret: credential.client_secret.map(Hidden),
            method: Some(credential.method),
            redirect_uri: None,
        };
        if let Some(access) = &credential.access {
            wallet.put(Some(client), access, credential.refresh.as_deref());
        }
        true
    }
}

/// Waits until a browser brings an answer to this path; whatever else it asks for is not found.
async fn way_back(listener: &TcpListener, path: &str) -> Option<Url> {
    loop {
        let (mut stream, _) = listener.accept().await.ok()?;
        let Ok(Some(target)) = tokio::time::timeout(TO_ASK, wanted(&mut stream)).await else { continue };
        let place = Url::parse("http://127.0.0.1").ok()?.join(&target).ok()?;
        let back = place.path() == path;
        let (status, body) = if back { ("200 OK", DONE) } else { ("404 Not Found", "") };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        // A browser that hung up has brought what it had to bring all the same.
        let _ = stream.write_all(answer.as_bytes()).await;
        if back {
            return Some(place);
        }
    }
}

/// The target of a GET.
async fn wanted(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > LONGEST || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    Some(head.strip_prefix("GET ")?.split(' ').next()?.to_owned())
}
