//! The fixture tools: their catalogue and what they do. They must not know HTTP or how messages travel.

use serde_json::{Value, json};

use super::dispatch::App;
use super::fault::Rule;
use super::modern::{Event, fixtures};
use super::peer::Call;
use super::reply::{Outcome, RpcError, code};
use super::resources::WATCHED;
use super::schema::{number_argument, page_of, text_argument, trim_all};
use super::session::Session;
use super::{definitions, reply};
use crate::model::{Members as _, Revision};

/// A red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound of no length.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";
/// How long `test_slow` works between two reports at least.
const REPORT_MS: u64 = 50;
/// How many reports `test_slow` sends at most.
const MAX_TICKS: u64 = 10;
/// How long `test_reconnection` leaves its client alone.
const AWAY_MS: u64 = 100;

/// A name that the specification allows, and some clients do not take.
const LONG_NAME: &str = "test_audio_content_as_a_wave_file_of_no_length_that_every_player_on_earth_can_play";

/// The mark of a session in which the tools have changed.
pub(crate) const CHANGED: &str = "tools";

/// The mark of a session whose client has answered what a fault asks first.
const ROOTS_KNOWN: &str = "roots/list";

/// The tool that is listed last by a server that refuses tools it was not asked to list.
const LISTED_LAST: &str = "test_audio_content";

/// `tools/list`.
pub(crate) fn list(app: &App, session: &Session, params: &Value) -> Outcome {
    let strict = app.faults.holds(Rule::FeaturesByRevision);
    let fits = |tool: &definitions::Tool| tool.fits(session.revision, strict);
    let entries = definitions::all().zip(definitions::ENTRIES.iter());
    let added = session.marked(CHANGED).then(|| definitions::ADDED.definition());
    let mut items: Vec<&Value> = entries.filter(|(tool, _)| fits(tool)).map(|(_, entry)| entry).chain(&added).collect();
    let mut size = items.len();
    if !app.faults.holds(Rule::UnlistedToolsServed) && session.revision < Revision::V2026_07_28 {
        // The last page holds one tool.
        let (kept, last): (Vec<&Value>, Vec<&Value>) = items.iter().partition(|tool| tool.at("name") != LISTED_LAST);
        size = kept.len();
        items = kept.into_iter().chain(last).collect();
        if params.member("cursor").is_some() {
            session.mark(LISTED_LAST);
        }
    }
    page_of(app, "tools/list", params, ("tools", items.len(), size), |range| {
        let mut shown: Vec<Value> = items[range].iter().map(|item| (*item).clone()).collect();
        for item in &mut shown {
            if let Some(name) = item.at("name").as_str().and_then(|name| renamed(app, session, name)) {
                item["name"] = json!(name);
            }
        }
        trim_all(&mut shown, session.revision);
        shown
    })
}

/// The name that a fault gives a tool in place of its own.
fn renamed(app: &App, session: &Session, name: &str) -> Option<&'static str> {
    match name {
        "test_echo" if session.marked(CHANGED) && !app.faults.holds(Rule::ToolNamesKept) => Some("test_echo_again"),
        LISTED_LAST if !app.faults.holds(Rule::ToolNamesShort) => Some(LONG_NAME),
        _ => None,
    }
}

/// Whether a call of this tool is refused because no page with it was fetched.
fn is_unlisted(call: &Call, name: &str) -> bool {
    let strict = !call.app.faults.holds(Rule::UnlistedToolsServed);
    strict && name == LISTED_LAST && call.session.revision < Revision::V2026_07_28 && !call.session.marked(LISTED_LAST)
}

/// Whether the call wants a stream, because it may say something before its result.
pub(crate) fn streams(app: &App, request: &Value) -> bool {
    let name = request.member("params").and_then(|params| params.member("name")).and_then(Value::as_str);
    request.member("method").and_then(Value::as_str) == Some("tools/call")
        && (asks_for_roots(app) || name.and_then(definitions::find).is_some_and(|tool| tool.streams))
}

/// Whether the tool that a call names only reads; `None` where there is no such tool.
pub(crate) fn read_only(request: &Value) -> Option<bool> {
    let name = request.pointer("/params/name").and_then(Value::as_str)?;
    definitions::find(name).map(|tool| tool.read_only)
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    // Taken over, not copied, as `json!` would: it may be large.
    let mut block = json!({"type": "text"});
    block["text"] = Value::String(text.into());
    block
}

pub(crate) fn content(blocks: impl Into<Vec<Value>>) -> Value {
    let mut result = json!({});
    result["content"] = Value::Array(blocks.into());
    result
}

fn embedded(uri: &str, mime: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}})
}

