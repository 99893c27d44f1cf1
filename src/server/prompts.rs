//! The fixture prompts. It must not know streams or sessions beyond their revision.

use serde_json::{Value, json};

use super::dispatch::App;
use super::fault::Rule;
use super::peer::Call;
use super::reply::{Outcome, RpcError};
use super::schema::{page, trim_all};
use super::session::Session;
use super::tools::{PNG, WAV};
use crate::model::{Members as _, Revision};

/// The prompt with a sound in it, which the oldest revision does not know.
const SOUND: &str = "test_prompt_with_audio";

/// The prompt that asks the user first.
const ASKING: &str = "test_input_required_result_prompt";

fn catalogue() -> Vec<Value> {
    let argument = |name: &str| json!({"name": name, "description": format!("Value of {name}"), "required": true});
    vec![
        json!({"name": "test_simple_prompt", "title": "Simple prompt", "description": "A prompt without arguments"}),
        json!({
            "name": "test_prompt_with_arguments",
            "title": "Prompt with arguments",
            "description": "A prompt that repeats its two arguments",
            "arguments": [argument("arg1"), argument("arg2")],
        }),
        json!({
            "name": "test_prompt_with_embedded_resource",
            "title": "Prompt with a resource",
            "description": "A prompt that embeds a resource",
            "arguments": [argument("resourceUri")],
        }),
        json!({"name": "test_prompt_with_image", "title": "Prompt with an image", "description": "A prompt with an image"}),
        json!({"name": "test_prompt_with_audio", "title": "Prompt with a sound", "description": "A prompt with a sound"}),
        json!({"name": ASKING, "title": "Prompt that asks", "description": "A prompt that asks the user for its context"}),
    ]
}

/// `prompts/list`.
pub(crate) fn list(app: &App, session: &Session, params: &Value) -> Outcome {
    let mut items = catalogue();
    items.retain(|prompt| session.revision.facts().audio || prompt.at("name") != SOUND);
    items.retain(|prompt| session.revision >= Revision::V2026_07_28 || prompt.at("name") != ASKING);
    if session.marked("prompts") {
        items.push(json!({"name": "test_added_prompt", "description": "Was not there at the beginning"}));
    }
    trim_all(&mut items, session.revision);
    page(app, "prompts/list", params, "prompts", items, usize::MAX / 2)
}

/// The names of a prompt's arguments, or `None` if there is no such prompt.
pub(crate) fn arguments_of(name: &str) -> Option<Vec<String>> {
    let prompt = catalogue().into_iter().find(|prompt| prompt.at("name") == name)?;
    let arguments = prompt.at("arguments").as_array().cloned().unwrap_or_default();
    Some(arguments.iter().filter_map(|argument| argument.at("name").as_str().map(str::to_owned)).collect())
}

/// `prompts/get`.
pub(crate) async fn get(call: &Call, params: &Value) -> Outcome {
    let app = &*call.app;
    let name = params.member("name").and_then(Value::as_str).ok_or_else(|| RpcError::params("name is missing"))?;
    let arguments = match params.member("arguments") {
        None => json!({}),
        Some(Value::Object(members))
            if members.values().all(Value::is_string) || !app.faults.holds(Rule::PromptArgumentsText) =>
        {
            json!(members)
        }
        Some(_) => return Err(RpcError::params("arguments has to be an object of strings")),
    };
    let known = arguments_of(name)
        .filter(|_| name != ASKING || call.session.revision >= Revision::V2026_07_28)
        .filter(|_| name != SOUND || call.session.revision.facts().audio);
    let Some(needed) = known else {
        if app.faults.holds(Rule::UnknownPromptRefused) {
            return Err(RpcError::params(format!("Unknown prompt: {name}")));
        }
        return Ok(json!({"messages": []}));
    };
    let missing = needed.iter().find(|needed| arguments.get(needed.as_str()).is_none());
    if let Some(missing) = missing
        && app.faults.holds(Rule::PromptArgumentsRequired)
    {
        return Err(RpcError::params(format!("Missing required argument: {missing}")));
    }
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let messages = match name {
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({
                "uri": argument("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            });
            vec![
                json!({"role": "user", "content": {"type": "resource", "resource": resource}}),
                text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            json!({"role": "user", "content": {"type": "image", "data": PNG, "mimeType": "image/png"}}),
            text("Please analyze the image above."),
        ],
        "test_prompt_with_audio" => vec![
            json!({"role": "user", "content": {"type": "audio", "data": WAV, "mimeType": "audio/wav"}}),
            text("Please describe the sound above."),
        ],
        ASKING => vec![asking(call).await],
        _ => vec![text("This is a simple prompt for testing.")],
    };
    Ok(json!({"messages": messages}))
}

/// The message of the prompt that asks.
async fn asking(call: &Call) -> Value {
    let form = json!({"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]});
    let message = "What context should the prompt use?";
    let params = json!({"mode": "form", "message": message, "requestedSchema": form});
    match call.ask("user_context", "elicitation/create", Some(params)).await {
        Ok(answer) if answer.at("action") == "accept" => {
            let context = answer.at("content").at("context").as_str().unwrap_or_default();
            text(&format!("Prompt with context: {context}"))
        }
        Ok(_) => text("Prompt without a context, as the user gave none"),
        Err(why) => text(&format!("Prompt without a context: {why}")),
    }
}

fn text(text: &str) -> Value {
    json!({"role": "user", "content": {"type": "text", "text": text}})
}
