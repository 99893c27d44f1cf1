//! Simulated clients before servers that are made for one question each.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::{header_exists, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{Drive, Entry, Hidden, Identity, KnownClient, Target, drive};
use crate::model::{Rng, WallClock};
use crate::profile::{Profile, find};
use crate::scenario::parse;
use crate::transcript::{Event, EventKind};
use crate::wire::Command;

/// The reference profile, with one thing changed.
fn reference(change: impl FnOnce(&mut Profile)) -> Profile {
    let mut profile = find("reference").expect("shipped").expect("there");
    change(&mut profile);
    profile
}

async fn play(target: Target, profile: Profile, steps: &str) -> Vec<Event> {
    let text = format!("version: 1\nid: a.b\ntitle: A test.\nwhy: A test.\nsteps:\n{steps}");
    let scenario = parse("test", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let clock = Arc::new(WallClock::new());
    let (scenario, profile, target) = (Arc::new(scenario), Arc::new(profile), Arc::new(target));
    drive(Drive { scenario, profile, target, clock, rng: Rng::seeded(1) }).await
}

fn at(server: &MockServer) -> Target {
    let url = format!("{}/mcp", server.uri());
    Target { asks_for_tokens: true, ..Target::parse(&url, Duration::from_secs(5)).expect("a URL") }
}

/// Lets everybody in and sends them back with a code.
struct Consents;

impl Respond for Consents {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let param = |wanted: &str| request.url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let (back, state) = (param("redirect_uri").unwrap_or_default(), param("state").unwrap_or_default());
        ResponseTemplate::new(302).insert_header("location", format!("{back}?code=c&state={state}"))
    }
}

/// A server with its authorization server, which calls itself by this name behind its address; what is called with a
/// token is answered so.
async fn guarded(name: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let origin = server.uri();
    let resource = json!({"resource": format!("{origin}/mcp"), "authorization_servers": [origin]});
    let metadata = json!({
        "issuer": format!("{origin}{name}"),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "registration_endpoint": format!("{origin}/register"),
        "token_endpoint_auth_methods_supported": ["none"],
    });
    let token = json!({"access_token": "t-1", "token_type": "Bearer", "expires_in": 60});
    let gets = [
        ("/.well-known/oauth-protected-resource/mcp", ResponseTemplate::new(200).set_body_json(resource)),
        ("/.well-known/oauth-authorization-server", ResponseTemplate::new(200).set_body_json(metadata)),
    ];
    for (place, answer) in gets {
        Mock::given(method("GET")).and(path(place)).respond_with(answer).mount(&server).await;
    }
    Mock::given(method("GET")).and(path("/authorize")).respond_with(Consents).mount(&server).await;
    let posts = [
        ("/register", ResponseTemplate::new(201).set_body_json(json!({"client_id": "made"}))),
        ("/token", ResponseTemplate::new(200).set_body_json(token)),
    ];
    for (place, answer) in posts {
        Mock::given(method("POST")).and(path(place)).respond_with(answer).mount(&server).await;
    }
    let with = Mock::given(method("POST")).and(path("/mcp")).and(header_exists("authorization"));
    with.respond_with(answer).mount(&server).await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", "Bearer scope=\"read\"");
    Mock::given(method("POST")).and(path("/mcp")).respond_with(refusal).mount(&server).await;
    server
}

/// The requests that came to a path.
async fn came_to(server: &MockServer, place: &str) -> Vec<Request> {
    let all = server.received_requests().await.expect("recorded");
    all.into_iter().filter(|request| request.url.path() == place).collect()
}

const THREE_CALLS: &str = "
  - connect
  - negotiate: { settle: false }
  - invoke: { method: ping }
  - invoke: { method: ping }
  - invoke: { method: ping }
