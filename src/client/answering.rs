//! What a client answers when the server asks: what the scenario says, or else what its profile does.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::exchange::Options;
use super::sim::Sim;
use crate::profile::Answer;
use crate::scenario::Answers;
use crate::transcript::EventKind;
use crate::wire::MAX_ASKED;

impl Sim {
    /// Answers a request of the server in the background, unless it has asked too often.
    pub(super) fn reply_to(self: &Arc<Self>, request: &Value) {
        let asked = {
            let mut state = self.state();
            state.asked += 1;
            state.asked
        };
        if asked <= MAX_ASKED {
            let (sim, request) = (Arc::clone(self), request.clone());
            tokio::spawn(async move { sim.answer(&request).await });
        } else if asked == MAX_ASKED + 1 {
            let text = format!("the server asked more than {MAX_ASKED} times; the rest is left unanswered");
            self.record(EventKind::Note { text });
        }
    }

    /// Answers a request of the server as the scenario says, or else as the profile does.
    fn answer<'a>(self: &'a Arc<Self>, request: &'a Value) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
            let answers = self.state().answers.clone();
            let answer = self.answer_to(&answers, method);
            let mut message = serde_json::Map::new();
            message.insert("jsonrpc".to_owned(), Value::from("2.0"));
            message.insert("id".to_owned(), request.get("id").cloned().unwrap_or_default());
            match answer {
                Answer::Result(result) => message.insert("result".to_owned(), result),
                Answer::Error { code, message: text } => {
                    message.insert("error".to_owned(), serde_json::json!({"code": code, "message": text}))
                }
            };
            let request = self.post(&Value::Object(message), None, None);
            let within = self.target.patience;
            self.exchange(request, Options { within, ..Options::default() }).await;
        })
    }

    /// The answer to a request of the server, however it came.
    pub(super) fn answer_to(&self, answers: &Answers, method: &str) -> Answer {
        let said = match method {
            "sampling/createMessage" => answers.sampling.clone(),
            "elicitation/create" => answers.elicitation.clone(),
            "roots/list" => answers.roots.clone(),
            _ => None,
        };
        let known = &self.profile.answers.value;
        said.map_or_else(
            || match method {
                "ping" => known.ping.clone(),
                "sampling/createMessage" => known.sampling.clone(),
                "elicitation/create" => known.elicitation.clone(),
                "roots/list" => known.roots.clone(),
                _ => known.unknown.clone(),
            },
            as_answer,
        )
    }
}

/// What a scenario says as an answer: a result, or the one member `error` with a code and a message.
fn as_answer(said: Value) -> Answer {
    let error = said.get("error").filter(|_| said.as_object().is_some_and(|members| members.len() == 1));
    match error.map(|error| (error["code"].as_i64(), error["message"].as_str())) {
        Some((Some(code), Some(message))) => Answer::Error { code, message: message.to_owned() },
        _ => Answer::Result(said),
    }
}
