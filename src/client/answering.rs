//! What a client answers when the server asks: what the scenario says, or else what its profile does.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::compose;
use super::exchange::Options;
use super::sim::Sim;
use crate::model::Members as _;
use crate::profile::Answer;
use crate::scenario::Answers;
use crate::transcript::EventKind;
use crate::wire::MAX_ASKED;

/// Stands for the form as it was given, with the default of each field in it.
const DEFAULTS: &str = "{defaults}";

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
            let method = request.member("method").and_then(Value::as_str).unwrap_or_default();
            let answers = self.state().answers.clone();
            let answer = self.answer_to(&answers, method, request.at("params"));
            let (member, value) = match answer {
                Answer::Result(result) => ("result", result),
                Answer::Error { code, message } => ("error", serde_json::json!({"code": code, "message": message})),
            };
            let id = request.member("id").cloned().unwrap_or_default();
            let message = compose::response(self.profile.key_order.value, id, member, value);
            let request = self.post(&message, None, None);
            let within = self.target.patience;
            self.exchange(request, Options { within, ..Options::default() }).await;
        })
    }

    /// The answer to a request of the server, however it came.
    pub(super) fn answer_to(&self, answers: &Answers, method: &str, params: &Value) -> Answer {
        match self.said_to(answers, method) {
            Answer::Result(mut result) if result.at("content") == DEFAULTS => {
                result["content"] = defaults_of(params.at("requestedSchema"));
                Answer::Result(result)
            }
            answer => answer,
        }
    }

    fn said_to(&self, answers: &Answers, method: &str) -> Answer {
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
    let error = said.member("error").filter(|_| said.as_object().is_some_and(|members| members.len() == 1));
    match error.map(|error| (error.at("code").as_i64(), error.at("message").as_str())) {
        Some((Some(code), Some(message))) => Answer::Error { code, message: message.to_owned() },
        _ => Answer::Result(said),
    }
}

/// The fields of a form that have a default, with it (2025-11-25 client/elicitation#requested-schema).
fn defaults_of(schema: &Value) -> Value {
    let fields = schema.at("properties").as_object().into_iter().flatten();
    let filled = fields.filter_map(|(name, field)| Some((name.clone(), field.member("default")?.clone())));
    Value::Object(filled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_that_nobody_touched_has_its_defaults() {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string", "default": "Ada"},
            "free": {"type": "string"},
            "verified": {"type": "boolean", "default": false},
        }});
        assert_eq!(defaults_of(&schema), json!({"name": "Ada", "verified": false}));
        assert_eq!(defaults_of(&Value::Null), json!({}));
    }
}
