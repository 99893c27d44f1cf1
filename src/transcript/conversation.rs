//! Conversations: what belongs to one `initialize`, or to one client of the modern era.
//!
//! Says what belongs together, never whether it is right.

use serde_json::Value;

use super::era;
use super::view::{Direction, View};
use super::{ClientName, Exchange};
use crate::model::{Era, Members as _, Revision, id_text};

/// What one successful `initialize` opened or, in the modern era, where nothing opens anything: what one client says to
/// one place.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// The simulated client.
    pub client: ClientName,
    /// How it was opened.
    pub era: Era,
    /// Label of the session id, if the server assigned one.
    pub session: Option<String>,
    /// Index of the exchange with `initialize`, in the modern era of the first exchange.
    pub opened: usize,
    /// The version that the client asked for.
    pub requested: String,
    /// The version that the server answered.
    pub answered: String,
    /// That version, if the table knows it.
    pub revision: Option<Revision>,
    /// What the client declared; null in the modern era, where each request says it.
    pub client_capabilities: Value,
    /// The whole result of `initialize`, in the modern era of the latest `server/discover` (null without one).
    pub result: Value,
    /// Index of the exchange with `notifications/initialized`.
    pub initialized: Option<usize>,
    /// Index of the DELETE that the server accepted.
    pub deleted: Option<usize>,
}

impl Conversation {
    /// A server capability by path, such as `["resources", "subscribe"]`.
    pub fn server_capability(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.result.member("capabilities")?, |value, key| value.member(key))
    }

    /// A client capability by path.
    pub fn client_capability(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.client_capabilities, |value, key| value.member(key))
    }
}