/// What came of a tool, as a result: what goes wrong inside a tool is told to the model, not to the protocol.
pub(crate) fn told(outcome: Result<Value, String>) -> Value {
    outcome.unwrap_or_else(|message| json!({"content": [text(message)], "isError": true}))
}

/// Whether a fault asks clients for their roots before it serves them.
pub(crate) fn asks_for_roots(app: &App) -> bool {
    !app.faults.holds(Rule::RootsRefusable) || !app.faults.holds(Rule::RootsRefusedAnyhow)
}

/// Why such a server does not serve a client that did not declare roots: it gave none when it was asked.
async fn without_roots(call: &Call) -> Option<RpcError> {
    let declared = call.session.capabilities.member("roots").is_some_and(Value::is_object);
    let asks = asks_for_roots(&call.app) && call.modern.is_none() && call.stream.is_some();
    if declared || !asks || call.session.marked(ROOTS_KNOWN) {
        return None;
    }
    let answer = call.put("roots/list", None).await.unwrap_or_default();
    let none = answer.at("error").at("code") == code::METHOD_NOT_FOUND && call.app.faults.holds(Rule::RootsRefusable);
    if answer.member("result").is_none() && !none {
        return Some(RpcError::new(code::INTERNAL, "The roots of the client are not known"));
    }
    call.session.mark(ROOTS_KNOWN);
    None
}

/// `tools/call`.
pub(crate) async fn call(call: &Call, params: &Value) -> Outcome {
    if let Some(refusal) = without_roots(call).await {
        return Err(refusal);
    }
    let holds = |rule| call.app.faults.holds(rule);
    let empty = json!({});
    let arguments = params.member("arguments").unwrap_or(&empty);
    let name = match params.member("name").and_then(Value::as_str) {
        Some(name) if is_unlisted(call, name) => return Err(RpcError::params(format!("Unknown tool: {name}"))),
        Some(name) if arguments.is_object() => known(call, name)?,
        _ if !holds(Rule::MalformedCallRefused) => return Ok(content([])),
        Some(_) => return Err(RpcError::params("arguments has to be an object")),
        None => return Err(RpcError::params("name is missing")),
    };
    if params.member("task").is_some() && call.modern.is_none() {
        if !holds(Rule::TaskStatusSilent) {
            call.app.announce(&call.session, "notifications/tasks/status", Some(&task(true)));
        }
        if !holds(Rule::TaskParamIgnored) {
            return Ok(json!({"task": task(false)}));
        }
    }
    if name == definitions::REQUIRED && call.can_open_pages() {
        return Err(page_required(call));
    }
    match run(call, name, arguments).await {
        Ok(result) => Ok(result),
        Err(_) if name == "test_echo" && !holds(Rule::ToolArgumentsChecked) => Ok(content([text("")])),
        Err(message) if call.app.faults.holds(Rule::ToolErrorsAreResults) => Ok(told(Err(message))),
        Err(message) => Err(reply::RpcError::new(code::INTERNAL, message)),
    }
}

/// The name of a tool that this session has, or the refusal of another one.
fn known<'n>(call: &Call, name: &'n str) -> Result<&'n str, RpcError> {
    let holds = |rule| call.app.faults.holds(rule);
    let strict = holds(Rule::FeaturesByRevision);
    let fits = |tool: &definitions::Tool| tool.fits(call.session.revision, strict);
    let named = |tool: &definitions::Tool| {
        let now = renamed(&call.app, &call.session, tool.name).unwrap_or(tool.name);
        now == name || (now.eq_ignore_ascii_case(name) && !holds(Rule::ToolNamesExact))
    };
    let added = Some(&definitions::ADDED).filter(|_| call.session.marked(CHANGED));
    match definitions::all().chain(added).find(|tool| named(tool) && fits(tool)) {
        Some(tool) => Ok(tool.name),
        // A tool of a later revision is refused also where unknown ones are not: that is a fault of its own.
        None if holds(Rule::UnknownToolRefused) || definitions::find(name).is_some() => {
            Err(RpcError::params(format!("Unknown tool: {name}")))
        }
        None => Ok(name),
    }
}

/// A task as the faults tell of it, with the key that a status notification leaves out or without.
fn task(related: bool) -> Value {
    let mut task = json!({
        "taskId": "task-1",
        "status": "working",
        "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z",
        "ttl": 60_000,
    });
    if related {
        task["_meta"] = json!({"io.modelcontextprotocol/related-task": {"taskId": "task-1"}});
    }
    task
}

