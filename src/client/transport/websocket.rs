//! WebSocket: an upgrade as the profile would ask, then a text for each message (`docs/transports.md`).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::line::{Line, Out};
use crate::client::compose;
use crate::client::exchange::{Answered, Stop};
use crate::client::sim::Sim;
use crate::model::{Via, moment};
use crate::transcript::{End, EventKind, HeaderText, Headers, header};
use crate::wire::{Coding, Connection, Incoming, Link, Listener, Request, accept_key, sockets};

/// The subprotocol.
const MCP: &str = "mcp";

impl Sim {
    /// Opens a socket: of the session that the client holds, or of a new one.
    pub(super) async fn open_socket(self: &Arc<Self>, within: Duration) -> Result<Arc<Line>, Answered> {
        let number = self.tap.next_exchange();
        let mut answered = Answered::of(number);
        let limit = moment::passes(within);
        let opened = tokio::select! {
            opened = self.upgrade(number, within, &mut answered) => opened,
            () = limit => Err(Stop::End(End::TimedOut)),
        };
        match opened {
            Ok((connection, link, read)) => {
                if let Some(session) = header(&answered.headers, "mcp-session-id") {
                    self.state().socket_session = Some(session.to_owned());
                }
                let (speaker, listener) = sockets(link, read).await;
                let speaker = Arc::new(tokio::sync::Mutex::new(speaker));
                let out = Out::Socket(Arc::clone(&speaker));
                let opened = Line::new(Via::WebSocket, number, connection, self.target.path.clone(), out);
                let opened = Arc::new(opened);
                self.state().live += 1;
                tokio::spawn(read_socket(Arc::clone(self), Arc::clone(&opened), listener));
                Ok(opened)
            }
            Err(stop) => {
                self.tap.record(&self.name, EventKind::End { exchange: number, end: stop.end() });
                Err(answered)
            }
        }
    }

    /// The request for the upgrade.
    fn asks_for_socket(&self, key: &str) -> Request {
        let word = |name: &str, value: &str| -> (HeaderText, HeaderText) { (name.into(), value.into()) };
        // Asked before the state is held.
        let node = self.here();
        let mut headers = vec![
            word("Host", &self.host()),
            word("User-Agent", &self.profile.user_agent.value),
            word("Upgrade", "websocket"),
            word("Connection", "Upgrade"),
            word("Sec-WebSocket-Key", key),
            word("Sec-WebSocket-Version", "13"),
            word("Sec-WebSocket-Protocol", MCP),
        ];
        let state = self.state();
        // Without a handshake there is nothing to resume.
        if let Some(session) = state.socket_session.as_ref().filter(|_| state.modern.is_none()) {
            headers.push(word("Mcp-Session-Id", session));
            headers.extend(state.revision.as_ref().map(|revision| word("MCP-Protocol-Version", revision)));
        }
        compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
        self.target.dress(&mut headers);
        Request { via: Via::WebSocket, headers, node, ..Request::to(self.target.path.clone(), "GET") }
    }

    async fn upgrade(
        self: &Arc<Self>,
        number: u32,
        within: Duration,
        answered: &mut Answered,
    ) -> Result<(u32, Link, Vec<u8>), Stop> {
        let key = STANDARD.encode(self.rng.bytes::<16>());
        let request = self.asks_for_socket(&key);
        let connection = self.next_connection();
        self.record_request(number, connection, &request);
        let place = self.dialled(&request);
        let mut connection = Connection::open(&place, &self.target.trust, connection, within).await?;
        connection.send(&request).await?;
        let head = connection.head("GET").await?;
        self.tap.record(
            &self.name,
            EventKind::Response { exchange: number, status: head.status, headers: head.headers.clone() },
        );
        answered.status = Some(head.status);
        answered.headers.clone_from(&head.headers);
        if head.status != 101 {
            let coding = Coding::of(&head.headers, &Headers::new())?;
            let end = self.read_body(number, &mut connection, coding, answered).await?;
            return Err(Stop::End(end));
        }
        let failed = |reason: &str| Stop::End(End::Failed(reason.to_owned()));
        if header(&head.headers, "sec-websocket-accept") != Some(accept_key(&key).as_str()) {
            return Err(failed(
                "the answer to the upgrade does not prove that the server read it (Sec-WebSocket-Accept)",
            ));
        }
        if header(&head.headers, "sec-websocket-protocol") != Some(MCP) {
            return Err(failed("the server did not take up the subprotocol `mcp`"));
        }
        let number = connection.number;
        let (link, read) = connection.into_parts();
        Ok((number, link, read))
    }
}

async fn read_socket(sim: Arc<Sim>, line: Arc<Line>, mut listener: Listener) {
    let mut dropped = sim.drop_all.subscribe();
    dropped.mark_unchanged();
    let end = loop {
        let next = tokio::select! {
            next = listener.next() => next,
            _ = dropped.changed() => break End::ClosedByUs,
        };
        let (end, code, reason) = match next {
            Incoming::Text(text) => match sim.receive(line.opening, text, true) {
                None => continue,
                Some(end) => (end, 1009, "too much"),
            },
            Incoming::Beat => continue,
            Incoming::Closed(frame) => {
                let text = match &frame {
                    Some((code, reason)) => format!("the server closed the WebSocket with {code} {reason}"),
                    None => "the server closed the WebSocket without a code".to_owned(),
                };
                *line.code.lock().unwrap_or_else(PoisonError::into_inner) = frame.map(|(code, _)| code);
                sim.tap.record(&sim.name, EventKind::Note { text: text.trim_end().to_owned() });
                break End::Complete;
            }
            Incoming::Gone => break End::CutShort,
            Incoming::TooLarge(bytes) => (End::TooLarge(bytes), 1009, "the message is too large"),
            Incoming::Broken(what, code) => (End::Failed(what), code, ""),
        };
        if let Out::Socket(speaker) = &line.out {
            speaker.lock().await.close(code, reason).await;
        }
        break end;
    };
    sim.tap.record(&sim.name, EventKind::End { exchange: line.opening, end });
    line.is_over();
    sim.state().live -= 1;
    sim.announce();
}