impl View<'_> {
    pub(super) fn find_conversations(&mut self) {
        for request in &self.messages {
            let exchange = &self.exchanges[request.exchange];
            if request.direction != Direction::Sent || request.method() != Some("initialize") || exchange.modern {
                continue;
            }
            // The only answer to the only request opens a conversation also where its id went astray on the way:
            // otherwise nothing could be judged under the version that it names.
            let Some(result) = self
                .messages
                .iter()
                .find(|msg| msg.received() && msg.exchange == request.exchange && msg.value.member("result").is_some())
                .and_then(|msg| msg.value.member("result"))
            else {
                continue;
            };
            let params = request.message().params();
            let answered = result.member("protocolVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.conversations.push(Conversation {
                client: exchange.client.clone(),
                session: exchange
                    .got_header("mcp-session-id")
                    .filter(|_| !exchange.via.has_one_stream())
                    .map(str::to_owned),
                opened: request.exchange,
                requested: params
                    .and_then(|params| params.member("protocolVersion"))
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                revision: answered.parse().ok(),
                era: Era::Legacy,
                answered,
                client_capabilities: params
                    .and_then(|params| params.member("capabilities"))
                    .cloned()
                    .unwrap_or_default(),
                result: result.clone(),
                initialized: None,
                deleted: None,
            });
        }
    }

    /// Tells the eras apart.
    pub(super) fn find_eras(&mut self) {
        for (index, modern) in era::modern(&self.exchanges, &self.messages).into_iter().enumerate() {
            self.exchanges[index].modern = modern;
            self.modern |= modern;
        }
    }

    /// Modern traffic has a conversation for each client and place, though nothing opens it.
    pub(super) fn find_modern(&mut self) {
        if !self.modern {
            return;
        }
        for index in 0..self.exchanges.len() {
            if self.exchanges[index].modern && self.modern_of(index).is_none() {
                self.conversations.push(Conversation {
                    client: self.exchanges[index].client.clone(),
                    session: None,
                    opened: index,
                    requested: Revision::V2026_07_28.name().to_owned(),
                    answered: Revision::V2026_07_28.name().to_owned(),
                    revision: Some(Revision::V2026_07_28),
                    era: Era::Modern,
                    client_capabilities: Value::Null,
                    result: Value::Null,
                    initialized: Some(index),
                    deleted: None,
                });
            }
        }
        for conversation in self.conversations.iter_mut().filter(|known| known.era == Era::Modern) {
            let place = era::place(&self.exchanges[conversation.opened]);
            let results = self.messages.iter().rev().filter(|msg| {
                let exchange = &self.exchanges[msg.exchange];
                msg.received()
                    && exchange.modern
                    && exchange.client == conversation.client
                    && era::place(exchange) == place
                    && exchange.sent_json().is_some_and(|sent| sent.at("method") == "server/discover")
                    && msg.value.at("result").is_object()
            });
            let results: Vec<&Value> = results.map(|msg| msg.value.at("result")).collect();
            // One that tells no capabilities is what is wrong, and no reason to forget those that were told.
            let told = results.iter().find(|result| result.at("capabilities").is_object()).or(results.first());
            conversation.result = told.map(|result| (*result).clone()).unwrap_or_default();
        }
    }

    /// The modern conversation that an exchange belongs to.
    fn modern_of(&self, index: usize) -> Option<usize> {
        let exchange = &self.exchanges[index];
        self.conversations.iter().position(|known| {
            let opened = &self.exchanges[known.opened];
            known.era == Era::Modern && known.client == exchange.client && era::place(opened) == era::place(exchange)
        })
    }

    pub(super) fn assign_conversations(&mut self) {
        for index in 0..self.exchanges.len() {
            let exchange = &self.exchanges[index];
            let opened = self.conversations.iter().position(|conversation| conversation.opened == index);
            let opened = opened.filter(|found| self.conversations[*found].era == Era::Legacy);
            let found = opened.or_else(|| match exchange.session() {
                _ if exchange.modern => self.modern_of(index),
                _ if exchange.via.has_one_stream() => {
                    self.conversation_on(exchange).or_else(|| self.modern_on(exchange))
                }
                Some(session) => {
                    self.conversations.iter().rposition(|conversation| conversation.session.as_deref() == Some(session))
                }
                None => self.conversations.iter().rposition(|conversation| {
                    conversation.client == exchange.client
                        && conversation.era == Era::Legacy
                        && conversation.session.is_none()
                        && self.exchanges[conversation.opened].seq < exchange.seq
                }),
            });
            let revision = found.and_then(|index| self.conversations[index].revision);
            let accepted_delete = !exchange.modern && exchange.method == "DELETE" && exchange.is_success();
            self.exchanges[index].conversation = found;
            self.exchanges[index].revision = revision;
            if let Some(found) = found.filter(|_| accepted_delete) {
                self.conversations[found].deleted.get_or_insert(index);
            }
        }
        for msg in &mut self.messages {
            let exchange = &self.exchanges[msg.exchange];
            msg.conversation = exchange.conversation;
            msg.revision = exchange.revision;
            if let Some(found) = exchange.conversation
                && msg.direction == Direction::Sent
                && msg.method() == Some("notifications/initialized")
            {
                self.conversations[found].initialized.get_or_insert(msg.exchange);
            }
        }
        self.part_eras();
    }

    /// On a channel that carries both eras a message of the server belongs to the modern one where it says so: it is
    /// tagged with a subscription, or tells progress of a modern request.
    fn part_eras(&mut self) {
        let mut tokens: Vec<(u32, String)> = Vec::new();
        for index in 0..self.messages.len() {
            let msg = &self.messages[index];
            let exchange = &self.exchanges[msg.exchange];
            let Some(line) = exchange.line().filter(|_| self.modern && exchange.via.has_one_stream()) else { continue };
            if exchange.modern {
                let token = msg.value.at("params").at("_meta").member("progressToken").filter(|_| !msg.received());
                tokens.extend(token.map(|token| (line, id_text(token))));
                continue;
            }
            let tagged = msg.value.at("params").at("_meta").get(era::META_SUBSCRIPTION).is_some();
            let token = msg.value.at("params").member("progressToken").map(|token| (line, id_text(token)));
            if msg.received() && (tagged || token.is_some_and(|token| tokens.contains(&token))) {
                let found = self.modern_on(exchange);
                let msg = &mut self.messages[index];
                msg.conversation = found;
                msg.revision = Some(Revision::V2026_07_28);
            }
        }
    }

    /// The modern conversation of what was sent on the same channel.
    fn modern_on(&self, exchange: &Exchange) -> Option<usize> {
        let line = exchange.line();
        let index = self.exchanges.iter().position(|other| other.modern && other.line() == line)?;
        self.modern_of(index)
    }

    /// The conversation of an exchange on a channel: the latest that was opened there or, where the channel resumed a
    /// session, on the channel before.
    fn conversation_on(&self, exchange: &Exchange) -> Option<usize> {
        let opening = |line: u32| self.exchanges.iter().find(|other| other.number == line);
        let mut line = exchange.line()?;
        // Each channel resumes an earlier one, so that this ends.
        loop {
            let here =
                |known: &Conversation| known.era == Era::Legacy && self.exchanges[known.opened].line() == Some(line);
            if let Some(found) = self.conversations.iter().rposition(here) {
                return Some(found);
            }
            let resumed = opening(line)?;
            let session = resumed.session()?;
            let before = self.exchanges.iter().rfind(|other| {
                other.seq < resumed.seq
                    && other.channel.is_none()
                    && other.got_header("mcp-session-id") == Some(session)
            });
            line = before?.line()?;
        }
    }
}