/// The error that sends the user to a page first.
fn page_required(call: &Call) -> RpcError {
    RpcError {
        code: code::URL_ELICITATION_REQUIRED,
        message: "A page has to be opened first".to_owned(),
        data: Some(json!({"elicitations": [page_to_open(&call.app.rng.hex(16))]})),
    }
}

/// The params of an elicitation that opens a page.
fn page_to_open(id: &str) -> Value {
    json!({
        "mode": "url",
        "message": "Please open this page",
        "elicitationId": id,
        "url": "https://example.com/elicitation",
    })
}

async fn run(call: &Call, name: &str, arguments: &Value) -> Result<Value, String> {
    Ok(match name {
        "test_simple_text" => content([text("This is a simple text response for testing.")]),
        "test_image_content" => content([json!({"type": "image", "data": PNG, "mimeType": "image/png"})]),
        "test_audio_content" => content([json!({"type": "audio", "data": WAV, "mimeType": "audio/wav"})]),
        "test_embedded_resource" => {
            content([embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
        }
        "test_multiple_content_types" => content([
            text("Multiple content types test:"),
            json!({"type": "image", "data": PNG, "mimeType": "image/png"}),
            embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_resource_link" => content([json!({
            "type": "resource_link",
            "uri": "test://static-text",
            "name": "static-text",
            "mimeType": "text/plain",
        })]),
        "test_structured" => structured(call),
        "test_error_handling" => return Err("This tool intentionally returns an error for testing".to_owned()),
        "test_echo" => content([text(text_argument(arguments, "text")?)]),
        "test_large_result" => {
            let bytes = number_argument(arguments, "bytes", 8 * 1024 * 1024)?;
            content([text("x".repeat(usize::try_from(bytes).unwrap_or_default()))])
        }
        "json_schema_2020_12_tool" => content([text(format!("JSON Schema 2020-12 tool called with: {arguments}"))]),
        "test_tool_with_progress" => with_progress(call).await,
        "test_tool_with_logging" => with_logging(call).await,
        "test_slow" => slow(call, number_argument(arguments, "ms", 24 * 60 * 60 * 1000)?).await,
        "test_reconnection" => reconnection(call).await,
        "test_sampling" => sampling(call, text_argument(arguments, "prompt")?).await?,
        "test_list_roots" => {
            let answer = call.ask("client_roots", "roots/list", None).await?;
            content([text(format!("Roots: {}", answer.member("roots").unwrap_or(&Value::Null)))])
        }
        "test_elicitation" => {
            let schema = definitions::user_form();
            let answer = elicit(call, text_argument(arguments, "message")?, schema).await?;
            content([text(format!("User response: {answer}"))])
        }
        "test_elicitation_sep1034_defaults" => {
            let answer = elicit(call, "Please check these defaults", definitions::defaults_form()).await?;
            content([text(format!("Elicitation completed: {answer}"))])
        }
        "test_elicitation_sep1330_enums" => {
            let by_revision = call.app.faults.holds(Rule::EnumsByRevision);
            let revision = if by_revision { call.session.revision } else { Revision::V2025_11_25 };
            let form = definitions::enums_form(revision);
            let answer = elicit(call, "Please choose", form).await?;
            content([text(format!("Elicitation completed: {answer}"))])
        }
        "test_elicitation_url" => elicit_url(call).await?,
        "test_trigger_tool_change" => change(call, "tools"),
        "test_trigger_prompt_change" => change(call, "prompts"),
        "test_trigger_resource_change" => change(call, "resources"),
        "test_touch_resource" => touch(call),
        definitions::REQUIRED => return Err("A page has to be opened first, which the client cannot do".to_owned()),
        _ if call.modern.is_some() => fixtures::run(call, name, arguments).await?,
        _ => content([text("")]),
    })
}

fn structured(call: &Call) -> Value {
    let data = json!({"temperature": 21.5, "unit": "celsius"});
    let mut result = content([text(data.to_string())]);
    if call.session.revision >= Revision::V2025_06_18 || !call.app.faults.holds(Rule::FeaturesByRevision) {
        result["structuredContent"] = data;
    }
    result
}

async fn with_progress(call: &Call) -> Value {
    let steps: [u64; 3] = if call.app.faults.holds(Rule::ProgressIncreases) { [0, 50, 100] } else { [50, 50, 0] };
    for (number, progress) in steps.into_iter().enumerate() {
        if number > 0 {
            call.work().await;
        }
        call.progress(progress, 100, &format!("Completed step {progress} of 100"));
    }
    content([text("Progress completed")])
}

async fn with_logging(call: &Call) -> Value {
    call.log("info", &json!("Tool execution started"));
    call.work().await;
    call.log("info", &json!("Tool processing data"));
    call.log("debug", &json!("A detail for those who asked for it"));
    call.work().await;
    call.log("info", &json!("Tool execution completed"));
    content([text("Logging completed")])
}

