//! Faults of requests that need several rounds.

use serde_json::{Value, json};

use super::all::catalogue;
use super::modern::{CAPABILITIES, answer, each_question, of_type, refuse_if, tool};
use crate::model::Members as _;
use crate::server::fault::{AskedOf, Fault, How, Rule};

/// Whether an answer of the user has this action.
fn acts(ask: &AskedOf<'_>, action: &str) -> bool {
    let all = ask.param("inputResponses").as_object();
    all.into_iter().flatten().any(|(_, one)| one.at("action") == action)
}

/// The key that the tool which asks for a name uses.
const NAME: &str = "user_name";
const ASKS_NAME: &str = "test_input_required_result_elicitation";

pub(super) static FAULTS: &[Fault] = catalogue! {
    "mrtr.of-completion" breaks ["patterns.mrtr.only-three-methods", "shape.result"]
        Modern(|message, context| if context.method == Some("completion/complete") && message.member("result").is_some() {
            let asked = json!({"who": {"method": "roots/list", "params": {}}});
            answer(message, json!({"resultType": "input_required", "inputRequests": asked}));
        }) "A method asks back that must not";
    "mrtr.nothing-asked" breaks ["patterns.mrtr.at-least-one-member"]
        Modern(|message, context| if tool(context) == Some("test_input_required_result_sampling") {
            of_type(message, "input_required", |result| { result.shift_remove("inputRequests"); });
        }) "Input is required, but not said which";
    "mrtr.asks-ping" breaks ["patterns.mrtr.input-request-kinds", "patterns.mrtr.retry-completes", "shape.result"]
        Modern(|message, _| each_question(message, |question| if question.at("method") == "roots/list" { question["method"] = json!("ping") }))
        "A question is of a kind that does not exist";
    "mrtr.enveloped" breaks ["patterns.mrtr.input-request-no-envelope"]
        Modern(|message, _| each_question(message, |question| question["jsonrpc"] = json!("2.0")))
        "Questions are whole JSON-RPC messages";
    "mrtr.undeclared" breaks ["base.no-undeclared-capability", "patterns.mrtr.capabilities-respected", "features.elicitation.server-only-if-declared"]
        Asked(|ask| {
            if ask.calls("test_elicitation") && ask.meta(CAPABILITIES).is_object() {
                ask.declare("elicitation");
            }
            None
        }) "A client is asked for what it did not declare";
    "mrtr.state-object" breaks ["patterns.mrtr.state-is-string", "shape.result"]
        Modern(|message, _| of_type(message, "input_required", |result| {
            if let Some(state) = result.get_mut("requestState") {
                *state = json!({"sealed": state.clone()});
            }
        })) "requestState is an object";
    "mrtr.key-reused" breaks ["patterns.mrtr.keys-unique", "patterns.mrtr.retry-completes"]
        Modern(|message, _| of_type(message, "input_required", |result| {
            if let Some(asked) = result.get_mut("inputRequests").and_then(Value::as_object_mut)
                && asked.shift_remove("step2").is_some()
            {
                asked.insert("step1".to_owned(), json!({"method": "roots/list", "params": {}}));
            }
        })) "A key that was answered stands for another question";
    "mrtr.retry-fails" breaks ["patterns.mrtr.retry-completes", "features.tools.execution-error"]
        Asked(|ask| refuse_if(ask.calls("test_input_required_result_sampling") && ask.param("inputResponses").is_object(), 200, -32603))
        "A request that comes back with its answers is an internal error";
    "mrtr.connection-bound" breaks ["patterns.mrtr.retry-independent", "patterns.mrtr.retry-completes"]
        Asked(|ask| {
            if !ask.calls(ASKS_NAME) {
                return None;
            }
            let here = json!(ask.connection);
            if ask.param("inputResponses").is_null() {
                ask.notes.put("asked", here);
                return None;
            }
            refuse_if(ask.notes.get("asked").is_some_and(|before| before != here), 200, -32602)
        }) "Answers are taken only on the connection of the question";
    "mrtr.extra-refused" breaks ["patterns.mrtr.extra-responses-ignored"]
        Asked(|ask| refuse_if(ask.param("inputResponses").member("nobody").is_some() && ask.param("inputResponses").get(NAME).is_some(), 200, -32602))
        "An answer that nobody asked for is an error";
    "mrtr.missing-refused" breaks ["patterns.mrtr.missing-responses-rerequested"]
        Asked(|ask| refuse_if(ask.param("inputResponses").as_object().is_some_and(serde_json::Map::is_empty), 200, -32602))
        "An answer that is missing is an error";
    "mrtr.any-form" breaks ["patterns.mrtr.invalid-responses"]
        Asked(|ask| {
            if ask.param("inputResponses")[NAME].is_string() {
                ask.value["params"]["inputResponses"][NAME] = json!({"action": "accept", "content": {"name": "somebody"}});
            }
            None
        }) "An answer that has no form is taken";
    "mrtr.content-unchecked" breaks ["features.elicitation.validate-response"]
        Asked(|ask| {
            if ask.param("inputResponses")[NAME].at("content").at("name").is_number() {
                ask.value["params"]["inputResponses"][NAME]["content"] = json!({"name": "somebody"});
            }
            None
        }) "Content that does not fit the form is taken";
    "mrtr.decline-fails" breaks ["patterns.mrtr.declined-input", "features.elicitation.decline-handled"]
        Asked(|ask| refuse_if(acts(ask, "decline"), 200, -32603)) "A user who declines makes an internal error";
    "mrtr.state-unverified" breaks ["patterns.mrtr.state-tamper-rejected", "patterns.mrtr.state-request-bound", "patterns.mrtr.state-principal-bound", "patterns.mrtr.state-expires"]
        Rule(Rule::StateVerified) "A state that the server never gave is taken for none";
    "mrtr.state-of-any-request" breaks ["patterns.mrtr.state-request-bound"]
        Rule(Rule::StateOfRequest) "The state of one request is good for another";
    "mrtr.state-of-anybody" breaks ["patterns.mrtr.state-principal-bound"]
        Rule(Rule::StateOfPrincipal) "The state of one user is good for another";
    "mrtr.state-for-ever" breaks ["patterns.mrtr.state-expires"]
        Rule(Rule::StateExpires) "A state is good for ever";
    "mrtr.elicitation-id" breaks ["features.elicitation.complete-notification-removed"]
        Modern(|message, _| each_question(message, |question| if question.at("method") == "elicitation/create" {
            question["params"]["elicitationId"] = json!("e1");
        })) "A question has an id to tell its end by";
};