";

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used_by_who_looks() {
    for (looks, asked) in [(true, 0), (false, 1)] {
        let server = guarded("/other", ResponseTemplate::new(202)).await;
        let profile = reference(|profile| profile.oauth.value.checks_issuer = looks);
        let events = play(at(&server), profile, "  - connect\n  - negotiate: { settle: false }\n").await;
        assert_eq!(came_to(&server, "/authorize").await.len(), asked);
        let said = |event: &Event| matches!(&event.kind, EventKind::Note { text } if text.contains("RFC 8414"));
        assert_eq!(events.iter().any(said), looks);
    }
}

#[tokio::test]
async fn more_scope_is_asked_for_once_and_with_what_there_was() {
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    let server = guarded("", ResponseTemplate::new(403).insert_header("www-authenticate", challenge)).await;
    play(at(&server), reference(|_| {}), THREE_CALLS).await;
    let scopes: Vec<String> = came_to(&server, "/authorize")
        .await
        .iter()
        .filter_map(|asked| asked.url.query_pairs().find(|(name, _)| name == "scope"))
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(scopes, ["read", "read write"]);
}

#[tokio::test]
async fn who_refreshes_as_another_repeats_the_call_with_the_old_token() {
    let server = guarded("", ResponseTemplate::new(401)).await;
    let tokens = |access: &str| {
        let pair = json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r-1"});
        ResponseTemplate::new(200).set_body_json(pair)
    };
    let another = ResponseTemplate::new(201).set_body_json(json!({"client_id": "another"}));
    for (place, said, answer) in [
        ("/token", "authorization_code", tokens("t-1")),
        ("/token", "refresh_token=r-1&client_id=another", tokens("t-2")),
        ("/register", "to refresh", another),
    ] {
        let asked = Mock::given(method("POST")).and(path(place)).and(wiremock::matchers::body_string_contains(said));
        asked.respond_with(answer).with_priority(1).mount(&server).await;
    }
    let members = json!({"client_name": "to refresh", "redirect_uris": []});
    let profile = reference(|profile| {
        profile.oauth.value.resource_in.clear();
        profile.oauth.value.refreshes_as = members.as_object().cloned();
    });
    let calls =
        "  - connect\n  - negotiate: { settle: false }\n  - invoke: { method: ping }\n  - invoke: { method: ping }\n";
    play(at(&server), profile, calls).await;
    let shown: Vec<String> = came_to(&server, "/mcp")
        .await
        .iter()
        .map(|request| {
            request.headers.get("authorization").map_or("", |token| token.to_str().expect("text")).to_owned()
        })
        .collect();
    let (old, new) = ("Bearer t-1", "Bearer t-2");
    assert_eq!(shown, ["", old, old, old, new, new], "the first with the challenge, then each call twice");
}