/// Sleeps in a few pieces and reports after each.
async fn slow(call: &Call, ms: u64) -> Value {
    let ticks = (ms / REPORT_MS).clamp(1, MAX_TICKS);
    let off_get = call.app.faults.holds(Rule::ProgressOffGet);
    let stream = if off_get { call.stream } else { call.session.get_stream() };
    let reporter = Call { stream, ..call.clone() };
    let start = call.arrived;
    for tick in 1..=ticks {
        // Edges count from the start, so that one move of the clock may pass several of them.
        let edge = start + std::time::Duration::from_millis(ms * tick / ticks);
        call.sleep_for(edge.saturating_sub(call.elapsed())).await;
        if tick < ticks {
            reporter.progress(tick, ticks, "Still working");
        }
    }
    content([text(format!("Slept {ms} ms"))])
}

/// Closes its connection before the result, where the revision tells the client to come back for it.
async fn reconnection(call: &Call) -> Value {
    let polls = call.session.revision.facts().priming_event;
    if let Some(stream) = call.stream
        && (polls || !call.app.faults.holds(Rule::StreamsKeptOpen))
    {
        let retry = (polls && call.app.faults.holds(Rule::RetryBeforeClose)).then_some(500);
        call.session.close_early(stream, retry);
        call.sleep(AWAY_MS).await;
    }
    content([text("Reconnection test completed")])
}

async fn sampling(call: &Call, prompt: &str) -> Result<Value, String> {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    let params = json!({"messages": [message], "maxTokens": 100});
    let answer = call.ask("message", "sampling/createMessage", Some(params)).await?;
    let said = answer.member("content").and_then(|block| block.member("text")).and_then(Value::as_str);
    let said = said.ok_or_else(|| "The client's message has no text".to_owned())?;
    Ok(content([text(format!("LLM response: {said}"))]))
}

async fn elicit(call: &Call, message: &str, schema: Value) -> Result<String, String> {
    let mut params = json!({"message": message, "requestedSchema": schema});
    if call.session.revision >= Revision::V2025_11_25 {
        params["mode"] = json!("form");
    }
    let answer = call.ask("form", "elicitation/create", Some(params)).await?;
    let action = answer.member("action").and_then(Value::as_str).unwrap_or_default();
    match action {
        "accept" => Ok(format!("action={action}, content={}", answer.member("content").unwrap_or(&json!({})))),
        "decline" | "cancel" if !call.app.faults.holds(Rule::DeclinesHandled) => std::future::pending().await,
        "decline" | "cancel" => Ok(format!("action={action}")),
        _ => Err("The client's answer has no valid action".to_owned()),
    }
}

async fn elicit_url(call: &Call) -> Result<Value, String> {
    let id = call.app.rng.hex(16);
    let mut page = page_to_open(&id);
    let legacy = call.modern.is_none();
    if let Some(members) = page.as_object_mut().filter(|_| !legacy) {
        // What happens on the page is known there from the retry alone.
        members.shift_remove("elicitationId");
    }
    let answer = call.ask("page", "elicitation/create", Some(page)).await?;
    let action = answer.member("action").and_then(Value::as_str).unwrap_or_default();
    if action == "accept" && legacy {
        call.notify("notifications/elicitation/complete", &json!({"elicitationId": id}));
    }
    Ok(content([text(format!("User response: action={action}"))]))
}

/// Adds an entry to a list of the session, and says that the list changed.
fn change(call: &Call, list: &str) -> Value {
    let method = format!("notifications/{list}/list_changed");
    if call.modern.is_some() {
        // Lists there do not depend on what was called before, so the news is all there is.
        call.app.modern.listeners.changed(&call.app, Event::List(list));
        return content([text(format!("Announced {method}"))]);
    }
    call.session.mark(list);
    if call.app.faults.holds(Rule::ChangesAnnounced) {
        call.app.announce(&call.session, &method, None);
    }
    content([text(format!("Announced {method}"))])
}

fn touch(call: &Call) -> Value {
    if call.modern.is_some() {
        call.app.modern.listeners.changed(&call.app, Event::Resource(WATCHED));
    }
    let heard = call.session.subscribed(WATCHED) || !call.app.faults.holds(Rule::SubscribersOnly);
    if heard && call.app.faults.holds(Rule::UpdatesSent) {
        call.app.announce(&call.session, "notifications/resources/updated", Some(&json!({"uri": WATCHED})));
    }
    content([text(format!("Touched {WATCHED}"))])
}
