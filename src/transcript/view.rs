//! Indexes over a transcript: exchanges, messages, calls and conversations, built once for all checks.
//!
//! Says what belongs together, never whether it is right.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::conversation::Conversation;
use super::disturbed::{excuse, mark};
use super::exchange::exchanges;
use super::{ClientName, Event, Exchange};
use crate::model::{Kind, Members as _, Message, Revision, Text, Via, id_text};

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client, to the server.
    Sent,
    /// The server, to the client.
    Received,
}

/// What carried a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The body of a request.
    RequestBody,
    /// A JSON body of an answer.
    JsonBody,
    /// An event stream that answers a POST.
    PostStream,
    /// An event stream that answers a GET.
    GetStream,
    /// A channel on which everything comes: stdio, a WebSocket, the event stream of HTTP+SSE.
    Channel,
}

/// A JSON-RPC message on the wire.
#[derive(Debug, Clone)]
pub struct Msg {
    /// Position in the transcript of the event that carried it.
    pub seq: u32,
    /// Microseconds since the rehearsal began.
    pub at: u64,
    /// The simulated client.
    pub client: ClientName,
    /// Index into [`View::exchanges`].
    pub exchange: usize,
    /// Who sent it.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// Whether it stood in an array.
    pub batched: bool,
    /// The message.
    pub value: Arc<Value>,
    /// Request, notification, response, other.
    pub kind: Kind,
    /// The `method`, if it is a string; read once, since every check asks for it.
    method: Option<Box<str>>,
    /// Index of the conversation.
    pub conversation: Option<usize>,
    /// The revision that governs it.
    pub revision: Option<Revision>,
}

impl Msg {
    /// The message as a lenient envelope.
    pub fn message(&self) -> Message<'_> {
        Message(&self.value)
    }

    /// The `method`.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Whether it is a response of the modern era that does not answer its request yet: it asks for input, or is a task.
    pub fn is_interim(&self) -> bool {
        let kind = self.value.at("result").at("resultType").as_str();
        self.revision == Some(Revision::V2026_07_28) && matches!(kind, Some("input_required" | "task"))
    }

    /// Whether the server sent it.
    pub fn received(&self) -> bool {
        self.direction == Direction::Received
    }
}

/// What tells a request from all others: its sender, client, conversation, exchange where that counts, and id.
type CallKey = (Direction, ClientName, Option<usize>, Option<usize>, String);

/// A request and the responses to it; both are indexes into [`View::messages`].
#[derive(Debug, Clone)]
pub struct Call {
    /// The request.
    pub request: usize,
    /// Every response that carried its id, in order of arrival.
    pub responses: Vec<usize>,
}