#[tokio::test]
async fn an_assertion_of_somebody_else_is_exchanged_for_a_token() {
    let server = guarded("", ResponseTemplate::new(202)).await;
    let client = KnownClient { id: "workload".to_owned(), ..KnownClient::default() };
    let entry = Entry::Assertion(Hidden("signed.by.another".to_owned()));
    let target = Target { entry, client: Some(client), ..at(&server) };
    let events = play(target, reference(|_| {}), "  - connect\n  - negotiate: { settle: false }\n").await;
    let requests = came_to(&server, "/token").await;
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(&requests.first().expect("asked").body).into_owned().collect();
    let has = |name: &str, value: &str| form.iter().any(|(known, said)| known == name && said == value);
    assert!(has("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), "{form:?}");
    assert!(has("assertion", "signed.by.another") && has("client_id", "workload"), "{form:?}");
    assert!(came_to(&server, "/authorize").await.is_empty());
    let told = serde_json::to_string(&events).expect("text");
    assert!(!told.contains("signed.by.another"), "the assertion is a secret");
}

#[tokio::test]
async fn an_identity_provider_vouches_for_a_person_at_this_server_and_resource() {
    let server = guarded("", ResponseTemplate::new(202)).await;
    let jag =
        json!({"access_token": "vouched.for.you", "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag"});
    let answer = ResponseTemplate::new(200).set_body_json(jag);
    Mock::given(method("POST")).and(path("/idp")).respond_with(answer).mount(&server).await;
    let token_endpoint = format!("{}/idp", server.uri());
    let id_token = Hidden("said.about.you".to_owned());
    let entry = Entry::Enterprise(Arc::new(Identity { token_endpoint, client: "at-idp".to_owned(), id_token }));
    let client = KnownClient { id: "at-as".to_owned(), ..KnownClient::default() };
    let target = Target { entry, client: Some(client), ..at(&server) };
    let events = play(target, reference(|_| {}), "  - connect\n  - negotiate: { settle: false }\n").await;
    let form = |request: &Request| -> std::collections::HashMap<String, String> {
        url::form_urlencoded::parse(&request.body).into_owned().collect()
    };
    let asked = form(came_to(&server, "/idp").await.first().expect("asked"));
    assert_eq!((asked["subject_token"].as_str(), asked["client_id"].as_str()), ("said.about.you", "at-idp"));
    assert_eq!((&asked["audience"], &asked["resource"]), (&server.uri(), &format!("{}/mcp", server.uri())));
    let granted = form(came_to(&server, "/token").await.first().expect("asked"));
    assert_eq!((granted["assertion"].as_str(), granted["client_id"].as_str()), ("vouched.for.you", "at-as"));
    let told = serde_json::to_string(&events).expect("text");
    assert!(!told.contains("said.about.you") && !told.contains("vouched.for.you"), "both are secrets");
}

#[tokio::test]
async fn a_stream_is_resumed_no_sooner_than_the_server_says() {
    let server = MockServer::start().await;
    let stream = |text: &str| ResponseTemplate::new(200).set_body_raw(text.as_bytes(), "text/event-stream");
    let posts = wiremock::matchers::body_partial_json;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "result": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"},
    }});
    let hello = ResponseTemplate::new(200).set_body_json(hello).insert_header("mcp-session-id", "s-1");
    Mock::given(posts(json!({"method": "initialize"}))).respond_with(hello).mount(&server).await;
    let cut = stream("id: e-1\nretry: 300\ndata:\n\n");
    Mock::given(posts(json!({"method": "tools/call"}))).respond_with(cut).mount(&server).await;
    let rest = stream("id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}\n\n");
    Mock::given(method("GET")).respond_with(rest).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(202)).mount(&server).await;
    let steps = "
  - connect
  - negotiate: { settle: false }
  - invoke: { tool: slow, as: call }
  - await: { call: call }
  - reconnect
  - await: { call: call }
";
    let target = Target { asks_for_tokens: false, ..at(&server) };
    let events = play(target, reference(|_| {}), steps).await;
    let asked = |event: &&Event| matches!(&event.kind, EventKind::Request { method, .. } if method == "GET");
    let resumed = events.iter().find(asked).expect("the stream was asked for again");
    let EventKind::Request { headers, .. } = &resumed.kind else { unreachable!() };
    assert_eq!(crate::transcript::header(headers, "last-event-id"), Some("e-1"));
    let cut = |event: &&Event| matches!(&event.kind, EventKind::Sse { id: Some(id), .. } if id == "e-1");
    let waited = resumed.at - events.iter().find(cut).expect("the stream was cut").at;
    assert!(waited >= 300_000, "{waited} µs");
    let came =
        |event: &Event| matches!(&event.kind, EventKind::Sse { data: Some(data), .. } if data.contains("result"));
    assert!(events.iter().any(came));
}

