//! What is played: the requests of a recording in their order, and what each of them waits for.

use std::time::Duration;

use serde_json::Value;

use crate::model::{Kind, Via};
use crate::transcript::{End, Exchange, Headers, Msg, View};
use crate::wire::{Command, Place, Trust};

/// The server that is played against.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its address.
    pub place: Place,
    /// Which certificates are believed there.
    pub trust: Trust,
    /// Value of the `Host` header.
    pub host: String,
    /// Path and query of its endpoint.
    pub path: String,
    /// Headers that every request carries besides the client's.
    pub headers: Headers,
    /// How it is started, where it is a command.
    pub command: Option<Command>,
    /// The longest that anything is waited for.
    pub patience: Duration,
}

/// The recording cannot be played against this server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// There is nothing in it.
    #[error("the recording holds no request of a client")]
    Empty,
    /// Another transport.
    #[error(
        "the recording is of {recorded}, and the server is spoken with over {target}; name a server of the same transport"
    )]
    Transport {
        /// That of the recording.
        recorded: &'static str,
        /// That of the server.
        target: &'static str,
    },
}

/// Whether a recording can be played against a server, as far as can be told before.
pub fn playable(view: &View<'_>, stage: &Stage) -> Result<(), Unplayable> {
    let Some(first) = view.exchanges.first() else { return Err(Unplayable::Empty) };
    let over_stdio = stage.command.is_some();
    if (first.via == Via::Stdio) != over_stdio {
        let target = if over_stdio { Via::Stdio } else { Via::StreamableHttp };
        return Err(Unplayable::Transport { recorded: first.via.title(), target: target.title() });
    }
    Ok(())
}

/// A request of the server, by what tells it from others in any run: its method, and which of these it is.
pub(super) type Question = (String, usize);

/// One request as it is played.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Number of the exchange.
    pub(super) number: u32,
    /// Exchanges that were over before it began.
    pub(super) after: Vec<u32>,
    /// Of these, those that the client had ended by itself.
    pub(super) let_go: Vec<u32>,
    /// Exchanges of which at least the head had come.
    pub(super) after_head: Vec<u32>,
    /// The question of the server that it answers.
    pub(super) answers: Option<Question>,
    /// Channels, by the exchanges that opened them, with ids of requests there whose responses had come.
    pub(super) answered: Vec<(u32, Value)>,
    /// The id whose response ends its stream.
    pub(super) until: Option<Value>,
}

impl Part {
    /// What comes after everything: it waits for every response that was recorded.
    pub(super) fn last(view: &View<'_>) -> Self {
        let calls = view.calls.iter().filter(|call| !call.responses.is_empty());
        let on_line = |request: &Msg| Some((view.exchange_of(request).line()?, request.value["id"].clone()));
        let answered = calls.filter_map(|call| on_line(&view.messages[call.request])).collect();
        Self {
            number: 0,
            after: Vec::new(),
            let_go: Vec::new(),
            after_head: Vec::new(),
            answers: None,
            answered,
            until: None,
        }
    }
}

/// Everything that is played, in order.
pub(super) fn parts(view: &View<'_>) -> Vec<Part> {
    view.exchanges.iter().enumerate().map(|(index, exchange)| part(view, index, exchange)).collect()
}

fn part(view: &View<'_>, index: usize, exchange: &Exchange) -> Part {
    let before = || view.exchanges.iter().filter(|other| other.seq < exchange.seq);
    let over = |other: &&Exchange| other.end_seq.is_some_and(|end| end < exchange.seq);
    let numbers = |list: Vec<&Exchange>| list.into_iter().map(|other| other.number).collect();
    let own = view.messages_in(index).find(|msg| !msg.received());
    let responds = own.filter(|msg| msg.kind == Kind::Response);
    let responses = view.calls.iter().filter_map(|call| {
        let request = &view.messages[call.request];
        let came = call.responses.iter().any(|at| view.messages[*at].seq < exchange.seq);
        let line = view.exchange_of(request).line().filter(|line| Some(*line) == exchange.line())?;
        (came && request.seq < exchange.seq).then(|| (line, request.value["id"].clone()))
    });
    Part {
        number: exchange.number,
        after: numbers(before().filter(over).collect()),
        let_go: numbers(before().filter(over).filter(|other| other.end == Some(End::ClosedByUs)).collect()),
        after_head: numbers(
            before().filter(|other| other.response_seq.is_some_and(|head| head < exchange.seq)).collect(),
        ),
        answers: responds.and_then(|msg| question_of(view, msg)),
        answered: responses.collect(),
        until: own.filter(|msg| msg.kind == Kind::Request).map(|msg| msg.value["id"].clone()),
    }
}

/// The question that a response of the client answers.
fn question_of(view: &View<'_>, response: &Msg) -> Option<Question> {
    let calls: Vec<&Msg> = view.server_calls.iter().map(|call| &view.messages[call.request]).collect();
    let asked = calls.iter().rev().find(|msg| msg.seq < response.seq && msg.value["id"] == response.value["id"])?;
    let method = asked.method().unwrap_or_default().to_owned();
    let earlier = calls.iter().filter(|msg| msg.seq < asked.seq && msg.method() == Some(&method)).count();
    Some((method, earlier))
}

/// What was heard of the server so far: its requests and its responses.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Method and id of each request, in order.
    asked: Vec<(String, Value)>,
    /// The exchanges that brought responses, with the ids of these.
    answered: Vec<(u32, Value)>,
}

impl Heard {
    /// Notes a message that an exchange brought.
    pub(super) fn note(&mut self, exchange: u32, message: &Value) {
        for message in message.as_array().map_or(std::slice::from_ref(message), Vec::as_slice) {
            match (message["method"].as_str(), message.get("id")) {
                (Some(method), Some(id)) => self.asked.push((method.to_owned(), id.clone())),
                (None, Some(id)) => self.answered.push((exchange, id.clone())),
                _ => {}
            }
        }
    }

    /// Whether these responses came.
    pub(super) fn has(&self, answered: &[(u32, Value)]) -> bool {
        answered.iter().all(|one| self.answered.contains(one))
    }

    /// The id of a question, once it was asked.
    pub(super) fn id_of(&self, question: &Question) -> Option<Value> {
        self.asked.iter().filter(|(method, _)| *method == question.0).nth(question.1).map(|(_, id)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn each_part_waits_for_what_was_known_when_it_was_sent() {
        let question = json!({"jsonrpc": "2.0", "id": "s1", "method": "roots/list"});
        let start = Builder::new().initialize("2025-06-18").request("GET", &[], None).stream().sse(None, &question);
        let events = start.post(&json!({"jsonrpc": "2.0", "id": "s1", "result": {"roots": []}})).answer(202, &[], "");
        let events = events.finish();
        let view = View::new(&events);
        let parts = parts(&view);
        assert_eq!(parts.len(), 4);
        assert_eq!((parts[3].after.as_slice(), parts[3].after_head.as_slice()), (&[1, 2][..], &[1, 2, 3][..]));
        assert_eq!(parts[3].answers, Some(("roots/list".to_owned(), 0)));
        let mut heard = Heard::default();
        assert_eq!(heard.id_of(&("roots/list".to_owned(), 0)), None);
        heard.note(1, &json!({"jsonrpc": "2.0", "id": 9, "method": "roots/list"}));
        assert_eq!(heard.id_of(&("roots/list".to_owned(), 0)), Some(json!(9)));
    }
}
