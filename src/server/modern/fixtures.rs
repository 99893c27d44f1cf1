//! The fixture tools that only this era has: those that need several rounds, those that become tasks, and those that show
//! one rule each.

use std::time::Duration;

use serde_json::{Value, json};

use super::capabilities::Need;
use super::running::Running;
use super::tasks;
use crate::model::{Members as _, Revision};
use crate::server::definitions::{PLAIN, Tool, nothing, object};
use crate::server::peer::Call;
use crate::server::reply::RpcError;
use crate::server::schema::{number_argument, text_argument};
use crate::server::tools::{content, text};

/// How long the jobs work that do nothing else.
const JOB: Duration = Duration::from_millis(500);
/// How many seconds `slow_compute` may work.
const MOST_SECONDS: u64 = 24 * 60 * 60;
/// An error of the server's own, outside of what JSON-RPC reserves.
const JOB_FAILED: i64 = 1001;

const MODERN: Tool = Tool { since: Revision::V2026_07_28, ..PLAIN };
const SPEAKS: Tool = Tool { streams: true, speaks: true, ..MODERN };
const SEALED: Tool = Tool { sealed: true, ..MODERN };

/// All of them, in the order they are listed.
pub(crate) static TOOLS: &[Tool] = &[
    Tool {
        name: "test_header_params",
        description: "Has arguments that are mirrored into headers",
        input: mirrored,
        ..MODERN
    },
    Tool { name: "test_logging_tool", description: "Sends log messages, if the call wants any", ..SPEAKS },
    Tool { name: "test_missing_capability", description: "Needs sampling", needs: &[Need::Sampling], ..MODERN },
    Tool {
        name: "test_streaming_elicitation",
        description: "Reports, then asks the user",
        needs: &[Need::Form],
        ..SPEAKS
    },
    Tool { name: "test_input_required_result_elicitation", description: "Asks the user for a name", ..MODERN },
    Tool {
        name: "test_input_required_result_sampling",
        description: "Asks the client's model for a capital",
        ..MODERN
    },
    Tool { name: "test_input_required_result_list_roots", description: "Asks the client for its roots", ..MODERN },
    Tool { name: "test_input_required_result_request_state", description: "Asks once, and keeps a state", ..SEALED },
    Tool { name: "test_input_required_result_multiple_inputs", description: "Asks for three things at once", ..SEALED },
    Tool { name: "test_input_required_result_multi_round", description: "Asks in two rounds", ..SEALED },
    Tool {
        name: "test_input_required_result_tampered_state",
        description: "Refuses a state that was changed",
        ..SEALED
    },
    Tool {
        name: "test_input_required_result_capabilities",
        description: "Asks for what the client declares",
        ..MODERN
    },
    Tool { name: "greet", description: "Greets somebody", input: name, ..MODERN },
    Tool {
        name: "slow_compute",
        description: "Computes for so many seconds, as a task if it may",
        input: seconds,
        ..MODERN
    },
    Tool {
        name: "failing_job",
        description: "A task that ends with an error of the tool",
        needs: &[Need::Tasks],
        ..MODERN
    },
    Tool { name: "protocol_error_job", description: "A task that fails", ..MODERN },
    Tool {
        name: "confirm_delete",
        description: "Deletes a file that is not there, if the user agrees",
        input: filename,
        read_only: false,
        ..MODERN
    },
    Tool { name: "multi_input", description: "A task that asks the user for two things at once", ..MODERN },
    Tool { name: "test_tool_with_task", description: "Asks the user first, and then becomes a task", ..MODERN },
];