#[tokio::test]
async fn a_form_in_a_result_is_answered_with_its_defaults() {
    let server = MockServer::start().await;
    let posts = wiremock::matchers::body_partial_json;
    let answer =
        |result: Value| ResponseTemplate::new(200).set_body_json(json!({"jsonrpc": "2.0", "id": 1, "result": result}));
    let found = answer(json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}}));
    Mock::given(posts(json!({"method": "server/discover"}))).respond_with(found).mount(&server).await;
    let schema = json!({"type": "object", "properties": {"size": {"type": "integer", "default": 7}, "free": {"type": "string"}}});
    let form = json!({"method": "elicitation/create", "params": {"message": "m", "requestedSchema": schema}});
    let question =
        json!({"jsonrpc": "2.0", "id": 2, "result": {"resultType": "input_required", "inputRequests": {"q": form}}});
    Mock::given(posts(json!({"method": "tools/call"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(question))
        .mount(&server)
        .await;
    let steps = "
  - connect
  - negotiate: { settle: false }
  - invoke: { tool: asks, rounds: 1, answer: { elicitation: { action: accept, content: '{defaults}' } } }
";
    let target = Target { asks_for_tokens: false, speaks_modern: true, ..at(&server) };
    let profile = reference(|profile| profile.opens_with.value.0 = vec![crate::model::Revision::V2026_07_28]);
    play(target, profile, steps).await;
    let all = server.received_requests().await.expect("recorded");
    let last: Value = serde_json::from_slice(&all.last().expect("asked").body).expect("JSON");
    assert_eq!(last["params"]["inputResponses"]["q"], json!({"action": "accept", "content": {"size": 7}}));
}

/// A client that gives notifications the id null gets an error for them on a channel, which is no answer to what it says next.
#[tokio::test]
async fn an_error_for_a_notification_is_not_taken_for_the_answer_to_a_request() {
    let said = |id: &str, rest: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{rest}}}");
    let welcome = "\"result\":{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{},\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}";
    let script = format!(
        "read a; echo '{}'; read b; read c; echo '{}'; sleep 0.3; echo '{}'; read d",
        said("\"1\"", welcome),
        said("null", "\"error\":{\"code\":-32600,\"message\":\"no\"}"),
        said("\"2\"", "\"result\":{}"),
    );
    let command = Command { program: "sh".to_owned(), arguments: vec!["-c".to_owned(), script], ..Command::default() };
    let profile = find("copilot-studio").expect("shipped").expect("there");
    let steps = "  - connect\n  - negotiate: { settle: false }\n  - invoke: { method: ping }\n";
    let events = play(Target::of_command(command, Duration::from_secs(5)), profile, steps).await;
    let asked = |event: &Event| match &event.kind {
        EventKind::Request { exchange, body: Some(body), .. } if body.contains("ping") => Some(*exchange),
        _ => None,
    };
    let ping = events.iter().find_map(asked).expect("it was asked");
    let came = |event: &Event| matches!(&event.kind, EventKind::Message { text, .. } if text.contains("\"id\":\"2\""));
    let over = |event: &Event| matches!(&event.kind, EventKind::End { exchange, .. } if *exchange == ping);
    let at = |of: &dyn Fn(&Event) -> bool| events.iter().position(of);
    assert!(at(&came).is_some() && at(&came) < at(&over), "{events:#?}");
}

#[tokio::test]
async fn a_second_wait_for_a_message_waits_for_a_second_one() {
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}}";
    let note = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}";
    let script = format!("read a; echo '{answer}'; read b; echo '{note}'; sleep 0.3; echo '{note}'; read c; read d");
    let command = Command { program: "sh".to_owned(), arguments: vec!["-c".to_owned(), script], ..Command::default() };
    let steps = "
  - connect
  - negotiate: { settle: false }
  - wait: { until: notifications/tools/list_changed }
  - wait: { until: notifications/tools/list_changed }
  - notify: { method: notifications/roots/list_changed }
";
    let events = play(Target::of_command(command, Duration::from_secs(5)), reference(|_| {}), steps).await;
    let notes =
        |event: &&Event| matches!(&event.kind, EventKind::Message { text, .. } if text.contains("tools/list_changed"));
    let told = |event: &Event| matches!(&event.kind, EventKind::Request { body: Some(body), .. } if body.contains("roots/list_changed"));
    let told = events.iter().position(told).expect("it went on");
    assert_eq!(events[..told].iter().filter(notes).count(), 2, "{events:#?}");
}