/// A selection that was made, by its name.
type Gathered = (&'static str, Rc<[usize]>);

/// A transcript with its indexes.
#[derive(Debug)]
pub struct View<'t> {
    /// The events.
    pub events: &'t [Event],
    /// Exchanges in order of their requests.
    pub exchanges: Vec<Exchange>,
    /// JSON-RPC messages in order of the wire.
    pub messages: Vec<Msg>,
    /// Requests of the client with their responses.
    pub calls: Vec<Call>,
    /// Requests of the server with the client's responses.
    pub server_calls: Vec<Call>,
    /// What the server asks of the client inside of results, in order of the wire: each a request without an id.
    pub questions: Vec<Msg>,
    /// Conversations in order of opening.
    pub conversations: Vec<Conversation>,
    /// Selections that many checks ask for, as indexes, by name.
    gathered: RefCell<Vec<Gathered>>,
    /// Answers to questions about single messages that many checks ask, by name and position.
    remembered: RefCell<HashMap<(&'static str, u32), u32>>,
    /// Messages of the server that count as such, each with the revision that governs it.
    heard: OnceCell<Vec<(usize, Option<Revision>)>>,
    /// Whether what the network did is left out.
    excused: bool,
    /// Whether any exchange is of the modern era.
    pub(super) modern: bool,
}

impl<'t> View<'t> {
    /// Builds every index.
    pub fn new(events: &'t [Event]) -> Self {
        let mut exchanges = exchanges(events);
        mark(events, &mut exchanges);
        Self::of(events, exchanges, false)
    }

    /// The same without what the network did: the checks judge this one.
    pub fn undisturbed(events: &'t [Event]) -> Self {
        let mut exchanges = exchanges(events);
        mark(events, &mut exchanges);
        excuse(events, &mut exchanges);
        Self::of(events, exchanges, true)
    }

    /// The indexes over other events, in the same light: without what the network did, if that is left out here.
    pub fn like<'o>(&self, events: &'o [Event]) -> View<'o> {
        if self.excused { View::undisturbed(events) } else { View::new(events) }
    }

    /// Whether the network did anything.
    pub fn is_disturbed(&self) -> bool {
        self.exchanges.iter().any(|exchange| !exchange.disturbed.is_empty())
    }

    fn of(events: &'t [Event], exchanges: Vec<Exchange>, excused: bool) -> Self {
        let mut view = Self {
            events,
            exchanges,
            messages: Vec::new(),
            calls: Vec::new(),
            server_calls: Vec::new(),
            questions: Vec::new(),
            conversations: Vec::new(),
            gathered: RefCell::default(),
            remembered: RefCell::default(),
            heard: OnceCell::new(),
            excused,
            modern: false,
        };
        view.collect_messages();
        view.bring_home();
        view.find_eras();
        view.find_conversations();
        view.find_modern();
        view.assign_conversations();
        view.pair_calls();
        view.find_questions();
        view
    }

    /// The events without those of exchanges over other transports; `None` where there are no others.
    pub fn only(&self, via: Via) -> Option<Vec<Event>> {
        let others: HashSet<u32> =
            self.exchanges.iter().filter(|exchange| exchange.via != via).map(|exchange| exchange.number).collect();
        let keeps = |event: &&Event| event.kind.exchange().is_none_or(|exchange| !others.contains(&exchange));
        (!others.is_empty()).then(|| self.events.iter().filter(keeps).cloned().collect())
    }

    /// Whether the channel of an exchange was open when it began; true where it needs none.
    pub fn line_is_open(&self, exchange: &Exchange) -> bool {
        let opening = exchange.channel.and_then(|line| self.exchanges.iter().find(|other| other.number == line));
        opening.and_then(|opening| opening.end_seq).is_none_or(|end| end > exchange.seq)
    }

    /// Whether the server showed that it speaks the modern era, and was spoken to in it.
    pub fn is_modern(&self) -> bool {
        self.modern
    }

    /// The exchange that carried a message.
    pub fn exchange_of(&self, msg: &Msg) -> &Exchange {
        &self.exchanges[msg.exchange]
    }

    /// A selection of exchanges, as indexes in order, made at the first question for its name only.
    pub fn gather(&self, name: &'static str, select: impl FnOnce() -> Vec<usize>) -> Vec<&Exchange> {
        self.indexes(name, select).iter().map(|index| &self.exchanges[*index]).collect()
    }

    /// Whether an exchange belongs to such a selection.
    pub fn gathers(&self, name: &'static str, exchange: &Exchange, select: impl FnOnce() -> Vec<usize>) -> bool {
        self.indexes(name, select).binary_search_by_key(&exchange.seq, |index| self.exchanges[*index].seq).is_ok()
    }

    /// A selection of anything that is counted, such as calls, as indexes; made at the first question for its name only.
    pub fn indexes(&self, name: &'static str, select: impl FnOnce() -> Vec<usize>) -> Rc<[usize]> {
        // There are few names, and most are told apart by their lengths.
        let known = self.gathered.borrow().iter().find(|(known, _)| *known == name).map(|(_, found)| Rc::clone(found));
        known.unwrap_or_else(|| {
            let indexes: Rc<[usize]> = select().into();
            self.gathered.borrow_mut().push((name, Rc::clone(&indexes)));
            indexes
        })
    }

    /// Messages of the server, as indexes, each with the revision that governs it; selected at the first question only.
    pub fn heard(&self, select: impl FnOnce() -> Vec<(usize, Option<Revision>)>) -> &[(usize, Option<Revision>)] {
        self.heard.get_or_init(select)
    }

    /// The answer to a question about the message at this position, made at the first question only.
    pub fn remember(&self, question: &'static str, seq: u32, answer: impl FnOnce() -> u32) -> u32 {
        let known = self.remembered.borrow().get(&(question, seq)).copied();
        known.unwrap_or_else(|| {
            let made = answer();
            self.remembered.borrow_mut().insert((question, seq), made);
            made
        })
    }

    /// The conversation of a message.
    pub fn conversation_of(&self, msg: &Msg) -> Option<&Conversation> {
        self.conversations.get(msg.conversation?)
    }

    /// Messages of an exchange.
    pub fn messages_in(&self, exchange: usize) -> impl Iterator<Item = &Msg> {
        self.messages.iter().filter(move |msg| msg.exchange == exchange)
    }

    /// Everything the server sent.
    pub fn received(&self) -> impl Iterator<Item = &Msg> {
        self.messages.iter().filter(|msg| msg.received())
    }

    /// Calls of the client to a method: request, first response.
    pub fn calls_to<'v>(&'v self, method: &'v str) -> impl Iterator<Item = (&'v Msg, Option<&'v Msg>)> {
        self.calls.iter().filter_map(move |call| {
            let request = &self.messages[call.request];
            (request.method() == Some(method))
                .then(|| (request, call.responses.first().map(|index| &self.messages[*index])))
        })
    }

    /// Results of the client's calls to a method: request, response, the result itself. A result that asks for input or
    /// stands for a task is none of the method yet.
    pub fn results_of<'v>(&'v self, method: &'v str) -> impl Iterator<Item = (&'v Msg, &'v Msg, &'v Value)> {
        self.calls_to(method).filter_map(|(request, response)| {
            let response = response?;
            let result = response.value.member("result").filter(|_| !response.is_interim())?;
            Some((request, response, result))
        })
    }

    fn collect_messages(&mut self) {
        for (index, exchange) in self.exchanges.iter().enumerate() {
            let mut found: Vec<(u32, u64, Direction, Carrier, Arc<Value>)> = Vec::new();
            if let Some(body) = exchange.sent_shared() {
                found.push((exchange.seq, exchange.at, Direction::Sent, Carrier::RequestBody, Arc::clone(body)));
            }
            if let Some(body) = exchange.got_shared() {
                let seq = exchange.end_seq.map_or(exchange.seq, |seq| seq.saturating_sub(1));
                let at = exchange.end_at.unwrap_or(exchange.at);
                found.push((seq, at, Direction::Received, Carrier::JsonBody, Arc::clone(body)));
            }
            let stream = match exchange.method.as_str() {
                _ if exchange.via.has_one_stream() => Carrier::Channel,
                "GET" => Carrier::GetStream,
                _ => Carrier::PostStream,
            };
            for event in &exchange.events {
                let Some(value) = event.data.as_ref().and_then(Text::json) else { continue };
                found.push((event.seq, event.at, Direction::Received, stream, value));
            }
            for text in &exchange.texts {
                let Some(value) = text.text.json() else { continue };
                found.push((text.seq, text.at, Direction::Received, Carrier::Channel, value));
            }
            for (seq, at, direction, carrier, value) in found {
                let (members, batched) = match value.as_array() {
                    Some(members) => (members.iter().cloned().map(Arc::new).collect(), true),
                    None => (vec![value], false),
                };
                for value in members {
                    let kind = Message(&value).kind();
                    // A JSON body that is no JSON-RPC message (an OAuth error, say) is none of ours.
                    if direction == Direction::Received && carrier == Carrier::JsonBody && kind == Kind::Other {
                        continue;
                    }
                    self.messages.push(Msg {
                        method: Message(&value).method().map(Into::into),
                        seq,
                        at,
                        client: exchange.client.clone(),
                        exchange: index,
                        direction,
                        carrier,
                        batched,
                        value,
                        kind,
                        conversation: None,
                        revision: None,
                    });
                }
            }
        }
        self.messages.sort_by_key(|msg| msg.seq);
    }

    /// A response that came on a channel belongs to the exchange that asked, wherever the channel was opened.
    fn bring_home(&mut self) {
        let mut asked: HashMap<(ClientName, Via, String), usize> = HashMap::new();
        for index in 0..self.messages.len() {
            let msg = &self.messages[index];
            let via = self.exchanges[msg.exchange].via;
            if !via.has_one_stream() {
                continue;
            }
            let key = (msg.client.clone(), via, id_text(msg.value.at("id")));
            match (msg.direction, msg.kind) {
                (Direction::Sent, Kind::Request) => {
                    asked.insert(key, msg.exchange);
                }
                (Direction::Received, Kind::Response) if self.exchanges[msg.exchange].channel.is_none() => {
                    if let Some(home) = asked.get(&key).copied().or_else(|| self.latest_on_line(index)) {
                        let text = self.messages[index].value.to_string();
                        self.messages[index].exchange = home;
                        self.exchanges[home].answered_on_channel(text);
                    }
                }
                _ => {}
            }
        }
    }

    /// Where an error without id belongs that came on a channel: to what was sent last there.
    fn latest_on_line(&self, index: usize) -> Option<usize> {
        let msg = &self.messages[index];
        let line = self.exchanges[msg.exchange].line();
        if *msg.value.at("id") != Value::Null {
            return None;
        }
        let before = |other: &Exchange| other.line() == line && other.channel.is_some() && other.seq < msg.seq;
        self.exchanges.iter().rposition(before)
    }

    fn find_questions(&mut self) {
        if !self.modern {
            return;
        }
        for msg in self.messages.iter().filter(|msg| msg.received() && msg.kind == Kind::Response) {
            for question in
                msg.value.at("result").at("inputRequests").as_object().into_iter().flatten().map(|(_, one)| one)
            {
                let method = Message(question).method().map(Into::into);
                let value = Arc::new(question.clone());
                self.questions.push(Msg { kind: Kind::Request, method, value, ..msg.clone() });
            }
        }
    }

    fn pair_calls(&mut self) {
        let mut open: HashMap<CallKey, usize> = HashMap::new();
        for (index, msg) in self.messages.iter().enumerate() {
            let Some(id) = msg.message().id() else { continue };
            // A modern answer comes with its own request or not at all, and ids may be in use twice at a time.
            let exchange = &self.exchanges[msg.exchange];
            let home = (exchange.modern && !exchange.via.has_one_stream()).then_some(msg.exchange);
            let key = |direction| (direction, msg.client.clone(), msg.conversation, home, id_text(id));
            match msg.kind {
                Kind::Request => {
                    let list = match msg.direction {
                        Direction::Sent => &mut self.calls,
                        Direction::Received => &mut self.server_calls,
                    };
                    list.push(Call { request: index, responses: Vec::new() });
                    open.insert(key(msg.direction), list.len() - 1);
                }
                Kind::Response => {
                    let (list, direction) = match msg.direction {
                        Direction::Received => (&mut self.calls, Direction::Sent),
                        Direction::Sent => (&mut self.server_calls, Direction::Received),
                    };
                    if let Some(call) = open.get(&key(direction)) {
                        list[*call].responses.push(index);
                    }
                }
                Kind::Notification | Kind::Other => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_pair_with_their_responses_and_conversations() {
        let events = Builder::new()
            .initialize("2025-06-18")
            .call("tools/list", json!({}), json!({"tools": []}))
            .delete(204)
            .finish();
        let view = View::new(&events);
        assert_eq!(view.conversations.len(), 1);
        let conversation = &view.conversations[0];
        assert_eq!(conversation.revision, Some(Revision::V2025_06_18));
        assert!(conversation.initialized.is_some() && conversation.deleted.is_some());
        let (request, response, _) = view.results_of("tools/list").next().expect("paired");
        assert_eq!(request.conversation, Some(0));
        assert_eq!(response.carrier, Carrier::JsonBody);
    }
}