fn mirrored() -> Value {
    let place = json!({"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}});
    object(
        &json!({
            "region": {"type": "string", "description": "What to return", "x-mcp-header": "Region"},
            "count": {"type": "integer", "minimum": 0, "maximum": 1_000_000, "x-mcp-header": "Count"},
            "loud": {"type": "boolean", "x-mcp-header": "Loud"},
            "place": place,
        }),
        &["region"],
    )
}

fn name() -> Value {
    object(&json!({"name": {"type": "string", "description": "Whom to greet"}}), &["name"])
}

fn seconds() -> Value {
    object(
        &json!({
            "seconds": {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS},
            "label": {"type": "string", "description": "What the computation is called"},
        }),
        &["seconds"],
    )
}

fn filename() -> Value {
    object(&json!({"filename": {"type": "string", "description": "What to delete"}}), &["filename"])
}

/// A form with one required field.
fn form(field: &str, kind: &str) -> Value {
    let mut form = nothing();
    form["properties"][field] = json!({"type": kind});
    form["required"] = json!([field]);
    form
}

/// Asks the user to fill in one field; `None` where they do not want to.
async fn field(call: &Call, key: &str, message: &str, (field, kind): (&str, &str)) -> Result<Option<Value>, String> {
    let params = json!({"mode": "form", "message": message, "requestedSchema": form(field, kind)});
    let answer = call.ask(key, "elicitation/create", Some(params)).await?;
    Ok((answer.at("action") == "accept").then(|| answer.at("content").at(field).clone()))
}

/// Asks the client's model.
async fn sample(call: &Call, key: &str, prompt: &str, most: u64) -> Result<String, String> {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    let params = json!({"messages": [message], "maxTokens": most});
    let answer = call.ask(key, "sampling/createMessage", Some(params)).await?;
    Ok(answer.at("content").at("text").as_str().unwrap_or("no text").to_owned())
}

async fn roots(call: &Call) -> Result<String, String> {
    let answer = call.ask("client_roots", "roots/list", None).await?;
    let roots = answer.at("roots").as_array().cloned().unwrap_or_default();
    let uris: Vec<&str> = roots.iter().filter_map(|root| root.at("uri").as_str()).collect();
    Ok(format!("{} roots: {}", roots.len(), uris.join(", ")))
}

/// A text in quotes no more.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn said(words: impl Into<String>) -> Value {
    content([text(words)])
}

const DECLINED: &str = "The user does not want to answer";

/// Runs one of the tools; others say nothing.
pub(crate) async fn run(call: &Call, name: &str, arguments: &Value) -> Result<Value, String> {
    let Some(running) = call.modern.as_deref() else { return Err("The tool needs a newer revision".to_owned()) };
    match name {
        "test_header_params" => Ok(said(format!("Mirrored: {}", text_argument(arguments, "region")?))),
        "test_logging_tool" => {
            call.log("info", &json!("The tool has begun"));
            call.log("debug", &json!("A detail for those who asked for it"));
            call.log("warning", &json!("The tool is about to end"));
            Ok(said("Logged what was asked for"))
        }
        "test_missing_capability" => Ok(said("The client declares sampling")),
        "test_streaming_elicitation" => {
            call.progress(0, 1, "About to ask");
            call.log("info", &json!("About to ask"));
            let answer = field(call, "confirmation", "Please confirm", ("ok", "boolean")).await?;
            Ok(said(answer.map_or_else(|| DECLINED.to_owned(), |answer| format!("Confirmed: {answer}"))))
        }
        "greet" => Ok(said(format!("Hello, {}!", text_argument(arguments, "name")?))),
        "slow_compute"
        | "failing_job"
        | "protocol_error_job"
        | "confirm_delete"
        | "multi_input"
        | "test_tool_with_task" => job(call, running, name, arguments).await,
        _ => rounds(call, running, name).await,
    }
}

/// The tools that need several rounds.
async fn rounds(call: &Call, running: &Running, name: &str) -> Result<Value, String> {
    match name {
        "test_input_required_result_elicitation" => {
            let user = field(call, "user_name", "What is your name?", ("name", "string")).await?;
            Ok(said(user.map_or_else(|| DECLINED.to_owned(), |user| format!("Hello, {}!", plain(&user)))))
        }
        "test_input_required_result_sampling" => {
            let prompt = "What is the capital of France?";
            Ok(said(format!("The model says: {}", sample(call, "capital_question", prompt, 100).await?)))
        }
        "test_input_required_result_list_roots" => Ok(said(format!("The client has {}", roots(call).await?))),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            let answer = field(call, "confirm", "Please confirm", ("ok", "boolean")).await?;
            Ok(said(answer.map_or_else(|| DECLINED.to_owned(), |answer| format!("state-ok, confirmed: {answer}"))))
        }
        "test_input_required_result_multiple_inputs" => {
            let (user, greeting, roots) = tokio::join!(
                field(call, "user_name", "What is your name?", ("name", "string")),
                sample(call, "greeting", "Write a short greeting", 50),
                roots(call),
            );
            let user = user?.map_or_else(|| DECLINED.to_owned(), |user| plain(&user));
            Ok(said(format!("{}, {user}; {}", greeting?, roots?)))
        }
        "test_input_required_result_multi_round" => {
            let user = field(call, "step1", "Step 1: What is your name?", ("name", "string")).await?;
            let Some(user) = user else { return Ok(said(DECLINED)) };
            let color = field(call, "step2", "Step 2: What is your favorite color?", ("color", "string")).await?;
            let Some(color) = color else { return Ok(said(DECLINED)) };
            Ok(said(format!("{} likes {}", plain(&user), plain(&color))))
        }
        "test_input_required_result_capabilities" => {
            let by_form = async {
                if !running.declares(Need::Form) {
                    return Ok(None);
                }
                let user = field(call, "user_name", "What is your name?", ("name", "string")).await?;
                Ok::<_, String>(Some(user.map_or_else(|| DECLINED.to_owned(), |user| plain(&user))))
            };
            let by_model = async {
                if !running.declares(Need::Sampling) {
                    return Ok(None);
                }
                sample(call, "capital_question", "What is the capital of France?", 100).await.map(Some)
            };
            let (form, model) = tokio::join!(by_form, by_model);
            let answers: Vec<String> = [form?, model?].into_iter().flatten().collect();
            Ok(said(format!("Answers: {}", answers.join(", "))))
        }
        _ => Ok(said("")),
    }
}

/// Works until so long after the call arrived, or the task began, so that a clock that is moved at once moves it too.
async fn worked(call: &Call, long: Duration) {
    call.sleep_for((call.arrived + long).saturating_sub(call.elapsed())).await;
}

/// The tools that may become tasks. Those that do are run anew inside of the task.
async fn job(call: &Call, running: &Running, name: &str, arguments: &Value) -> Result<Value, String> {
    let task = |arguments: &Value| running.may_become_task().then(|| tasks::begin(call, running, name, arguments));
    match name {
        "slow_compute" => {
            let seconds = number_argument(arguments, "seconds", MOST_SECONDS)?;
            let label = arguments.member("label").map_or_else(|| "computation".to_owned(), plain);
            if let Some(task) = (seconds > 0).then(|| task(arguments)).flatten() {
                return Ok(task);
            }
            worked(call, Duration::from_secs(seconds)).await;
            Ok(said(format!("{label} took {seconds} s")))
        }
        "failing_job" => {
            if let Some(task) = task(arguments) {
                return Ok(task);
            }
            worked(call, JOB).await;
            Err("The job has failed, as it always does".to_owned())
        }
        "protocol_error_job" => {
            if let Some(task) = task(arguments) {
                return Ok(task);
            }
            worked(call, JOB).await;
            running.fail(RpcError::new(JOB_FAILED, "The job could not be run, as always")).await;
            Ok(said(""))
        }
        "confirm_delete" => {
            let file = text_argument(arguments, "filename")?;
            if let Some(task) = task(arguments) {
                return Ok(task);
            }
            let agreed = field(call, "confirm", &format!("Delete {file}?"), ("confirm", "boolean")).await?;
            let done = agreed == Some(json!(true));
            Ok(said(if done { format!("Deleted {file}") } else { format!("Left {file} alone") }))
        }
        "multi_input" => {
            if let Some(task) = task(arguments) {
                return Ok(task);
            }
            let (user, sure) = tokio::join!(
                field(call, "name", "What is your name?", ("name", "string")),
                field(call, "confirm", "Is that your name?", ("confirm", "boolean")),
            );
            let told = |answer: Option<Value>| answer.map_or_else(|| DECLINED.to_owned(), |answer| plain(&answer));
            Ok(said(format!("Name: {}, confirmed: {}", told(user?), told(sure?))))
        }
        _ => {
            // What the user said is handed to the task as its argument.
            let user = if running.in_task() {
                arguments.member("name").cloned()
            } else {
                field(call, "user_name", "What is your name?", ("name", "string")).await?
            };
            let Some(user) = user else { return Ok(said(DECLINED)) };
            if let Some(task) = task(&json!({"name": user})) {
                return Ok(task);
            }
            worked(call, JOB).await;
            Ok(said(format!("Hello, {}! The task is done.", plain(&user))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_arguments_are_few_and_unlike() {
        let text = mirrored().to_string();
        for name in ["Region", "Count", "Loud", "City"] {
            assert_eq!(text.matches(&format!("\"x-mcp-header\":\"{name}\"")).count(), 1, "{name}");
        }
        assert!(TOOLS.iter().all(|tool| tool.since == Revision::V2026_07_28));
    }
}
